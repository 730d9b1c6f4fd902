package lifecycle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// hangs is a policy that, asked for the volumes, does not answer: OPA can be
// stopped between two steps. Asked for the networks it is in a builtin that
// cannot be stopped.
const hangs = `package docker.authz

default allow := false

allow if {
	input.caller.kind in {"host", "local"}
	not loops
	not matches
}

loops if {
	input.operation.id == "VolumeList"
	some x in numbers.range(1, 100000)
	some y in numbers.range(1, 100000)
	x + y == 0
}

matches if {
	input.operation.id == "NetworkList"
	regex.match("(0?){900}1", sprintf("%0200000d", [0]))
}
`

func TestPolicyThatHangsIsADenialInTwoSecondsClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Rego: hangs})
	another := clientOf(vitrine.As(t, nobody), p.Socket)
	// beside asks both doors for what hangs, and says whether somebody else was answered meanwhile.
	beside := func(path string) bool {
		var doors sync.WaitGroup
		var waiting atomic.Int32
		for name, socket := range map[string]string{"gateway": p.Socket, "plugin": p.Engine.Socket} {
			waiting.Add(1)
			doors.Go(func() {
				defer waiting.Add(-1)
				began := time.Now()
				a, err := get(t.Context(), engine.SocketClient(socket), path)
				took := time.Since(began)
				if err != nil || a.status != http.StatusForbidden || !strings.Contains(a.body, "the policy gave no answer in time") {
					t.Errorf("GET %s, %s: %s, %v", path, name, a, err)
				}
				if took < 1900*time.Millisecond || took > wait.Patience(3*time.Second) {
					t.Errorf("GET %s, %s: denied after %s, want 2 s", path, name, took)
				}
			})
		}
		// At the plugin's door all are one caller, whose next request waits its turn.
		if a, err := get(t.Context(), another, "/containers/json"); err != nil || a.status != http.StatusOK {
			t.Errorf("another caller beside GET %s: %s, %v", path, a, err)
		}
		meanwhile := waiting.Load() == 2
		expect(t, p.Engine.Socket, "/containers/json", 200, "[")
		doors.Wait()
		return meanwhile
	}
	for _, path := range []string{"/volumes", "/networks"} {
		meanwhile := false
		for range 3 { // on a busy machine two seconds may be too little for an answer, but not always
			meanwhile = meanwhile || beside(path)
		}
		if !meanwhile {
			t.Errorf("GET %s: others had to wait until it was denied", path)
		}
	}
	denied := map[string]bool{}
	p.Eventually("the records", func() error {
		for _, r := range p.Audit() {
			if !r.Allow && strings.Contains(strings.Join(r.Reasons, " "), "the policy gave no answer in time") {
				denied[r.Door+" "+r.Operation] = true
			}
		}
		if len(denied) != 4 {
			return fmt.Errorf("denied %v", denied)
		}
		return nil
	})
	if a, err := alarmAt(p.Admin); err != nil || a.metric != "1" {
		t.Errorf("vitrine_plugin_asked %s, %v: being slow is not being unasked", a.metric, err)
	}
}

const (
	// everybody allows whoever is known, nobodyElse root and dockerd's own socket.
	everybody  = "package docker.authz\n\ndefault allow := false\n\nallow if input.caller.kind in {\"host\", \"local\"}\n"
	nobodyElse = "package docker.authz\n\ndefault allow := false\n\nallow if input.caller.uid == 0\n\nallow if input.caller.kind == \"local\"\n"
)

// broken are policies that must not be taken, and what is said of them.
var broken = []struct{ name, rego, says string }{
	{"syntax", "package docker.authz\n\nallow if {", "authz.rego"},
	{"a name that is nowhere", everybody + "\nallow if input.caller.uidd == 0\n", "uidd"},
	{"allows an empty input", "package docker.authz\n\ndefault allow := true\n", "empty input"},
	{"not a boolean", "package docker.authz\n\nallow := \"yes\"\n", "not a boolean"},
	{"another package", "package docker.other\n\ndefault allow := false\n", "no rule allow"},
	{"reaches the network", everybody + "\nallow if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).status_code == 200\n", "http.send"},
	{"empty file", "", "authz.rego"},
}

