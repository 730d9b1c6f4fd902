// Package page opens the monitor's page in a headless browser, in front of a real Engine with both doors, and clicks: what
// is wrong is on top, an OOM kill and a denial are there within two seconds, hostile names are text, no request goes anywhere else, and axe
// finds nothing.
package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/test/browser"
	"vitrine/test/engine"
	"vitrine/test/monitor"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const (
	monitorID = 65532
	hostile   = `<img src=x onerror=alert(1)>`
	data      = `{bindings: {admin: ["unix:root", "local"], monitor: ["uid:65532"], look: ["uid:4711"]}}`
	leak      = `x=a; while :; do x=$x$x; done`
)

// world is a monitor with a page.
type world struct {
	*engine.Engine
	doors   *vitrine.Process
	binary  string // of the monitor
	address string
	metrics string // the DogStatsD socket
	visitor *vitrine.User
	b       *browser.Browser
}

func TestPage(t *testing.T) {
	browser.Require(t)
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	w := &world{Engine: e, binary: monitor.Build(t), doors: vitrine.Start(t, vitrine.Options{Engine: e, Data: data, Args: []string{"--admin-allow", "unix:root", "--admin-allow", "uid:65532"}})}
	w.doors.Plug(nil)
	sockets := filepath.Join(filepath.Dir(w.binary), "dsd")
	if err := errors.Join(os.Mkdir(sockets, 0o755), os.Chown(sockets, monitorID, monitorID)); err != nil {
		t.Fatal(err)
	}
	w.metrics = filepath.Join(sockets, "dsd.sock")
	w.address = w.run(t, "--dogstatsd-socket", w.metrics)
	w.visitor = vitrine.As(t, 4711)
	e.Docker("run", "-d", "--name", "web", "--label", "team="+hostile, "-m", "64m", "--health-cmd", "true", "--health-interval", "1s", "bb:1", "sleep", "600")
	e.Docker("run", "-d", "--name", "busy", "--cpus", "0.05", "bb:1", "sh", "-c", "while :; do :; done")
	e.Docker("run", "-d", "--name", "forwarder", "--stop-signal", "KILL", "-m", "32m", "--memory-swap", "48m", "bb:1", "sh", "-c",
		`leak() { sh -c '`+leak+`'; echo killed; }; trap leak USR1; while :; do sleep 0.1; done`)
	w.b = browser.Open(t)
	w.b.Do(nil, "open", browser.Args{"url": "http://" + w.address + "/"})
	w.b.See("tbody a", "forwarder")

	t.Run("the admin socket", func(t *testing.T) { w.on(t).adminSocket(t) })
	t.Run("an OOM kill", func(t *testing.T) { w.on(t).kill(t) })
	t.Run("a denial", func(t *testing.T) { w.on(t).denial(t) })
	t.Run("clicks", func(t *testing.T) { w.on(t).clicks(t) })
	t.Run("a container", func(t *testing.T) { w.on(t).container(t) })
	t.Run("DogStatsD", func(t *testing.T) { w.on(t).dogstatsd(t) })
	t.Run("a token", func(t *testing.T) { w.on(t).token(t) })
	t.Run("light and dark, wide and narrow", func(t *testing.T) { w.on(t).looks(t) })
}

// on is the world for a subtest.
func (w *world) on(t *testing.T) *world {
	c := *w
	c.b, c.Engine = w.b.On(t), w.For(t)
	return &c
}

// run starts the monitor as a user without capabilities, with an interval that is longer than what the page must be good for.
func (w *world) run(t *testing.T, more ...string) (address string) {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), w.binary, append([]string{
		"run", "--docker", "unix://" + w.doors.Socket, "--http", "127.0.0.1:0", "--admin-socket", w.doors.Admin,
		"--interval", "1m", "--dogstatsd-interval", "1s", "--labels-as-tags", `{"team":"team"}`,
	}, more...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: monitorID, Gid: monitorID}}
	address, _ = monitor.Start(t, cmd)
	return address
}

