package policy

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vitrine/test/long"
	"vitrine/test/wait"
)

// The policies in force: each allows tls:ci to list and not to see processes, and
// nothing to local, which may do everything under the built-in one. What ends them is what limits them.
const (
	strictData = `strict: true
bindings:
  ci: ["tls:ci"]
  look: ["tls:look"]
roles:
  look: {access: [ping]}
  ci:
    access: [list, inspect]
    except: [ContainerTop]
`
	allowCI = `package docker.authz

default allow := false

allow if {
	"tls:ci" in input.caller.principals
	input.operation.access in {"list", "inspect"}
	not denied
}

denied if input.operation.id in data.excepted
`
	exceptCI = `package docker.authz

denied if input.operation.id == "ContainerTop"
`
)

// inForce is an engine with a policy, and everybody asking it.
type inForce struct {
	*testing.T
	e    *Engine
	opts Options
	dir  string

	revision string
	asked    *atomic.Int64
	stop     func() // nobody asks any more
}

// in is the same for a subtest.
func (w *inForce) in(t *testing.T) *inForce {
	same := *w
	same.T = t
	return &same
}

// putInForce loads files; with folders as a ConfigMap has them, data.yaml is a link
// through one that is turned.
func putInForce(t *testing.T, files ...string) *inForce {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vitrine")
	w := &inForce{T: t, dir: dir, opts: Options{Paths: []string{dir}, BuiltinIfAbsent: true, StateDir: t.TempDir(), Once: true}, asked: new(atomic.Int64)} // it is loaded more often than it is asked anything new
	w.write(files)
	w.e = loaded(t, w.opts)
	w.revision = w.e.Status().Revision
	stop := make(chan struct{})
	var callers sync.WaitGroup
	w.stop = sync.OnceFunc(func() { close(stop); callers.Wait() })
	t.Cleanup(w.stop)
	for range 20 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.ask(w.e)
					w.asked.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	w.answered()
	return w
}

func (w *inForce) write(files []string) {
	w.Helper()
	for i := 0; i < len(files); i += 2 {
		write(w, w.dir, files[i], files[i+1])
	}
	if strings.HasPrefix(files[0], "..1") {
		w.must(os.Symlink("..1", w.path("..data")))
		w.must(os.Symlink("..data/data.yaml", w.path("data.yaml")))
	}
}

// ask asks what the policy in force allows, what it denies, and what only the
// built-in policy allows.
func (w *inForce) ask(e *Engine) {
	for _, q := range []struct {
		principal, method, uri string
		allow                  bool
	}{
		{"tls:ci", "GET", "/containers/json", true},
		{"tls:ci", "GET", "/containers/web/top", false},
		{"tls:look", "GET", "/containers/json", false},
		{"local", "GET", "/containers/json", false},
		{"unix:root", "POST", "/containers/web/stop", false},
	} {
		d := e.Decide(context.Background(), ask(w, []string{q.principal}, q.method, q.uri, ""))
		if d.Allow != q.allow || d.Failed || d.Revision != w.revision {
			w.Errorf("%s %s by %s: %+v, want %v by revision %s", q.method, q.uri, q.principal, d, q.allow, w.revision)
		}
	}
}

// answered waits until everybody has been answered again.
func (w *inForce) answered() {
	n := w.asked.Load()
	wait.Until(w.T, "everybody to be answered", func() bool { return w.asked.Load() >= n+20 })
}

// look has the engine look at the files as Watch does, and start as after a restart.
func (w *inForce) look(says string) {
	w.Helper()
	w.e.reload(w.Context())
	w.e.reload(w.Context())
	if got := w.e.Status().LastError; !strings.Contains(got, says) {
		w.Errorf("status says %q, want %q", got, says)
	}
	after := New(w.opts)
	if err := after.Load(w.Context()); err == nil || !after.Status().Kept || after.Status().LastError != err.Error() {
		w.Errorf("after a restart: %v, %+v", err, after.Status())
	}
	w.ask(after)
}

