package policy

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/test/long"
	"vitrine/test/wait"
)

// restart is an engine after a restart: with the same paths and state.
func restart(t *testing.T, opts Options) (*Engine, error) {
	t.Helper()
	e := New(opts)
	return e, e.Load(t.Context())
}

// TestKeptPolicy: what decided before a restart decides after it, for as long as the
// files are broken.
func TestKeptPolicy(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, files := range map[string][]string{
		"data":         {"data.yaml", strictData},
		"Rego":         {"authz.rego", module(allowList)},
		"with tests":   {"authz.rego", module(allowList), "authz_test.rego", closedTest},
		"data in JSON": {"authz.rego", module(allowByData), "data.json", `{"allowed": ["ContainerList"]}`},
		"data below":   {"authz.rego", module(strings.ReplaceAll(allowByData, "data.allowed", "data.a.b.allowed")), "a/b/data.yml", "allowed: [ContainerList]"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := policyDir(t, files...)
			opts := Options{Paths: []string{dir}, StateDir: t.TempDir()}
			before := loaded(t, opts)
			want := before.Decide(t.Context(), listing())
			write(t, dir, files[0], "[broken")
			after, err := restart(t, opts)
			s := after.Status()
			if err == nil || s.Revision != want.Revision || !s.Kept || s.LastError == "" || s.Source != dir {
				t.Fatalf("%v, %+v, want revision %s", err, s, want.Revision)
			}
			if got := after.Decide(t.Context(), listing()); got.Allow != want.Allow || got.Failed || got.Revision != want.Revision {
				t.Errorf("got %+v, want %+v", got, want)
			}
			write(t, dir, files[0], files[1])
			if err := after.Load(t.Context()); err != nil || after.Status().Kept || after.Status().LastError != "" {
				t.Errorf("mended: %v, %+v", err, after.Status())
			}
		})
	}
}

func TestKeptBundle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.tar.gz")
	files := map[string]string{"/authz.rego": "package docker.authz\ndefault allow = false\nallow { input.operation.id == \"ContainerList\" }"}
	if err := os.WriteFile(path, archive(t, files), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := Options{Paths: []string{path}, StateDir: t.TempDir()}
	loaded(t, opts)
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	if e, err := restart(t, opts); err == nil || !lists(t, e)() {
		t.Errorf("%v, %+v", err, e.Status())
	}
}

// TestKeptPolicyClosed: who may write what is kept may write the policy, so it is not
// believed if that may be others than us. Nor does it ever let the built-in policy in.
func TestKeptPolicyClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const other = 4711
	for name, tamper := range map[string]func(state, file string) error{
		"the folder is another's":     func(state, _ string) error { return os.Chown(state, other, -1) },
		"others write to the folder":  func(state, _ string) error { return os.Chmod(state, 0o777) },
		"a group writes to it":        func(state, _ string) error { return os.Chmod(state, 0o770) },
		"the file is another's":       func(_, file string) error { return os.Chown(file, other, -1) },
		"others write to the file":    func(_, file string) error { return os.Chmod(file, 0o666) },
		"it is cut off":               func(_, file string) error { return os.Truncate(file, 100) },
		"it is a folder":              func(_, file string) error { _ = os.Remove(file); return os.Mkdir(file, 0o700) },
		"it leads elsewhere":          func(_, file string) error { _ = os.Remove(file); return os.Symlink("/etc/hostname", file) },
		"it is of other paths":        func(_, file string) error { return rewrite(file, `"paths":["/`, `"paths":["/x`) },
		"it has no modules, nor data": func(_, file string) error { return rewrite(file, `"builtin":true`, `"builtin":false`) },
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 && strings.Contains(name, "another's") {
				t.Skip("needs root: to give a file away")
			}
			dir := policyDir(t, "data.yaml", strictData)
			opts := Options{Paths: []string{dir}, BuiltinIfAbsent: true, StateDir: t.TempDir(), Once: true}
			loaded(t, opts)
			kept, err := filepath.Glob(filepath.Join(opts.StateDir, "policy-*.json"))
			if err != nil || len(kept) != 1 {
				t.Fatalf("kept %v, %v", kept, err)
			}
			if err := tamper(opts.StateDir, kept[0]); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "data.yaml")); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			e, err := restart(t, opts)
			if d := e.Decide(t.Context(), listing()); err == nil || d.Allow || !d.Failed || !strings.Contains(log.String(), "the last good policy cannot be had") {
				t.Errorf("%v, %+v, %s", err, d, log.String())
			}
			if err == nil || !strings.Contains(err.Error(), "there may have been one") {
				t.Errorf("it says %v", err)
			}
			// The way out is a good file.
			write(t, dir, "data.yaml", strictData)
			if err := e.Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func rewrite(file, from, to string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(raw), from, to, 1)), 0o600)
}