// adminSocket: what to do is said where it cannot be read; done, who asks is seen without anything being started anew.
func (w *world) adminSocket(t *testing.T) {
	folder := filepath.Dir(w.doors.Admin)
	w.b.Click("link", "Who asks Docker")
	w.b.See(".notice", "chgrp 65532 "+folder+" && chmod 0710 "+folder)
	w.b.See(".fact", "dockerd asks not known")
	if err := errors.Join(os.Chown(folder, 0, monitorID), os.Chmod(folder, 0o710)); err != nil {
		t.Fatal(err)
	}
	w.b.See(".fact.ok", "dockerd asks yes")
	w.b.See(".fact", "denied in an hour 0")
	w.b.See("th", "uid:65532")
	w.b.Clean(w.address)
}

// within fails unless something was seen within two seconds of its happening, or longer on a machine that is busy.
func within(t *testing.T, what string, happened, seen time.Time) {
	t.Helper()
	took := seen.Sub(happened)
	t.Logf("%s: seen after %v", what, took.Round(time.Millisecond))
	if took > wait.Patience(2*time.Second) {
		t.Errorf("%s was seen after %v", what, took)
	}
}

// kill: what Docker does not tell of is on top, with its time and that PID 1 lives.
func (w *world) kill(t *testing.T) {
	w.b.Do(nil, "go", browser.Args{"hash": "#/"})
	pid, err := strconv.Atoi(w.Docker("inspect", "--format", "{{.State.Pid}}", "forwarder"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	seen := w.b.See("tr.critical", "PID 1 alive, 1 kill")
	var happened time.Time
	wait.Until(t, "the container to say that it was", func() bool {
		stamp, _, _ := strings.Cut(w.Docker("logs", "--timestamps", "forwarder"), " ")
		happened, err = time.Parse(time.RFC3339Nano, stamp)
		return err == nil
	})
	within(t, "the kill", happened, seen)
	if rows := w.b.Texts("tbody tr"); !strings.HasPrefix(rows[0], "forwarder") || !strings.Contains(rows[0], "killed "+happened.Local().Format("15:")) {
		t.Errorf("the first row is %q", rows[0])
	}
	w.b.See(".events", "PID 1 lives on")
	w.b.See(".fact.bad", "in trouble")
	w.b.Clean(w.address)
}

// denial: by a user of the host who may look; what he asked for is text.
func (w *world) denial(t *testing.T) {
	w.b.Do(nil, "go", browser.Args{"hash": "#/asks"})
	w.b.See("th", "uid:65532")
	ask := func(method, path, body string) vitrine.Answer {
		c, err := w.visitor.Dial(w.doors.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := vitrine.Ask(c, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask("GET", "/containers/json", ""); a.Status != 200 {
		t.Fatalf("the visitor may not look: %s", a)
	}
	happened := time.Now()
	if a := ask("POST", "/containers/create?name=x", `{"Image":"bb:1"}`); a.Status != 403 {
		t.Fatalf("the visitor may create: %s", a)
	}
	within(t, "the denial", happened, w.b.See(".cell.bad", "✕ 1"))
	ask("POST", "/containers/%3Cimg%20src=x%20onerror=alert(1)%3E/stop", "")
	w.b.See(".cell.bad", "✕ 2")
	w.b.See(".cell.ok", "✓")
	w.b.Click("button", "uid:4711, write")
	w.b.See(".panel .reasons", "ContainerCreate is class write")
	w.b.See(".panel td", "POST /containers/%3Cimg")
	w.b.See(".panel", "known as uid:4711")
	w.b.See(".panel", "by shape")
	w.b.See(".panel code", "authz-plugin learn --as uid:4711")
	w.b.See(".panel code", "authz-plugin grant --role ROLE --to uid:4711")
	w.b.See(".panel code", "authz-plugin explain --as uid:4711")
	// The command that is shown decides the request again, as it was decided.
	command := w.b.Texts(".panel code")[0]
	shown := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "authz-plugin explain", vitrine.Binary(t)+" explain --policy "+w.doors.PolicyDir, 1))
	if out, err := shown.CombinedOutput(); err == nil || shown.ProcessState.ExitCode() != 1 {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	w.b.Do(nil, "press", browser.Args{"key": "Escape"})
	var n int
	if w.b.Do(&n, "count", browser.Args{"selector": ".panel:not([hidden])"}); n != 0 {
		t.Error("Escape does not close the cell")
	}
	var active string
	if w.b.Do(&active, "active", nil); !strings.Contains(active, "uid:4711, write") {
		t.Errorf("after it the focus is on %s", active)
	}
	w.b.See(".fact.bad", "denied in an hour 2")
	w.b.Clean(w.address)
}

// clicks: what one can do with the list does what it says.
func (w *world) clicks(t *testing.T) {
	w.b.Click("link", "Containers")
	first := func(want string) {
		t.Helper()
		if rows := w.b.Texts("tbody th a"); len(rows) == 0 || rows[0] != want {
			t.Errorf("rows %q, want %s first", rows, want)
		}
	}
	first("forwarder")
	w.b.See("tr", "throttled in")
	w.b.Click("button", "CPU")
	w.b.See("th[aria-sort=descending]", "CPU")
	first("busy")
	w.b.Click("button", "Container")
	first("busy")
	w.b.Click("button", "Container")
	w.b.See("th[aria-sort=descending]", "Container")
	first("web")
	w.b.Click("button", "What is wrong first")
	first("forwarder")
	w.b.Do(nil, "fill", browser.Args{"label": "Filter", "text": "onerror"})
	w.b.See(".found", "1 of 3 containers")
	first("web")
	w.b.Do(nil, "fill", browser.Args{"label": "Filter", "text": "nothing like it"})
	w.b.See(".empty", "None fits the filter")
	w.b.Do(nil, "fill", browser.Args{"label": "Filter", "text": ""})
	w.b.Click("checkbox", "in trouble only")
	w.b.See(".found", "2 of 3 containers")
	w.b.Click("checkbox", "in trouble only")
	w.b.See(".found", "3 containers")
	w.b.Clean(w.address)
}

// container: its charts, who touched it, and its tags, the hostile one too.
func (w *world) container(t *testing.T) {
	w.send(t, "page.views:3|c|#section:"+hostile+"|card:low", "_e{4,"+strconv.Itoa(len(hostile))+"}:boom|"+hostile, "_sc|db.up|2|m:"+hostile, "broken:"+hostile)
	w.b.Click("link", "web")
	w.b.See("h1", "web")
	w.b.See("h2", "Memory")
	w.b.See(".tags li", "team:"+hostile)
	w.b.See("td", "docker.container_health")
	w.b.Click("button", "last day")
	w.b.See("button[aria-pressed=true]", "last day")
	w.b.Click("button", "last hour")
	w.b.See("button[aria-pressed=true]", "last hour")
	w.b.Do(nil, "focus", browser.Args{"selector": ".plot"})
	before := w.b.Texts(".say")[0]
	w.b.Do(nil, "press", browser.Args{"key": "Home"})
	if after := w.b.Texts(".say")[0]; !regexp.MustCompile(`^\d\d:\d\d:\d\d `).MatchString(before) || !regexp.MustCompile(`^\d\d:\d\d:\d\d `).MatchString(after) {
		t.Errorf("a chart says %q, then %q", before, after)
	}
	w.b.Do(nil, "focus", browser.Args{"selector": ".chart summary"})
	w.b.Do(nil, "press", browser.Args{"key": "Enter"})
	w.b.See(".chart td", "%")
	w.b.Do(nil, "go", browser.Args{"hash": "#/container/" + w.Docker("inspect", "--format", "{{.Id}}", "forwarder")})
	w.b.See("h1", "forwarder")
	w.b.See(".problems", "PID 1 alive")
	w.b.See("td", "PID 1 lives on")
	w.b.Clean(w.address)
}

// send sends DogStatsD lines.
func (w *world) send(t *testing.T, lines ...string) {
	c, err := net.Dial("unixgram", w.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, l := range lines {
		if _, err := c.Write([]byte(l)); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) dogstatsd(_ *testing.T) {
	w.b.Click("link", "DogStatsD")
	w.b.See("h2", "Senders")
	w.b.See("td", "no container that is known")
	w.b.See("code", "broken:"+hostile)
	w.b.See("td", "db.up")
	w.b.See("td", hostile)
	w.b.See("td", "boom")
	w.b.Clean(w.address)
}

// token: the page asks for it, and shows nothing before.
func (w *world) token(t *testing.T) {
	const token = "correct-horse-battery"
	file := filepath.Join(filepath.Dir(w.binary), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.b.Do(nil, "open", browser.Args{"url": "http://" + w.run(t, "--dogstatsd-socket", "", "--page-token-file", file) + "/"})
	w.b.See("h1", "wants its token")
	var violations []string
	if w.b.Do(&violations, "axe", nil); len(violations) > 0 {
		t.Errorf("axe finds\n%s", strings.Join(violations, "\n"))
	}
	w.b.Do(nil, "fill", browser.Args{"label": "Token", "text": "not the token at all"})
	w.b.Click("button", "Show")
	w.b.See("[role=alert]", "This is not the token")
	if rows := w.b.Texts("tbody tr"); len(rows) > 0 {
		t.Errorf("without the token it shows %q", rows)
	}
	w.b.Do(nil, "fill", browser.Args{"label": "Token", "text": token})
	w.b.Do(nil, "press", browser.Args{"key": "Enter"})
	w.b.See("tbody a", "forwarder")
	w.b.Do(nil, "open", browser.Args{"url": "http://" + w.address + "/"}) // before that monitor ends
	w.b.Do(nil, "told", nil)                                              // a browser says on the console that it was refused
}

// looks: each view in each look: axe finds nothing, nothing is wider than the screen, and the console is clean. VITRINE_SHOTS
// is a folder for pictures of them.
func (w *world) looks(t *testing.T) {
	shots := os.Getenv("VITRINE_SHOTS")
	forwarder := w.Docker("inspect", "--format", "{{.Id}}", "forwarder")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{360, 1440} {
			for name, view := range map[string]struct{ hash, selector, text string }{
				"containers": {"#/", "tr.critical", "PID 1 alive"},
				"asks":       {"#/asks", ".cell.bad", "✕"},
				"container":  {"#/container/" + forwarder, "td", "PID 1 lives on"},
				"dogstatsd":  {"#/dogstatsd", "td", "boom"},
			} {
				w.b.Do(nil, "open", browser.Args{"url": "http://" + w.address + "/" + view.hash, "scheme": scheme, "width": width})
				w.b.See(view.selector, view.text)
				w.b.See(".live.on", "live")
				if name == "asks" {
					w.b.Click("button", "uid:4711, write")
					w.b.See(".panel", "known as")
				}
				look := fmt.Sprintf("%s-%s-%d", name, scheme, width)
				var violations []string
				if w.b.Do(&violations, "axe", nil); len(violations) > 0 {
					t.Errorf("%s: axe finds\n%s", look, strings.Join(violations, "\n"))
				}
				var wider int
				if w.b.Do(&wider, "wide", nil); wider > 0 {
					t.Errorf("%s: %d pixels wider than the screen", look, wider)
				}
				if shots != "" {
					w.b.Do(nil, "shot", browser.Args{"file": filepath.Join(shots, look+".png"), "full": true})
				}
				w.b.Clean(w.address)
			}
		}
	}
	w.b.Do(nil, "open", browser.Args{"url": "http://" + w.address + "/", "width": 2560})
	w.b.See("tr.critical", "PID 1 alive")
	var wider int
	if w.b.Do(&wider, "wide", nil); wider > 0 {
		t.Errorf("at 2560 it is %d pixels too wide", wider)
	}
}
