package dogstatsd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestExited: hundreds of processes that are gone before they can be looked at.
// Each container sends its own name alone; what arrives under it is that container's, or
// nobody's.
func TestExited(t *testing.T) {
	s := begin(t, installed)
	s.box("bystander")
	s.box("forks1")
	s.box("forks2")
	s.box("execs1")
	s.box("execs2")
	s.known("bystander", "forks1", "forks2", "execs1", "execs2")

	t.Run("children", func(t *testing.T) {
		s := s.on(t)
		s.together(func(name string) {
			s.exec(name, "sender", "forks", datagram, name+":1|c|card:high", "500")
		}, "forks1", "forks2")
		s.ownOrNobody(500, "forks1", "forks2")
	})
	t.Run("docker exec", func(t *testing.T) {
		s := s.on(t)
		s.together(func(name string) {
			for range 6 {
				s.exec(name, "sender", "raw", datagram, name+":1|c|card:high")
				s.exec(name, "sender", "raw", "unixstream://"+stream, name+":1|c|card:high")
			}
		}, "execs1", "execs2")
		s.ownOrNobody(12, "execs1", "execs2")
	})
	t.Run("a container's first process", func(t *testing.T) {
		s := s.on(t)
		var names []string
		for i := range 12 {
			names = append(names, fmt.Sprintf("first%d", i))
		}
		half := len(names) / 2
		run := func(name string) {
			s.run(name, "-v", folder+":"+folder+":ro", "sender:1", "sender", "raw", datagram, name+":1|c|card:high")
		}
		s.together(func(first string) {
			for _, name := range names {
				if (name < names[half]) == (first == "a") {
					run(name)
				}
			}
		}, "a", "b")
		known := 0.
		for _, name := range names {
			known += s.itselfOrNobody(1, name+"_total", name)
		}
		t.Logf("%v of %d known", known, len(names))
	})
	if page := s.page(); page.sum("dogstatsd_contexts", `container_name="bystander"`) != 0 {
		t.Errorf("somebody was taken for a bystander: %s", page.series("dogstatsd_contexts"))
	}
}

// together does something for each name at once.
func (s *stage) together(do func(name string), names ...string) {
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { do(name) })
	}
	wg.Wait()
}

// ownOrNobody expects all that containers have sent of their names. A kernel that
// tells of processes that have exited (6.15) tells of nearly all.
func (s *stage) ownOrNobody(total float64, names ...string) {
	s.Helper()
	for _, name := range names {
		own := s.itselfOrNobody(total, name+"_total", name)
		s.Logf("%s: %v of %v known", name, own, total)
		if tellsOfExited(s.T) && own < total*.9 {
			s.Errorf("%v of %v of %s are nobody's", total-own, total, name)
		}
	}
}

func tellsOfExited(t *testing.T) bool {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	part := strings.SplitN(string(release), ".", 3)
	major, _ := strconv.Atoi(part[0])
	minor, _ := strconv.Atoi(part[1])
	return major > 6 || major == 6 && minor >= 15
}