// TestNothingIsKept: without a place everything is denied until a file is mended; and
// what was never configured is the built-in policy.
func TestNothingIsKept(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, state := range map[string]string{"no setting": "", "no folder": filepath.Join(t.TempDir(), "none")} {
		t.Run(name, func(t *testing.T) {
			dir := policyDir(t, "data.yaml", strictData)
			var log strings.Builder
			opts := Options{Paths: []string{dir}, BuiltinIfAbsent: true, StateDir: state, Once: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			loaded(t, opts)
			if said := strings.Contains(log.String(), "will not outlive a restart"); said != (state != "") {
				t.Error(log.String())
			}
			write(t, dir, "data.yaml", "")
			e, err := restart(t, opts)
			if d := e.Decide(t.Context(), listing()); err == nil || d.Allow || !d.Failed {
				t.Errorf("%v, %+v", err, d)
			}
		})
	}
	opts := Options{Paths: []string{filepath.Join(t.TempDir(), "none")}, BuiltinIfAbsent: true, StateDir: t.TempDir()}
	for range 2 {
		if e, err := restart(t, opts); err != nil || e.Status().Source != builtinLabel {
			t.Errorf("%v, %+v", err, e.Status())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(opts.StateDir, "*")); len(left) > 0 {
		t.Errorf("it has kept %v", left)
	}
}

// TestWhatCannotBeKeptIsSaid: and so is what cannot be forgotten. Where nothing is to be kept, nothing is said.
func TestWhatCannotBeKeptIsSaid(t *testing.T) {
	t.Parallel()
	good, bad, blocked := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Chmod(bad, 0o777); err != nil {
		t.Fatal(err)
	}
	in := func(dir string) keeper { return keeper{dir, []string{"/p"}} }
	none, name := filepath.Join(good, "none"), in("").file()
	write(t, blocked, name+"/x", "a folder in its place")
	ours, theirs := &sources{}, &sources{fromPaths: true, tests: []file{{name: "ours_test.rego"}}, tested: true}
	for _, tc := range []struct {
		dir  string
		src  *sources
		says string
	}{
		{"", theirs, ""},
		{"", ours, ""},
		{none, ours, ""},
		{none, theirs, "keep the policy: "},
		{bad, ours, "keep the policy: "},
		{bad, theirs, "keep the policy: "},
		{blocked, ours, "forget the policy that was kept: "},
		{blocked, theirs, "keep the policy in " + blocked},
		{good, ours, ""},
		{good, theirs, ""},
		{good, ours, ""},
		{good, theirs, ""},
	} {
		if err := in(tc.dir).save(tc.src); (err == nil) != (tc.says == "") || err != nil && !strings.HasPrefix(err.Error(), tc.says) {
			t.Errorf("%q, from paths %v: %v, want %q", tc.dir, tc.src.fromPaths, err, tc.says)
		}
	}
	kept, err := os.ReadFile(filepath.Join(good, name))
	if err != nil || strings.Contains(string(kept), "ours_test.rego") {
		t.Errorf("%v: the built-in policy's own tests are kept: %s", err, kept)
	}

	begins := "read the policy that was kept in " + filepath.Join(good, name) + ": "
	for text, says := range map[string]string{"{": begins + "unexpected end of JSON input", `{"paths": ["/x"]}`: begins + "it is of other paths"} {
		write(t, good, name, text)
		if src, err := in(good).load(); src != nil || err == nil || err.Error() != says {
			t.Errorf("%s: %v, %v", text, src, err)
		}
	}
	for dir, there := range map[string]bool{"": false, none: false, bad: true, blocked: true} {
		if src, err := in(dir).load(); src != nil || (err != nil) != there || there && strings.Contains(err.Error(), "other paths") {
			t.Errorf("%q: %v, %v", dir, src, err)
		}
	}
}

// TestOtherPathsAreAnotherPolicy: what is kept for one decides nothing for the other.
func TestOtherPathsAreAnotherPolicy(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(allowList))}, StateDir: state})
	other := policyDir(t, "authz.rego", "broken")
	if e, err := restart(t, Options{Paths: []string{other}, StateDir: state}); err == nil || lists(t, e)() || e.Status().Revision != "" {
		t.Errorf("%v, %+v", err, e.Status())
	}
}