// path is a file of the policy's folder.
func (w *inForce) path(name string) string { return filepath.Join(w.dir, name) }

func (w *inForce) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// TestClosedPolicyNeverWidens: whatever happens to the files of a policy in force, under everybody's questions, it decides until they are
// mended; and after a restart too. Each policy is loaded once, and its accidents are one after the other. With -short, for the race
// detector, each has two: what runs beside what is the same in all.
func TestClosedPolicyNeverWidens(t *testing.T) {
	t.Parallel()
	const data, own, rules, forOwn, extra, configMap = "data", "rules", "rules without data", "rules, and data of ours", "an extra rule", "a ConfigMap"
	ownRules := []string{"authz.rego", allowCI, "denied.rego", exceptCI, "data.yaml", "excepted: [ContainerTop]\n"}
	policies := map[string][]string{
		data:   {"data.yaml", strictData},
		own:    ownRules,
		rules:  ownRules[:4],
		forOwn: {"authz.rego", allowCI + strings.TrimPrefix(exceptCI, "package docker.authz\n"), "data.yaml", "bindings: {admin: [local]}\n"},
		extra: {"data.yaml", strings.ReplaceAll(strictData, "except: [ContainerTop], ", ""), "extra.rego", extraTop +
			"\ndeny contains \"no\" if false\n\ndeny contains \"no top\" if input.operation.id == \"ContainerTop\"\n"},
		configMap: {"..1/data.yaml", strictData, "..2/README", "nothing yet"},
	}
	put := func(content string) func(*inForce) {
		return func(w *inForce) { write(w, w.dir, "data.yaml", content) }
	}
	gone := func(name string) func(*inForce) {
		return func(w *inForce) { w.must(os.RemoveAll(w.path(name))) }
	}
	moved := func(name string) func(*inForce) {
		return func(w *inForce) { w.must(os.Rename(w.path(name), w.path(name)+".bak")) }
	}
	accidents := map[string]struct {
		policy string
		damage func(*inForce)
		says   string
	}{
		"emptied":                        {data, put(""), "data.yaml: is empty"},
		"blank":                          {data, put(" \n\n"), "data.yaml: is empty"},
		"a comment":                      {data, put("# later\n"), "data.yaml: is empty"},
		"three dashes":                   {data, put("---\n"), "data.yaml: is empty"},
		"null":                           {data, put("~\n"), "data.yaml: is empty"},
		"braces":                         {data, put("{}\n"), "data.yaml: is empty"},
		"garbage":                        {data, put("\x00\x01"), "data.yaml"},
		"two documents":                  {data, put("bindings: {admin: [local]}\n---\n" + strictData), "more than one document"},
		"the bindings are gone":          {data, put("roles: {look: {access: [ping]}}\n"), "bindings: is gone"},
		"a role is gone":                 {data, put("bindings: {admin: [local], look: ['tls:look']}\n"), "roles.look: is gone"},
		"removed":                        {data, gone("data.yaml"), "data.yaml: is gone"},
		"moved":                          {data, moved("data.yaml"), "data.yaml: is gone"},
		"the folder is removed":          {data, gone("."), "data.yaml: is gone"},
		"the folder is moved":            {data, moved("."), "data.yaml: is gone"},
		"the folder is a file":           {data, func(w *inForce) { gone(".")(w); w.must(os.WriteFile(w.dir, []byte("x"), 0o600)) }, "not a directory"},
		"a folder in its place":          {data, func(w *inForce) { gone("data.yaml")(w); w.must(os.Mkdir(w.path("data.yaml"), 0o755)) }, "is a folder"},
		"a pipe in its place":            {data, func(w *inForce) { gone("data.yaml")(w); w.must(syscall.Mkfifo(w.path("data.yaml"), 0o600)) }, "not a regular file"},
		"a link to nothing":              {data, func(w *inForce) { gone("data.yaml")(w); w.must(os.Symlink("nowhere", w.path("data.yaml"))) }, "a link to nothing"},
		"a link to itself":               {data, func(w *inForce) { gone("data.yaml")(w); w.must(os.Symlink("data.yaml", w.path("data.yaml"))) }, "too many levels"},
		"unreadable":                     {data, unreadable, "data.yaml"},
		"longer than may be":             {data, func(w *inForce) { w.must(os.Truncate(w.path("data.yaml"), maxSourceFile+1)) }, "larger than"},
		"being written":                  {data, beingWritten, "is being written"},
		"a ConfigMap's link to nothing":  {configMap, func(w *inForce) { flip(w, "..3") }, "a link to nothing"},
		"a ConfigMap's link to no files": {configMap, func(w *inForce) { flip(w, "..2") }, "a link to nothing"},
		"rules are removed":              {own, gone("authz.rego"), "no rule allow"},
		"rules are moved":                {own, moved("authz.rego"), "no rule allow"},
		"the rules that the data is for": {forOwn, gone("authz.rego"), "authz.rego: is gone"},
		"all rules are removed":          {rules, func(w *inForce) { gone("authz.rego")(w); gone("denied.rego")(w) }, "authz.rego: is gone"},
		"a denial is removed":            {own, gone("denied.rego"), "denied.rego: is gone"},
		"rules are emptied":              {own, func(w *inForce) { write(w, w.dir, "denied.rego", "") }, "denied.rego"},
		"rules are cut off":              {own, func(w *inForce) { write(w, w.dir, "denied.rego", "package docker.authz\n") }, "denied.rego: is cut off"},
		"an extra rule is removed":       {extra, gone("extra.rego"), "extra.rego: is gone"},
		"an extra rule is emptied":       {extra, func(w *inForce) { write(w, w.dir, "extra.rego", "") }, "extra.rego"},
		"an extra rule is cut off":       {extra, func(w *inForce) { write(w, w.dir, "extra.rego", extraTop+"\ndeny contains \"no\" if false\n") }, "extra.rego: is cut off"},
		"the data of an extra rule":      {extra, gone("data.yaml"), "data.yaml: is gone"},
		"their data is removed":          {own, gone("data.yaml"), "data.yaml: is gone"},
	}
	for policy, files := range policies {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			all := putInForce(t, files...)
			n := 0
			for _, name := range slices.Sorted(maps.Keys(accidents)) {
				test := accidents[name]
				if test.policy != policy {
					continue
				}
				if n++; n > 2 && testing.Short() {
					break
				}
				t.Run(name, func(t *testing.T) {
					w := all.in(t)
					test.damage(w)
					w.look(test.says)
					w.answered()

					w.must(os.RemoveAll(w.dir))
					w.write(files)
					w.e.reload(t.Context())
					w.e.reload(t.Context())
					if s := w.e.Status(); s.LastError != "" || s.Revision != w.revision {
						t.Errorf("mended: %+v", s)
					}
				})
			}
			if n == 0 {
				t.Error("it has no accident")
			}
		})
	}
}

