package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestEngineRunsContainersAndLeavesNothing(t *testing.T) {
	Require(t)
	e, err := Open(Options{DaemonJSON: map[string]any{"labels": []string{"from=daemon.json"}}})
	if err != nil {
		t.Fatal(err)
	}
	e = e.For(t)
	cgroup, err := e.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	holder, err := e.holderPid()
	if err != nil {
		t.Fatal(err)
	}
	dockerd, err := e.Pid()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	e.Docker("run", "--detach", "--name", "paused", "bb:1", "sleep", "600")
	e.Docker("pause", "paused")
	if got := e.Docker("info", "--format", "{{.Labels}}"); got != "[from=daemon.json]" {
		t.Errorf("labels = %s, want daemon.json's", got)
	}
	if got := e.Docker("run", "--rm", "--memory=64m", "bb:1", "ip", "address"); !strings.Contains(got, "172.17.0.") {
		t.Errorf("a container has no address on the bridge:\n%s", got)
	}
	id := e.Docker("run", "--detach", "bb:1", "sleep", "1000")
	pid, err := strconv.Atoi(e.Docker("inspect", "--format", "{{.State.Pid}}", id))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{holder, dockerd, pid} {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	left, err := filepath.Glob("/sys/fs/cgroup/*" + cgroup)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(left, "/sys/fs/cgroup"+cgroup, e.Dir) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
}

// alive tells whether a process runs; a zombie that its parent has not looked at yet does not.
func alive(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	return err == nil && !strings.Contains(string(status), "State:\tZ") && !strings.Contains(string(status), "State:\tX")
}

func TestContainersSurviveARestartOfDockerd(t *testing.T) {
	e := Start(t, Options{DaemonJSON: map[string]any{"live-restore": true}})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	id := e.Docker("run", "--detach", "bb:1", "sleep", "1000")
	t.Run("an exec that cannot start", func(t *testing.T) {
		if _, err := e.For(t).Output(e.Socket, "exec", id, "/tmp"); err == nil || !strings.Contains(err.Error(), "126") || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("the error is %v, want exit status 126 and why", err)
		}
	})
	for name, interrupt := range map[string]func() error{
		"restart": e.Restart,
		"crash":   func() error { return errors.Join(e.Kill(), e.Resume()) },
		"hangup":  e.Hangup,
	} {
		t.Run(name, func(t *testing.T) {
			if err := interrupt(); err != nil {
				t.Fatal(err)
			}
			if got := e.Docker("ps", "--quiet", "--no-trunc"); got != id {
				t.Errorf("running containers = %q, want %s", got, id)
			}
		})
	}
}

func TestTwoEnginesDoNotMeet(t *testing.T) {
	one, two := Start(t, Options{}), Start(t, Options{})
	for _, e := range []*Engine{one, two} {
		if _, err := e.RunRegistry(5000); err != nil { // the same port in both
			t.Fatal(err)
		}
	}
	if err := one.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	if got := two.Docker("images", "--quiet"); got != "" {
		t.Errorf("the other engine has images: %s", got)
	}
	out, err := one.Command("cat", "/proc/self/mountinfo").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), one.Dir+"/run /run ") {
		t.Errorf("a command does not run in the engine's mount namespace:\n%s", out)
	}
}

func TestTLSListenerWantsAClientCertificate(t *testing.T) {
	ca, err := NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("monitor")
	if err != nil {
		t.Fatal(err)
	}
	e := Start(t, Options{TLS: ca})
	get := func(certificates ...tls.Certificate) (int, error) {
		transport := &http.Transport{
			DialContext:     e.Dial,
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool, Certificates: certificates, MinVersion: tls.VersionTLS12},
		}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+TLSAddress+"/_ping", nil)
		if err != nil {
			return 0, err
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	if status, err := get(client.TLS); status != http.StatusOK {
		t.Errorf("with a certificate: status %d, %v", status, err)
	}
	if status, err := get(); err == nil {
		t.Errorf("without a certificate: status %d, want an error", status)
	}
}

func TestOpenReportsWhyDockerdDidNotStart(t *testing.T) {
	Require(t)
	_, err := Open(Options{Flags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error = %v, want one that names the flag", err)
	}
}

// TestNamedEngineMissingClosed: without an engine that it names a test says so and is skipped, and fails where
// engines are required.
func TestNamedEngineMissingClosed(t *testing.T) {
	if os.Getenv("VITRINE_TEST_NAMED") != "" {
		requireNamed(t, "28")
		return
	}
	for required, want := range map[string]string{"": "--- SKIP", "1": "--- FAIL"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNamedEngineMissingClosed$", "-test.v")
		cmd.Env = append(os.Environ(), "VITRINE_TEST_NAMED=1", "VITRINE_ENGINES="+t.TempDir(), "VITRINE_REQUIRE_ENGINES="+required)
		out, err := cmd.CombinedOutput()
		if (err != nil) != (required != "") || !strings.Contains(string(out), want) || !strings.Contains(string(out), "the engine 28 is not there; scripts/engines.sh fetches it") {
			t.Errorf("VITRINE_REQUIRE_ENGINES=%q: %v\n%s", required, err, out)
		}
	}
}

// TestCommandsSeeNoTestVariables: our programs would take them for misspelt settings.
func TestCommandsSeeNoTestVariables(t *testing.T) {
	t.Setenv("VITRINE_REQUIRE_ENGINES", "1")
	t.Setenv("VITRINE_MODE", "audit")
	e := Engine{script: "env"}
	got := e.Command("x").Env
	if slices.Contains(got, "VITRINE_REQUIRE_ENGINES=1") || !slices.Contains(got, "VITRINE_MODE=audit") {
		t.Errorf("%q", got)
	}
}