// TestAccepted: what looks like an accident is taken if its revision is written down,
// and nothing else is.
func TestAccepted(t *testing.T) {
	t.Parallel()
	dir := policyDir(t, "data.yaml", strictData, "more/data.yaml", "x: 1\n", "authz.rego", module(allowList))
	opts := Options{Paths: []string{dir}, BuiltinIfAbsent: true, StateDir: t.TempDir(), Once: true}
	e, _ := watched(t, opts)
	first := e.Status().Revision
	for _, name := range []string{"more/data.yaml", "authz.rego", "data.yaml"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		wait.Until(t, "its loss is noticed", func() bool { return strings.Contains(e.Status().LastError, name+": is gone") })
		said := e.Status().LastError
		command := said[strings.LastIndex(said, "echo ")+len("echo "):]
		revision, file, _ := strings.Cut(command, " > ")
		if file != filepath.Join(dir, "accept") || len(revision) != 12 || e.Status().Revision == revision {
			t.Fatalf("it says %q", said)
		}
		write(t, dir, "accept", first+"\n")
		e.reload(t.Context())
		e.reload(t.Context())
		if e.Status().LastError == "" {
			t.Fatal("another revision was accepted")
		}
		write(t, dir, "accept", revision+"\n")
		wait.Until(t, "it is taken", func() bool { return e.Status().Revision == revision && e.Status().LastError == "" })
	}
	if s := e.Status(); s.Source != builtinLabel {
		t.Errorf("in the end the built-in policy is accepted: %+v", s)
	}
	if after, err := restart(t, opts); err != nil || after.Status().Source != builtinLabel {
		t.Errorf("after a restart: %v, %+v", err, after.Status())
	}
}

// TestRefusalSaysWhatDecides: each problem is a line of the log with its key, and says what decides instead.
func TestRefusalSaysWhatDecides(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	for name, before := range map[string]string{"everything is denied until a file is mended": "", "the last good policy, revision ": strictData} {
		var log strings.Builder
		dir := policyDir(t, "data.yaml", before)
		opts := Options{Paths: []string{dir}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		e, err := restart(t, opts)
		if (err == nil) != (before != "") {
			t.Fatal(err)
		}
		log.Reset()
		write(t, dir, "data.yaml", strictData+"role: {}\nbinding: {}\n")
		if err := e.Load(t.Context()); err == nil {
			t.Fatal("it is loaded")
		}
		if lines := strings.Count(log.String(), "policy refused"); lines != 2 || strings.Count(log.String(), name) != 2 || strings.Contains(log.String(), `\n`) || !strings.Contains(log.String(), "is it roles?") || !strings.Contains(log.String(), "is it bindings?") {
			t.Errorf("%s: %d lines:\n%s", name, lines, log.String())
		}
	}
}