// refused waits until the policy is said to be refused, everywhere, and nothing
// else is the matter.
func refused(t *testing.T, p *vitrine.Process, says string) {
	t.Helper()
	p.Eventually("the policy to be refused: "+says, func() error {
		h, err := p.Health()
		if err != nil {
			return err
		}
		if h.Status == "ok" || !strings.Contains(h.Checks["policy"], says) || h.Checks["upstream"] != "ok" {
			return fmt.Errorf("health %v", h.Checks)
		}
		if got := metric(p.Metrics(), "vitrine_policy_last_load_success"); got != "0" {
			return fmt.Errorf("metric %s", got)
		}
		if !strings.Contains(p.Log(), "policy refused") {
			return errors.New("nothing in the log")
		}
		return nil
	})
}

// policyIn is the policy that decides, as the metric names it.
func policyIn(p *vitrine.Process) string {
	for line := range strings.Lines(p.Metrics()) {
		if strings.HasPrefix(line, "vitrine_policy_info{") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestBrokenNewPolicyChangesNothing(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Rego: nobodyElse})
	visitor := clientOf(vitrine.As(t, nobody), p.Socket)
	unchanged := func(what string) {
		t.Helper()
		expect(t, p.Socket, "/containers/json", 200, "[")
		expect(t, p.Engine.Socket, "/containers/json", 200, "[")
		if a, err := get(t.Context(), visitor, "/containers/json"); err != nil || a.status != http.StatusForbidden {
			t.Errorf("%s: somebody is answered %s, %v", what, a, err)
		}
	}
	unchanged("at first")
	before := policyIn(p)
	for _, b := range broken {
		p.WritePolicy("authz.rego", b.rego)
		refused(t, p, b.says)
		unchanged(b.name)
		if after := policyIn(p); after != before {
			t.Errorf("%s: %s decides, want %s", b.name, after, before)
		}
	}
	p.WritePolicy("authz.rego", everybody)
	p.WaitReady()
	if a, err := get(t.Context(), visitor, "/containers/json"); err != nil || a.status != 200 {
		t.Errorf("under the next good policy somebody is answered %s, %v", a, err)
	}
	if after := policyIn(p); after == before || metric(p.Metrics(), "vitrine_policy_last_load_success") != "1" {
		t.Errorf("the next good policy is not in the metrics: %s", after)
	}
}

// TestStreamsEndWithTheirPermissionClosed: who loses a permission loses what he is
// still being sent by it, and nobody else does.
func TestStreamsEndWithTheirPermissionClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Rego: everybody})
	follow := func(c *http.Client) io.Reader {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/events", nil)
		must(t, err)
		res, err := c.Do(req)
		must(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET /events: %s", res.Status)
		}
		return res.Body
	}
	visitors, roots := follow(clientOf(vitrine.As(t, nobody), p.Socket)), bufio.NewReader(follow(engine.SocketClient(p.Socket)))
	var said wait.Buffer
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(&said, visitors)
		close(ended)
	}()
	event := func() {
		t.Helper()
		p.Engine.Docker("volume", "create", "vol")
		p.Engine.Docker("volume", "rm", "vol")
		for range 2 {
			if line, err := roots.ReadString('\n'); err != nil || !strings.Contains(line, `"volume"`) {
				t.Fatalf("root's stream: %q, %v", line, err)
			}
		}
	}
	p.WritePolicy("authz.rego", broken[0].rego)
	refused(t, p, broken[0].says)
	event()
	wait.Until(t, "the visitor to be told of both", func() bool { return strings.Count(said.String(), `"volume"`) == 2 })
	select {
	case <-ended:
		t.Fatalf("a policy that is not taken ended a stream: %q", said.String())
	default:
	}
	p.WritePolicy("authz.rego", nobodyElse)
	select {
	case <-ended:
	case <-time.After(wait.Patience(20 * time.Second)):
		t.Fatal("the visitor is still being sent events")
	}
	event()
	if got := said.String(); strings.Count(got, `"volume"`) != 2 {
		t.Errorf("the visitor's stream was %q", got)
	}
	wait.Until(t, "the log to say so", func() bool { return strings.Contains(p.Log(), `msg="request broken off" caller=`) })
}

