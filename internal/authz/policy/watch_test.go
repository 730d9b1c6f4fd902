package policy

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/test/wait"
)

const allowNothing = "# nothing\ndefault allow := false\n"

// watched is an engine that watches its paths until the test ends; log gives
// what it logged.
func watched(t *testing.T, opts Options) (e *Engine, log func() string) {
	t.Helper()
	var buf wait.Buffer
	opts.Logger = slog.New(slog.NewTextHandler(&buf, nil))
	e = New(opts)
	_ = e.Load(t.Context()) // a broken first policy is a situation too
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return e, buf.String
}

func lists(t *testing.T, e *Engine) func() bool {
	return func() bool { return e.Decide(t.Context(), listing()).Allow }
}

func not(is func() bool) func() bool { return func() bool { return !is() } }

func TestWatchChange(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowNothing))
	e, log := watched(t, Options{Paths: []string{dir}})
	write(t, dir, "authz.rego", module(allowList))
	wait.Until(t, "the new policy decides", lists(t, e))
	write(t, dir, "authz.rego", module(allowNothing))
	wait.Until(t, "the old one again", not(lists(t, e)))
	for _, trouble := range []string{"cannot be had", "several times as long", "outlive a restart"} {
		if said := log(); strings.Contains(said, trouble) {
			t.Errorf("nothing is wrong, and it says\n%s", said)
		}
	}
}

func TestWatchBrokenPolicy(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowList))
	e, log := watched(t, Options{Paths: []string{dir}})
	revision := e.Status().Revision
	write(t, dir, "authz.rego", module("allow if {"))
	wait.Until(t, "the refusal is in the status", func() bool {
		return strings.Contains(e.Status().LastError, "authz.rego:3")
	})
	wantContains(t, log(), "policy refused", "authz.rego:3")
	if !lists(t, e)() || e.Status().Revision != revision {
		t.Error("the last good policy does not decide any more")
	}
	write(t, dir, "authz.rego", module(allowNothing))
	wait.Until(t, "the mended policy decides", not(lists(t, e)))
}

func TestWatchBrokenFirstPolicyClosed(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module("allow if {"))
	e, _ := watched(t, Options{Paths: []string{dir}})
	if d := e.Decide(t.Context(), listing()); d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	write(t, dir, "authz.rego", module(allowList))
	wait.Until(t, "it decides once it is mended", lists(t, e))
}

// TestWatchEditor: editors write beside the file and rename over it.
func TestWatchEditor(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"folder": "", "file": "authz.rego"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := policyDir(t, "authz.rego", module(allowNothing))
			e, _ := watched(t, Options{Paths: []string{filepath.Join(dir, file)}})
			for range 3 {
				for _, policy := range []string{allowList, allowNothing} {
					beside := write(t, dir, ".authz.rego.swp", module(policy))
					if err := os.Rename(beside, filepath.Join(dir, "authz.rego")); err != nil {
						t.Fatal(err)
					}
					wait.Until(t, "the renamed policy decides", func() bool { return lists(t, e)() == (policy == allowList) })
				}
			}
		})
	}
}

