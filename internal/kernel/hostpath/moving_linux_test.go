package hostpath

import (
	"errors"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a root directory full of folders and links, beside a folder that is
// none of it.
type tree struct {
	root string
	rnd  *rand.Rand
}

// grown is a tree of names a to d, three deep at most.
func grown(t testing.TB, seed uint64) (*Host, *tree) {
	t.Helper()
	h, root := hostWith(t)
	if err := os.MkdirAll(filepath.Join(root, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "outside", "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.cfg.Root = filepath.Join(root, "in")
	tr := &tree{root: h.cfg.Root, rnd: rand.New(rand.NewPCG(seed, 1))}
	for range 30 {
		tr.change()
	}
	return h, tr
}

func (t *tree) name() string { return string(rune('a' + t.rnd.IntN(4))) }

func (t *tree) path() string {
	p := "/" + t.name()
	for range t.rnd.IntN(3) {
		p += "/" + t.name()
	}
	return p
}

// target is what a link says: up, down, absolute, out.
func (t *tree) target() string {
	up := strings.Repeat("../", t.rnd.IntN(5))
	return []string{t.path(), up + t.path()[1:], up, up + "outside/a", "/../outside", "..", "/", "."}[t.rnd.IntN(8)]
}

// change makes, links, moves or removes something; what cannot be done is not.
func (t *tree) change() {
	at := func(p string) string { return filepath.Join(t.physical(path.Dir(p)), path.Base(p)) }
	p := at(t.path())
	switch t.rnd.IntN(5) {
	case 0, 1:
		_ = os.Mkdir(p, 0o755)
	case 2:
		_ = os.Symlink(t.target(), p)
	case 3:
		_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, at(t.path()), unix.RENAME_EXCHANGE)
	case 4:
		_ = os.Remove(p)
	}
}

// physical is the folder of that path, if no link is on the way; else the root.
func (t *tree) physical(p string) string {
	at := filepath.Join(t.root, p)
	if straight, err := filepath.EvalSymlinks(at); err != nil || straight != at {
		return t.root
	}
	return at
}

var errNowhere = errors.New("nowhere")

// reference resolves step by step: the root's parent is the root, and absolute
// links begin there. What does not exist may be at the end of what was typed.
func (t *tree) reference(p string) (string, error) {
	type step struct {
		name  string
		typed bool
	}
	steps := func(p string, typed bool) (out []step) {
		for name := range strings.SplitSeq(p, "/") {
			out = append(out, step{name, typed})
		}
		return out
	}
	at, todo := "/", steps(p, true)
	for links := 0; len(todo) > 0; {
		this := todo[0]
		todo = todo[1:]
		if this.name == "" { // path.Join knows what . and .. are
			continue
		}
		next := path.Join(at, this.name)
		info, err := os.Lstat(t.root + next)
		switch {
		case err != nil && this.typed:
			at = next
			continue
		case err != nil:
			return "", errNowhere
		case info.Mode()&os.ModeSymlink == 0:
			at = next
			continue
		}
		if links++; links > 40 {
			return "", errNowhere
		}
		target, err := os.Readlink(t.root + next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			at = "/"
		}
		todo = append(steps(target, false), todo...)
	}
	return at, nil
}

// TestResolutionIsTheKernels: in a tree that stands still, a path is what a walk
// along it finds, and opens the same file as the path that was typed.
func TestResolutionIsTheKernels(t *testing.T) {
	resolved := 0
	for seed := range uint64(60) {
		h, tr := grown(t, seed)
		for range 60 {
			p := tr.path()
			want, wantErr := tr.reference(p)
			got, err := h.Resolve(t.Context(), "c", p)
			if got != want && wantErr == nil || (err != nil) != (wantErr != nil) {
				t.Fatalf("seed %d: %s is %q, %v; a walk finds %q, %v", seed, p, got, err, want, wantErr)
			}
			if err == nil && got != p {
				resolved++
			}
		}
	}
	if resolved < 200 {
		t.Errorf("only %d paths led elsewhere", resolved)
	}
}

// TestClosedResolutionWhileLinksMove: whatever others do meanwhile, an answer
// lies below the root, and there is no link in it that was not put there since.
func TestClosedResolutionWhileLinksMove(t *testing.T) {
	h, tr := grown(t, 7)
	stop := make(chan struct{})
	var movers sync.WaitGroup
	for i := range 3 {
		movers.Go(func() {
			mine := &tree{root: tr.root, rnd: rand.New(rand.NewPCG(uint64(i), 2))}
			for {
				select {
				case <-stop:
					return
				default:
					mine.change()
				}
			}
		})
	}
	answers, refused := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		p := tr.path()
		got, err := h.Resolve(t.Context(), "c", p)
		switch {
		case err != nil:
			refused++
			continue
		case !path.IsAbs(got), path.Clean(got) != got, strings.Contains(got, "outside"), strings.Contains(got, "deleted"), got != "/" && strings.Trim(got, "abcd/") != "":
			t.Fatalf("%s is %q", p, got)
		}
		answers++
	}
	close(stop)
	movers.Wait()
	t.Logf("%d answers, %d without", answers, refused)
	if answers < 100 {
		t.Errorf("only %d answers", answers)
	}
}