// A file that is broken when we start: the last good policy decides, if there was a place to keep it.
func TestBrokenPolicyAfterARestartClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Rego: nobodyElse})
	visitor := clientOf(vitrine.As(t, nobody), p.Socket)
	before := policyIn(p)
	for _, b := range broken {
		p.Stop()
		p.WritePolicy("authz.rego", b.rego)
		p.Run()
		refused(t, p, b.says)
		if after := policyIn(p); after != before {
			t.Errorf("%s: %s decides, want %s", b.name, after, before)
		}
		expect(t, p.Socket, "/containers/json", 200, "[")
		expect(t, p.Engine.Socket, "/containers/json", 200, "[")
		if a, err := get(t.Context(), visitor, "/containers/json"); err != nil || a.status != http.StatusForbidden {
			t.Errorf("%s: somebody is answered %s, %v", b.name, a, err)
		}
	}
	p.Stop()
	must(t, os.RemoveAll(p.PolicyDir))
	p.Run()
	refused(t, p, "authz.rego: is gone")
	if a, err := get(t.Context(), visitor, "/containers/json"); err != nil || a.status != http.StatusForbidden || policyIn(p) != before {
		t.Errorf("without a file: somebody is answered %s, %v by %s", a, err, policyIn(p))
	}
}

func TestBrokenFirstPolicyDeniesUntilItsFileIsMendedClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Rego: everybody, Args: []string{"--state-dir", ""}})
	for _, b := range broken {
		p.Stop()
		p.WritePolicy("authz.rego", b.rego)
		p.Run()
		refused(t, p, b.says)
		for _, socket := range []string{p.Socket, p.Engine.Socket} {
			expect(t, socket, "/containers/json", http.StatusForbidden, "no policy is loaded")
			expect(t, socket, "/_ping", http.StatusForbidden, "no policy is loaded")
		}
		if got := policyIn(p); got != "" {
			t.Errorf("%s: %s decides", b.name, got)
		}
		// Docker's API is no help, so the file must be: our own calls go on.
		silent := p.Engine.DockerCommand(p.Engine.Socket, "ps")
		if out, err := silent.CombinedOutput(); err == nil {
			t.Errorf("%s: docker ps works:\n%s", b.name, out)
		}
		p.WritePolicy("authz.rego", everybody)
		p.WaitReady()
		expect(t, p.Socket, "/containers/json", 200, "[")
		expect(t, p.Engine.Socket, "/containers/json", 200, "[")
	}
}

// A restart of dockerd under a policy that denies everything must not lock it out.
func TestDockerdStartsUnderABrokenFirstPolicyClosed(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{})
	p.Stop()
	p.WritePolicy("authz.rego", broken[0].rego)
	p.Run()
	w := watch(t, p.Engine)
	must(t, p.Engine.Restart())
	w.closed(t, "restart")
	expect(t, p.Engine.Socket, "/containers/json", http.StatusForbidden, "no policy is loaded")
	p.WritePolicy("authz.rego", everybody)
	p.WaitReady()
	expect(t, p.Engine.Socket, "/containers/json", 200, "[")
}

const onlyLocal = "bindings:\n  admin: [local]\n"