func flip(w *inForce, target string) {
	w.must(os.Remove(w.path("..data")))
	w.must(os.Symlink(target, w.path("..data")))
}

// unreadable: root reads all the same, unless the file is none.
func unreadable(w *inForce) {
	if os.Geteuid() != 0 {
		w.must(os.Chmod(w.path("data.yaml"), 0))
		return
	}
	w.must(os.Remove(w.path("data.yaml")))
	w.must(os.Symlink("/proc/self/mem", w.path("data.yaml")))
}

// beingWritten: another policy that is whole, and that its author has not closed.
func beingWritten(w *inForce) {
	f, err := os.OpenFile(w.path("data.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	w.must(err)
	w.Cleanup(func() { _ = f.Close() })
	_, err = f.WriteString("bindings: {admin: [local]}\nroles: {look: {access: [ping]}}\n")
	w.must(err)
}

// TestClosedTruncatedPolicyNeverWidens: a file is cut at each byte, and grows from
// nothing, as while somebody writes it. Many of its beginnings are policies.
func TestClosedTruncatedPolicyNeverWidens(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{
		"data.yaml":   {"data.yaml", strictData},
		"denied.rego": {"authz.rego", allowCI, "denied.rego", exceptCI, "data.yaml", "excepted: []\n"},
		"authz.rego":  {"authz.rego", allowCI + strings.TrimPrefix(exceptCI, "package docker.authz\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := putInForce(t, files...)
			content := files[slices.Index(files, name)+1]
			policies := 0
			for i := 0; i < len(strings.TrimSpace(content)); i += long.Of(10, 1) {
				write(t, w.dir, name, content[:i])
				if _, _, err := build(t.Context(), must(readSources(w.opts.Paths, true)), w.e.opts); err == nil {
					policies++
				}
				w.e.reload(t.Context())
				w.e.reload(t.Context())
				if w.e.Status().LastError == "" {
					t.Fatalf("taken when cut to %q", content[:i])
				}
			}
			if policies == 0 {
				t.Error("none of its beginnings is a policy: nothing was tested")
			}
			w.look(name)
			w.answered()
		})
	}
}

func must(src *sources, err error) *sources {
	if err != nil {
		panic(err)
	}
	return src
}

// TestClosedSlowWriterNeverWidens: somebody writes another policy, and takes his time
// over it. What he has written so far would allow more.
func TestClosedSlowWriterNeverWidens(t *testing.T) {
	t.Parallel()
	w := putInForce(t, "data.yaml", strictData)
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() { watching <- w.e.Watch(ctx) }()
	defer func() {
		cancel()
		if err := <-watching; err != nil {
			t.Error(err)
		}
	}()

	f, err := os.OpenFile(w.path("data.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	w.must(err)
	defer f.Close()
	for _, part := range []string{"# another one\n", "bindings: {admin: [local]}\n", "roles: {look: {access: [ping]}}\n"} {
		_, err := f.WriteString(part)
		w.must(err)
		time.Sleep(3 * settle) // quiet for longer than an editor is
	}
	wait.Until(t, "it is said", func() bool { return strings.Contains(w.e.Status().LastError, "is being written") })
	w.answered()
	w.stop()
	w.must(f.Truncate(0))
	_, err = f.WriteAt([]byte("# the same\n"+strictData), 0)
	w.must(err)
	w.must(f.Close())
	wait.Until(t, "what he has written is taken once he is done", func() bool { return w.e.Status().LastError == "" })
}

// TestWhatIsAnAccident, and how it is said that it is none. What a preset says changes with this program alone, and a bundle, which
// is read whole, may have been built without what it had, but for what must hold.
func TestWhatIsAnAccident(t *testing.T) {
	t.Parallel()
	const text = "package a\n\nx := 1\n"
	for what, tc := range map[string]struct {
		was  file
		now  []string // the text of the file of that name now
		says string
	}{
		"a file that is gone":      {file{name: "a.rego"}, nil, "a.rego: is gone"},
		"a file that is cut off":   {file{name: "a.rego"}, []string{text[:11]}, "a.rego: is cut off"},
		"a file without its end":   {file{name: "a.rego"}, []string{text[:len(text)-1]}, ""},
		"a file as it was":         {file{name: "a.rego"}, []string{text}, ""},
		"another, shorter file":    {file{name: "a.rego"}, []string{"package b\n"}, ""},
		"a bundle without it":      {file{name: "a.rego", bundled: true}, nil, ""},
		"a bundle's invariants":    {file{name: invariantsFile, bundled: true}, nil, invariantsFile + ": is gone"},
		"a preset that is gone":    {file{name: "preset:a"}, nil, ""},
		"a preset that is shorter": {file{name: "preset:a"}, []string{text[:11]}, ""},
	} {
		tc.was.raw = []byte(text)
		now, was := &sources{revision: "0123456789ab"}, &sources{}
		add := func(to *sources, f file) {
			if isClaim(f.name) {
				to.claims = append(to.claims, f)
			} else {
				to.data = append(to.data, []file{f})
			}
		}
		add(was, tc.was)
		for _, text := range tc.now {
			is := tc.was
			is.raw = []byte(text)
			add(now, is)
		}
		there, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
		for dir, first := range map[string]string{there: "", none: "mkdir -p " + none + " && "} {
			err := now.accident(was, []string{"preset:a", dir})
			if tc.says == "" {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				continue
			}
			want := ", so it is not taken; if it is meant: " + first + "echo 0123456789ab > " + filepath.Join(dir, acceptFile)
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want %q and %q", what, err, tc.says, want)
			}
		}
		now.accepted = []string{"other", now.revision}
		if err := now.accident(was, []string{there}); err != nil {
			t.Errorf("%s, and accepted: %v", what, err)
		}
	}
}

// TestWhereAnAccidentIsAccepted: in the policy's folder, or beside its file, and nowhere else.
func TestWhereAnAccidentIsAccepted(t *testing.T) {
	dir := policyDir(t, "accept", "0123456789ab\nffff", "a.rego", "", "preset:a/accept", "0123456789ab")
	t.Chdir(dir)
	for path, n := range map[string]int{dir: 2, filepath.Join(dir, "a.rego"): 2, filepath.Join(dir, "none"): 0, "preset:a": 0, filepath.Join(dir, "preset:a"): 1} {
		if accepted := readAccepted(path); len(accepted) != n {
			t.Errorf("%s: %v, want %d", path, accepted, n)
		}
	}
}

// TestBuiltInRolesThatReturnAreAnAccident: where the operator's own stood in their place, and no rules of his own decide.
func TestBuiltInRolesThatReturnAreAnAccident(t *testing.T) {
	t.Parallel()
	of := func(builtin bool, data string) *sources {
		s := &sources{fromPaths: true, data: [][]file{{{name: "a.yaml", raw: []byte("roles: {look: {}}\n")}}, {{name: "data.yaml", raw: []byte(data)}}}}
		if builtin {
			s.data = s.data[1:]
			if err := s.useBuiltin(); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	const all, mine = "bindings: {admin: [local]}\nroles: {look: {}, mine: {}}\n", "roles: {mine: {}}\n"
	absent := of(true, mine)
	absent.fromPaths = false
	for what, tc := range map[string]struct {
		was, now *sources
		says     string
	}{
		"both are gone":            {of(true, all), of(true, mine), "bindings: is gone, and without it the built-in bindings hold\nroles.look: is gone, and without it the built-in role of that name holds"},
		"the bindings are gone":    {of(true, all), of(true, "roles: {look: {}}\n"), "bindings: is gone, and without it the built-in bindings hold"},
		"a role is gone":           {of(true, all), of(true, "bindings: {}\n"), "roles.look: is gone, and without it the built-in role of that name holds"},
		"nothing is gone":          {of(true, all), of(true, all), ""},
		"there was nothing":        {of(true, mine), of(true, mine), ""},
		"a role that is none's":    {of(true, mine), of(true, "x: 1\n"), ""},
		"all of it is gone":        {of(true, all), absent, ""}, // and said of the files
		"rules of one's own now":   {of(true, all), of(false, mine), ""},
		"rules of one's own until": {of(false, all), of(true, mine), ""},
		"what cannot be read":      {of(true, all), of(true, "["), "bindings: is gone, and without it the built-in bindings hold\nroles.look: is gone, and without it the built-in role of that name holds"},
	} {
		if said := errors.Join(tc.now.returning(tc.was)...); (said == nil) != (tc.says == "") || said != nil && said.Error() != tc.says {
			t.Errorf("%s: %v, want %q", what, said, tc.says)
		}
	}
}

// TestReadingKeepsNobodyFromWriting: who wants to write a file of the policy need not wait until it has been read.
func TestReadingKeepsNobodyFromWriting(t *testing.T) {
	t.Parallel()
	name := write(t, t.TempDir(), "data.yaml", "")
	reading, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	openForWriting(reading)
	writing, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	writing.Close()
}