// TestWatchConfigMap: a folder of links through a link that is turned.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "..1/authz.rego", module(allowNothing), "..2/authz.rego", module(allowList))
	link := func(target, name string) {
		t.Helper()
		beside := filepath.Join(dir, "..tmp")
		if err := os.Symlink(target, beside); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(beside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/authz.rego", "authz.rego")
	e, _ := watched(t, Options{Paths: []string{dir}})
	if lists(t, e)() || e.Status().Revision == "" {
		t.Fatal("the first policy is not in force")
	}
	link("..2", "..data")
	wait.Until(t, "the second policy decides", lists(t, e))
}

// TestWatchLinkedFolder: the path itself is a link that is turned.
func TestWatchLinkedFolder(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "a/authz.rego", module(allowNothing), "b/authz.rego", module(allowList))
	link := filepath.Join(dir, "current")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	e, _ := watched(t, Options{Paths: []string{link}})
	if err := os.Symlink("b", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the second policy decides", lists(t, e))
	write(t, dir, "b/authz.rego", module(allowNothing))
	wait.Until(t, "and is watched", not(lists(t, e)))
}

func TestWatchFolderThatAppears(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "docker", "vitrine")
	e, _ := watched(t, Options{Paths: []string{dir}, BuiltinIfAbsent: true})
	if s := e.Status(); s.Source != "built-in" {
		t.Fatalf("status %+v", s)
	}
	write(t, dir, "authz.rego", module(allowNothing))
	wait.Until(t, "the policy that appeared decides", not(lists(t, e)))

	strict, _ := watched(t, Options{Paths: []string{filepath.Join(base, "other")}})
	if d := strict.Decide(t.Context(), listing()); d.Allow || !d.Failed {
		t.Fatalf("got %+v", d)
	}
	write(t, base, "other/sub/authz.rego", module(allowList))
	wait.Until(t, "the policy that appeared decides", lists(t, strict))
}

// TestWatchGone: a policy that disappears changes nothing, but is said.
func TestWatchGone(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "p/authz.rego", module(allowList))
	e, _ := watched(t, Options{Paths: []string{filepath.Join(dir, "p")}})
	if err := os.RemoveAll(filepath.Join(dir, "p")); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "it is in the status", func() bool { return e.Status().LastError != "" })
	if !lists(t, e)() {
		t.Error("the last good policy does not decide any more")
	}
	write(t, dir, "p/authz.rego", module(allowNothing))
	wait.Until(t, "it is back", not(lists(t, e)))
}

// TestReloadWaitsForQuietFilesClosed: what changed since the last look may be half of what it is going to be.
func TestReloadWaitsForQuietFilesClosed(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowNothing))
	e := loaded(t, Options{Paths: []string{dir}})
	if e.reload(t.Context()) {
		t.Error("nothing has changed, and it looks again")
	}
	write(t, dir, "authz.rego", module(allowList))
	if again := e.reload(t.Context()); !again || lists(t, e)() {
		t.Error("it is loaded at the first look at it")
	}
	if again := e.reload(t.Context()); again || !lists(t, e)() {
		t.Error("it is not loaded at the second look at it")
	}
}

// TestWatchQuiet: what is not of the policy is not an occasion to load it again.
func TestWatchQuiet(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "authz.rego", module(allowNothing))
	e, log := watched(t, Options{Paths: []string{dir}})
	for range 3 {
		write(t, dir, "notes.txt", time.Now().String())
	}
	write(t, dir, "authz.rego", module(allowList))
	wait.Until(t, "the new policy decides", lists(t, e))
	if n := strings.Count(log(), "policy loaded"); n != 2 {
		t.Errorf("loaded %d times, want 2:\n%s", n, log())
	}
}

func TestWatchBuiltin(t *testing.T) {
	t.Parallel()
	e, _ := watched(t, Options{})
	if !lists(t, e)() {
		t.Error("the built-in policy does not decide")
	}
}

// TestFoldersThatAreWatched are those in which something can change what a path holds, however links lead there, in circles too.
func TestFoldersThatAreWatched(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(policyDir(t, "p/sub/x.rego", "", "p/.hidden/x.rego", "", "other/data.yaml", "", "other/one/y.rego", ""))
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"p/link.yaml": "other/data.yaml", "p/again": "p", "p/away": "other/one", "linked": "other/one", "file": "other/data.yaml", "p/nowhere": "none"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"p": ". other other/one p p/sub", "other/data.yaml/x": "other", "p/sub/x.rego": "p/sub", "linked": ". other other/one", "file": ". other", "none/at/all": ".", "p/nowhere": "p",
	} {
		found := map[string]bool{}
		foldersOf(filepath.Join(dir, path), found)
		var names []string
		for _, folder := range slices.Sorted(maps.Keys(found)) {
			name, err := filepath.Rel(dir, folder)
			if err != nil || !found[folder] {
				t.Errorf("%s: %s: %v, %v", path, folder, found[folder], err)
			}
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