func TestFolderWithoutAPolicyIsTheBuiltInPolicy(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{}) // an empty folder
	builtIn := func(what string) {
		t.Helper()
		if got := policyIn(p); !strings.Contains(got, `source="built-in"`) {
			t.Errorf("%s: %s decides", what, got)
		}
		expect(t, p.Socket, "/containers/json", 200, "[")
	}
	builtIn("empty folder")
	p.Stop()
	must(t, os.RemoveAll(p.PolicyDir))
	p.Run()
	p.WaitReady()
	builtIn("no folder")

	// One that appears is taken.
	must(t, os.MkdirAll(p.PolicyDir, 0o755))
	p.WritePolicy("data.yaml", onlyLocal)
	p.Eventually("the folder's policy", func() error {
		if got := policyIn(p); !strings.Contains(got, p.PolicyDir[len(p.Engine.Dir):]) {
			return fmt.Errorf("%s decides", got)
		}
		return nil
	})
	expect(t, p.Socket, "/containers/json", http.StatusForbidden, "no role")

	// One that disappears is no way back to the built-in one, which allows more.
	must(t, os.RemoveAll(p.PolicyDir))
	p.Eventually("the loss to be noticed", func() error {
		if h, err := p.Health(); err != nil || h.Checks["policy"] == "ok" {
			return fmt.Errorf("%v, %w", h, err)
		}
		return nil
	})
	expect(t, p.Socket, "/containers/json", http.StatusForbidden, "no role")
}

func TestNamedPolicyThatIsMissingDeniesUntilItAppearsClosed(t *testing.T) {
	p := legacy(t, vitrine.Options{NotReady: true, Args: []string{"--policy", "/etc/docker/elsewhere"}})
	tell(t, p.Engine, named())
	eventuallyAsked(t, p.Engine, true)
	refused(t, p, "/etc/docker/elsewhere")
	for _, socket := range []string{p.Socket, p.Engine.Socket} {
		expect(t, socket, "/containers/json", http.StatusForbidden, "no policy is loaded")
	}
	folder := p.Engine.Path("/etc/docker/elsewhere")
	must(t, os.Mkdir(folder, 0o755))
	refused(t, p, "holds no policy")
	expect(t, p.Socket, "/containers/json", http.StatusForbidden, "no policy is loaded")
	must(t, os.WriteFile(filepath.Join(folder, "data.yaml"), []byte("bindings:\n  admin: [\"unix:root\", local]\n"), 0o644))
	p.WaitReady()
	expect(t, p.Socket, "/containers/json", 200, "[")
	expect(t, p.Engine.Socket, "/containers/json", 200, "[")
}

func TestPolicyIsReplacedUnderLoadWithoutAFailedRequest(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{Data: "bindings:\n  admin: [\"unix:root\", local]\n"})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var answered [4]atomic.Int64
	for i, socket := range []string{p.Socket, p.Socket, p.Engine.Socket, p.Engine.Socket} {
		callers.Go(func() {
			for ctx.Err() == nil {
				a, err := get(context.WithoutCancel(ctx), engine.SocketClient(socket), "/containers/json?limit=1")
				if err != nil || a.status != 200 {
					t.Errorf("caller %d: %s, %v", i, a, err)
					return
				}
				answered[i].Add(1)
			}
		})
	}
	for i := range 12 {
		before := policyIn(p)
		if i%4 == 3 {
			p.WritePolicy("data.yaml", "bindings: [")
			refused(t, p, "data.yaml")
			continue
		}
		p.WritePolicy("data.yaml", fmt.Sprintf("bindings:\n  admin: [\"unix:root\", local]\n  look: [\"uid:%d\"]\n", i))
		p.Eventually("the new policy", func() error {
			if policyIn(p) == before {
				return errors.New("the old one decides")
			}
			return nil
		})
	}
	cancel()
	callers.Wait()
	for i := range answered {
		if n := answered[i].Load(); n < 10 {
			t.Errorf("caller %d was answered %d times only", i, n)
		}
	}
}
