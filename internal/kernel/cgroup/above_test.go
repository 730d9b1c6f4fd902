package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestLimitsAbove: containers share what is kept open of the cgroups above
// them, see a new limit at the next collection, and are told if one cannot be read.
func TestLimitsAbove(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v2-limits-above.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, first := unpack(t, a, 100)
	second, err := h.Container(id, membership("0::/shop.slice/shop-web.slice/docker-"+id+".scope"))
	if err != nil {
		t.Fatal(err)
	}
	var s Stats
	read := func(r *Reader) Memory {
		t.Helper()
		if err := r.Read(&s); err != nil {
			t.Fatal(err)
		}
		return s.Memory
	}
	later := func() {
		for _, a := range h.above {
			a.read = a.read.Add(-aboveFor)
		}
	}
	if got := read(first).Limit; got != set(32<<20) {
		t.Errorf("limit %+v", got)
	}
	before := h.left
	read(second)
	if own := len(second.files); before-h.left > own {
		t.Errorf("the second container keeps %d files open, and has %d of its own", before-h.left, own)
	}

	slice := filepath.Join(h.v2, "shop.slice/shop-web.slice")
	write(t, filepath.Join(slice, "memory.max"), "16777216\n")
	later()
	if m, n := read(first), read(second); m.Limit != set(16<<20) || n.Limit != m.Limit || m.SwapLimit != set(24<<20) {
		t.Errorf("limits %+v, %+v, swap %+v", m.Limit, n.Limit, m.SwapLimit)
	}
	write(t, filepath.Join(slice, "memory.max"), "max\n")
	later()
	if got := read(first).Limit; got != set(64<<20) {
		t.Errorf("limit %+v, want its own", got)
	}

	write(t, filepath.Join(slice, "memory.max"), "much\n")
	later()
	if err := first.Read(&s); err == nil || !strings.Contains(err.Error(), filepath.Join(slice, "memory.max")) || s.Memory.Usage != set(20<<20) {
		t.Errorf("error %v, usage %+v", err, s.Memory.Usage)
	}

	first.Close()
	if len(h.above) == 0 {
		t.Error("what the second one needs is closed")
	}
	second.Close()
	second.Close()
	if len(h.above) != 0 || h.left != 100 {
		t.Errorf("%d cgroups above are held, %d descriptors are left", len(h.above), h.left)
	}
}

// TestRootThatEndsWithASlash: paths are compared with the root, however it was given.
func TestRootThatEndsWithASlash(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v2-limits-above.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, 100)
	r.Close()
	h, err = Open(Options{Root: h.v2 + "//", Self: self, MaxFiles: 100})
	if err != nil {
		t.Fatal(err)
	}
	r, err = h.Container(id, membership("0::/shop.slice/shop-web.slice/docker-"+id+".scope"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var s Stats
	if err := r.Read(&s); err != nil || s.Memory.Limit != set(32<<20) {
		t.Errorf("limit %+v, error %v", s.Memory.Limit, err)
	}
}

// TestLimitsAboveAreSharedForAMoment: the containers of one collection cost one reading, the
// next collection another; and a clock that is set back does not keep what was read.
func TestLimitsAboveAreSharedForAMoment(t *testing.T) {
	root := t.TempDir()
	h := &Host{above: map[string]*above{}, buf: make([]byte, 64), left: 10}
	a := h.hold(root, root)
	defer h.release(a)
	now := time.Now()
	for i, tt := range []struct {
		at   time.Duration
		want uint64
	}{{0, 1}, {0, 1}, {aboveFor - 1, 1}, {aboveFor, 4}, {aboveFor - 1, 5}, {2 * aboveFor, 6}} {
		write(t, filepath.Join(root, "memory.max"), fmt.Sprintln(i+1))
		if limit, _, err := h.limitsAbove(a, now.Add(tt.at)); err != nil || limit != set(tt.want) {
			t.Errorf("after %v: limit %+v, want %d (error %v)", tt.at, limit, tt.want, err)
		}
	}
}

func TestKilledAsOne(t *testing.T) {
	a, err := txtar.ParseFile("testdata/v2-limits-above.txtar")
	if err != nil {
		t.Fatal(err)
	}
	h, r := unpack(t, a, 100)
	defer r.Close()
	path := "/shop.slice/shop-web.slice/docker-" + id + ".scope"
	for _, tt := range []struct {
		folder, content string
		want            bool
	}{{"", "", false}, {path, "0\n", false}, {path, "1\n", true}, {path, "0\n", false}, {"/shop.slice", "1\n", true}} {
		if tt.folder != "" {
			write(t, filepath.Join(h.v2, tt.folder, "memory.oom.group"), tt.content)
		}
		r, err := h.Container(id, membership("0::"+path))
		if err != nil {
			t.Fatal(err)
		}
		if r.KilledAsOne != tt.want {
			t.Errorf("with %q in %s: %v", tt.content, tt.folder, r.KilledAsOne)
		}
		r.Close()
	}
}

// TestNoLimitsAbove: the host's root has no limits, and a clock that is set back is no harm.
func TestNoLimitsAbove(t *testing.T) {
	root := t.TempDir()
	h := &Host{above: map[string]*above{}, buf: make([]byte, 64), left: 10}
	a := h.hold(root, root)
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(-time.Hour)} {
		if limit, swap, err := h.limitsAbove(a, at); limit.Set || swap.Set || err != nil {
			t.Errorf("limits %+v, %+v, error %v", limit, swap, err)
		}
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
}
