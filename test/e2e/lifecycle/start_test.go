package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// pluginAnswers asks the plugin's socket as dockerd does when it starts.
func pluginAnswers(t *testing.T, e *engine.Engine) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://plugin/Plugin.Activate", nil)
	if err != nil {
		return err
	}
	res, err := engine.SocketClient(e.Path("/run/docker/plugins/vitrine.sock")).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && !strings.Contains(string(body), `"authz"`) {
		err = fmt.Errorf("answered %s", body)
	}
	return err
}

// notYet expects what the gateway says while the Engine has never answered.
func notYet(t *testing.T, p *vitrine.Process) {
	t.Helper()
	a := mustGet(t, p.Socket, "/containers/json")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "has not answered yet") {
		t.Errorf("the gateway without an Engine: %s, %v", a, a.header)
	}
	p.Eventually("everything to be ready but the Engine", func() error {
		h, err := p.Health()
		if err != nil || h.Status == "ok" || h.Checks["upstream"] == "ok" || h.Checks["policy"] != "ok" {
			return fmt.Errorf("%v, %w", h, err)
		}
		return nil
	})
}

func TestPluginStartsBeforeDockerd(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	must(t, e.Kill())
	must(t, e.WriteDaemonJSON(named()))
	p := vitrine.Start(t, vitrine.Options{Engine: e, NotReady: true})
	p.Eventually("the plugin's socket", func() error { return pluginAnswers(t, e) })
	notYet(t, p)

	w := watch(t, e)
	log, began := len(e.Log()), time.Now()
	must(t, e.Resume())
	if took := time.Since(began); strings.Contains(e.Log()[log:], "Unable to locate plugin") || took > wait.Patience(10*time.Second) {
		t.Errorf("dockerd started after %s: it waited for us, or we for it", took)
	}
	p.WaitReady()
	w.closed(t, "start")
	silent(t, p.Admin)
	expect(t, p.Socket, "/containers/json", 200, "[")
	if strings.Contains(p.Log(), "does not ask") {
		t.Errorf("an alarm without a reason:\n%s", p.Log())
	}
}

func TestPluginStartsWhileDockerdWaitsForIt(t *testing.T) {
	t.Parallel()
	vitrine.Binary(t) // which may have to be built: dockerd waits for 15 s, and then gives up
	e := engine.Start(t, engine.Options{})
	must(t, e.Kill())
	must(t, e.WriteDaemonJSON(named()))
	log := len(e.Log())
	w := watch(t, e)
	resumed := make(chan error, 1)
	go func() { resumed <- e.Resume() }()
	eventually(t, 10*time.Second, "dockerd to look for its plugin", func() error {
		if !strings.Contains(e.Log()[log:], "Unable to locate plugin: vitrine") {
			return errors.New("not in its log")
		}
		return nil
	})
	p := vitrine.Start(t, vitrine.Options{Engine: e, NotReady: true})
	p.Eventually("the plugin's socket", func() error { return pluginAnswers(t, e) })
	must(t, <-resumed) // at once, maybe: what the gateway says without an Engine is the test's above
	p.WaitReady()
	w.closed(t, "start")
	silent(t, p.Admin)
	expect(t, p.Socket, "/containers/json", 200, "[")
}

func TestSecondInstanceDoesNotTakeOver(t *testing.T) {
	p := legacyNamed(t, vitrine.Options{})
	w := watch(t, p.Engine)
	out, err := p.Engine.Command(vitrine.Binary(t), "serve").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "still answers") {
		t.Errorf("a second instance: %v\n%s", err, out)
	}
	w.closed(t, "a second instance")
	expect(t, p.Socket, "/containers/json", 200, "[")
	if _, err := alarmAt(p.Admin); err != nil {
		t.Error(err)
	}
}

func TestGatewayAndInventoryComeBackWithTheEngine(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{DaemonJSON: map[string]any{"live-restore": true}})
	must(t, e.ImportImage("client:1", "/usr/bin/curl"))
	p := vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	agent := func(name string) {
		e.Docker("run", "--detach", "--name", name, "--label", "vitrine.role=look", "--network", "none",
			"--volume", "/run/vitrine/docker:/run/vitrine/docker:ro", "client:1", "sleep", "1000")
	}
	// look asks from inside: only the inventory knows the label that allows it.
	look := func(name string) {
		t.Helper()
		p.Eventually(name+" to be known", func() error {
			out, err := e.DockerCommand(e.Socket, "exec", name, "curl", "-sS", "--max-time", "5", "-w", " %{http_code}",
				"--unix-socket", "/run/vitrine/docker/docker.sock", "http://docker/containers/json").CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), " 200") || !strings.Contains(string(out), "/"+name) {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	running := func(n int) {
		t.Helper()
		p.Eventually(fmt.Sprintf("%d containers in the inventory", n), func() error {
			if got := metric(p.Metrics(), "vitrine_containers"); got != fmt.Sprint(n) {
				return fmt.Errorf("there are %s", got)
			}
			return nil
		})
	}
	agent("one")
	look("one")
	running(1)

	must(t, e.Kill())
	// Not at once: a thread of the dead may hold its sockets for a moment.
	p.Eventually("the gateway to say that the Engine is dead", func() error {
		a := mustGet(t, p.Socket, "/containers/json")
		if a.status < 500 {
			t.Fatalf("answered %s", a)
		}
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			return fmt.Errorf("answered %s, %v", a, a.header)
		}
		return nil
	})
	p.Eventually("the loss to be noticed", func() error {
		h, err := p.Health()
		if err != nil || h.Status == "ok" || metric(p.Metrics(), "vitrine_inventory_ready") != "0" {
			return fmt.Errorf("%v, %w", h, err)
		}
		return nil
	})
	must(t, e.Resume())
	p.WaitReady()
	look("one")
	agent("two")
	look("two")
	running(2)

	must(t, e.Restart())
	p.WaitReady()
	look("one")
	look("two")
	e.Docker("rm", "--force", "one")
	running(1)
	agent("one") // another container of the name
	look("one")
}
