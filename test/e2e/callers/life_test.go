package callers

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestDeadContainerTakesItsRightsAlongClosed: whoever holds a connection of a
// container that has stopped, and whoever has its name afterwards, has nothing
// of its rights.
func TestDeadContainerTakesItsRightsAlongClosed(t *testing.T) {
	for name, end := range map[string]func(s *stage){
		"killed and the name reused": func(s *stage) {
			s.e.Docker("rm", "--force", "web")
			id := s.run("web")
			got := s.in("web", "GET", list)
			s.itself(got, "web", id, 403)
			if slices.Contains(got.Caller.Principals, "label:vitrine.role=look") {
				s.Errorf("it has principals of the one before: %q", got.Caller.Principals)
			}
		},
		"renamed, and the name reused": func(s *stage) {
			s.e.Docker("rename", "web", "old")
			id := s.run("web")
			s.itself(s.in("web", "GET", list), "web", id, 403)
			s.e.Docker("kill", "old")
		},
		"restarted": func(s *stage) { s.e.Docker("restart", "--time=0", "web") },
		"stopped":   func(s *stage) { s.e.Docker("stop", "--time=0", "web") },
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			b := s.borrower()
			id := s.run("web", "--label", "vitrine.role=look", b.flag)
			lent, events := b.borrow("web", "lend"), b.borrow("web", "lend")
			s.itself(s.over(lent, "GET", list), "web", id, 200)
			_, err := io.WriteString(events, "GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
			s.must(err)
			head, err := http.ReadResponse(bufio.NewReader(events), nil)
			if s.must(err); head.StatusCode != 200 {
				s.Fatalf("events: %s", head.Status)
			}
			end(s)
			s.closes("an idle connection", lent)
			s.closes("a stream", events)
		})
	}
}

// closes expects that the gateway ends a connection.
func (s *stage) closes(what string, c net.Conn) {
	s.Helper()
	s.must(c.SetReadDeadline(time.Now().Add(wait.Patience(10 * time.Second))))
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "connection reset") {
		s.Errorf("%s of a dead container is not closed: %v", what, err)
	}
}

// TestNamesAreReadAnew: a connection does not keep the name it came with.
func TestNamesAreReadAnew(t *testing.T) {
	s := begin(t)
	b := s.borrower()
	id := s.run("monitor", b.flag)
	lent := b.borrow("monitor", "lend")
	s.itself(s.over(lent, "GET", list), "monitor", id, 200)
	s.e.Docker("rename", "monitor", "retired")
	s.p.Eventually("the new name to count", func() error {
		if got := s.over(lent, "GET", list); got.Caller.Principals[0] != "container:retired" {
			return errors.New(got.Caller.Principals[0])
		}
		return nil
	})
	s.itself(s.over(lent, "GET", list), "retired", id, 403)
}
