package policy

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// garbage is how much of it there may be, in percent of what lives, before it is collected: a policy leaves much and lives for one test, and
// with Go's default every fifth second of the tests' time went into that.
const garbage = 400

// TestMain runs more tests beside each other than there may be processors: those that wait for the files to be quiet keep none.
func TestMain(m *testing.M) {
	debug.SetGCPercent(garbage)
	long.AtATime(8)
	goleak.VerifyTestMain(m)
}

// write writes a file below dir, with its folders.
func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// policyDir is a folder with files, given as name, content, name, content and so on.
func policyDir(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, dir, files[i], files[i+1])
	}
	return dir
}

// loaded is an engine with a policy that must load.
func loaded(t testing.TB, opts Options) *Engine {
	t.Helper()
	e := New(opts)
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// builtin is an engine with the built-in policy, for all tests that only ask it.
var builtin = sync.OnceValue(func() *Engine {
	e := New(Options{})
	if err := e.Load(context.Background()); err != nil {
		panic(err)
	}
	return e
})

// refused loads a policy that must not load, and gives the reason.
func refused(t testing.TB, opts Options) string {
	t.Helper()
	e := New(opts)
	err := e.Load(t.Context())
	if err == nil {
		t.Fatal("the policy was loaded")
	}
	d := e.Decide(t.Context(), listing())
	if d.Allow || !d.Failed || len(d.Reasons) == 0 {
		t.Errorf("without a good policy: %+v, want a failed denial with a reason", d)
	}
	wantContains(t, strings.Join(d.Reasons, "; "), "no policy is loaded: the latest one was refused")
	if got := e.Status().LastError; got != err.Error() {
		t.Errorf("status says %q, want %q", got, err)
	}
	return err.Error()
}

// module is a policy in package docker.authz, of version 1.
func module(body string) string { return "package docker.authz\n\n" + body }

func listing() *Input {
	return &Input{
		Caller: &identity.Identity{Kind: identity.Container, Principals: []string{
			"container:agent", "container-id:" + strings.Repeat("0", 64), "container-uid:0", "image:agent",
			"image-id:sha256:" + strings.Repeat("0", 64), "label:vitrine.role=look",
		}, Door: "gateway", Listener: "agents"},
		Operation: &operation.Operation{
			ID: "ContainerList", Resource: "containers", Access: operation.List, BodyState: operation.BodyNone,
			Method: "GET", URI: "/v1.41/containers/json", Path: "/containers/json", Version: "1.41",
		},
	}
}

// ask parses a request as the doors do.
func ask(t testing.TB, principals []string, method, uri, body string) *Input {
	t.Helper()
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: map[string][]string{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	op, err := operation.Parse(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, uri, err)
	}
	return &Input{Caller: &identity.Identity{Kind: identity.Host, Principals: principals}, Operation: op}
}

func wantContains(t testing.TB, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %q", got, want)
		}
	}
}
