package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"vitrine/test/wait"
)

// lines starts a command and returns what it prints, line by line; end is its end.
func (w *world) lines(cmd *exec.Cmd) (next func() string, end func() error) {
	w.Helper()
	out, err := cmd.StdoutPipe()
	w.check(err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	w.check(cmd.Start())
	w.Cleanup(func() { _ = cmd.Process.Kill() })
	watchdog := time.AfterFunc(wait.Patience(30*time.Second), func() { _ = cmd.Process.Kill() })
	r := bufio.NewReader(out)
	next = func() string {
		w.Helper()
		line, err := r.ReadString('\n')
		if err != nil {
			w.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
		}
		return strings.TrimSuffix(line, "\n")
	}
	return next, func() error {
		defer watchdog.Stop()
		return cmd.Wait()
	}
}

// interrupt ends a client as Ctrl-C does.
func (w *world) interrupt(cmd *exec.Cmd, end func() error) {
	w.Helper()
	w.check(cmd.Process.Signal(syscall.SIGINT))
	_ = end() // docker ends with 130 or 0
}

// logsWhileItWrites reads each line before the container may write the next.
func (w *world) logsWhileItWrites() {
	w.e.Docker("run", "--detach", "--name", "writer", "bb:1", "sh", "-c",
		"echo one; until [ -e /go ]; do sleep 0.1; done; echo two; sleep 600")
	next, end := w.lines(w.command("logs", "--follow", "writer"))
	if got := next(); got != "one" {
		w.Errorf("first line %q", got)
	}
	w.e.Docker("exec", "writer", "touch", "/go")
	if got := next(); got != "two" {
		w.Errorf("second line %q", got)
	}
	if got := w.e.Docker("inspect", "--format", "{{.State.Running}}", "writer"); got != "true" {
		w.Error("the lines arrived only when the container had ended")
	}
	w.e.Docker("kill", "writer")
	w.check(end())
	w.e.Docker("rm", "--force", "writer")
}

// events arrive while the client listens.
func (w *world) events() {
	cmd := w.command("events", "--filter", "event=pause", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
	next, end := w.lines(cmd)
	w.pauseUntil(next, "pause web")
	w.interrupt(cmd, end)
}

// pauseUntil pauses web until the reader has seen what it waits for: nothing
// says when a client's subscription has begun.
func (w *world) pauseUntil(next func() string, want string) {
	w.Helper()
	seen := make(chan string, 1)
	go func() { seen <- next() }()
	for {
		w.e.Docker("pause", "web")
		w.e.Docker("unpause", "web")
		select {
		case got := <-seen:
			if got != want {
				w.Errorf("the stream says %q, want %q", got, want)
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stats are a stream of documents, one a second.
func (w *world) stats() {
	res := w.get("GET /containers/web/stats HTTP/1.1\r\nHost: docker\r\n\r\n")
	d := json.NewDecoder(res.Body)
	for range 2 {
		var doc struct{ Name string }
		w.check(d.Decode(&doc))
		if doc.Name != "/web" {
			w.Errorf("statistics of %q", doc.Name)
		}
	}
}

// get sends a request as it is and reads the answer's head.
func (w *world) get(request string) *http.Response {
	w.Helper()
	c := w.dial()
	_, err := io.WriteString(c, request)
	w.check(err)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodGet})
	w.check(err)
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		w.Fatalf("%q: %s\n%s", request, res.Status, text)
	}
	return res
}

// http10 speaks as old programs do: no Host, and the answer ends with the connection.
func (w *world) http10() {
	res := w.get("GET /events?filters=%7B%22event%22%3A%5B%22pause%22%5D%7D HTTP/1.0\r\n\r\n")
	if !res.Close || len(res.TransferEncoding) > 0 {
		w.Errorf("%s, close %t, transfer encoding %v: not an answer for HTTP/1.0", res.Proto, res.Close, res.TransferEncoding)
	}
	d := json.NewDecoder(res.Body)
	w.pauseUntil(func() string {
		var doc struct{ Action string }
		if err := d.Decode(&doc); err != nil {
			return err.Error()
		}
		return doc.Action
	}, "pause")

	res = w.get("GET /_ping HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(res.Body)
	w.check(err)
	if string(text) != "OK" {
		w.Errorf("the ping says %q", text)
	}
}

// openIdleStream opens events of which there will be none for long; at the end one arrives all the same.
func (w *world) openIdleStream() func(*world) {
	c := w.dial()
	w.check(c.SetDeadline(time.Time{}))
	_, err := io.WriteString(c, "GET /events?filters=%7B%22event%22%3A%5B%22rename%22%5D%7D HTTP/1.1\r\nHost: docker\r\n\r\n")
	w.check(err)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	w.check(err)
	began := time.Now()
	return func(w *world) {
		if idle := time.Since(began); idle < 5*time.Second {
			w.Fatalf("idle for %v only", idle)
		}
		w.check(c.SetDeadline(time.Now().Add(wait.Patience(10 * time.Second))))
		w.e.Docker("rename", "web", "web2")
		w.e.Docker("rename", "web2", "web")
		var doc struct{ Action string }
		w.check(json.NewDecoder(res.Body).Decode(&doc))
		if doc.Action != "rename" {
			w.Errorf("the stream says %q", doc.Action)
		}
	}
}

// attach is docker's own, by Upgrade: what goes in comes out, and the end of the
// input ends the container.
func (w *world) attach() {
	w.cat("cat")
	cmd := w.command("attach", "cat")
	in, err := cmd.StdinPipe()
	w.check(err)
	next, end := w.lines(cmd)
	for _, line := range []string{"one", "two"} {
		_, err = io.WriteString(in, line+"\n")
		w.check(err)
		if got := next(); got != line {
			w.Errorf("cat says %q, want %q", got, line)
		}
	}
	w.check(in.Close())
	w.check(end())
	w.docker("wait", "cat")
	w.docker("rm", "cat")
}

// cat starts a container that gives its input back, until the first client that attaches ends it.
func (w *world) cat(name string) {
	w.Helper()
	w.docker("create", "--interactive", "--attach", "stdin", "--attach", "stdout", "--name", name, "bb:1", "cat")
	w.docker("start", name)
}

// attachWithoutUpgrade: the daemon answers 200, and the connection is the container's.
func (w *world) attachWithoutUpgrade() {
	w.cat("raw")
	c := w.dial()
	r := w.raw(c, "POST /containers/raw/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n", http.StatusOK)
	w.echo(c, r)
	w.docker("wait", "raw")
	w.docker("rm", "raw")
}

// execWithoutUpgrade is the same for a process in a container; and with Upgrade.
func (w *world) execWithoutUpgrade() {
	for upgrade, status := range map[string]int{"": http.StatusOK, "Connection: Upgrade\r\nUpgrade: tcp\r\n": http.StatusSwitchingProtocols} {
		var exec struct{ ID string }
		body := `{"AttachStdin":true,"AttachStdout":true,"Cmd":["cat"]}`
		res := w.post("/containers/web/exec", body)
		w.check(json.NewDecoder(res.Body).Decode(&exec))
		c := w.dial()
		const start = `{"Detach":false,"Tty":false}`
		r := w.raw(c, fmt.Sprintf("POST /exec/%s/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
			exec.ID, upgrade, len(start), start), status)
		w.echo(c, r)
	}
}

func (w *world) post(path, body string) *http.Response {
	w.Helper()
	c := w.dial()
	_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	w.check(err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	w.check(err)
	return res
}

// raw sends a request and reads an answer's head with that status, and no body that net/http would know of.
func (w *world) raw(c net.Conn, request string, status int) *bufio.Reader {
	w.Helper()
	_, err := io.WriteString(c, request)
	w.check(err)
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	w.check(err)
	if !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", status)) {
		rest, _ := io.ReadAll(io.LimitReader(r, 4096))
		w.Fatalf("%q: %s%s", request, line, rest)
	}
	for line != "\r\n" {
		if strings.HasPrefix(line, "Transfer-Encoding") {
			w.Errorf("%q in the head of a raw stream", line)
		}
		line, err = r.ReadString('\n')
		w.check(err)
	}
	return r
}

// echo talks with a cat whose output is in frames, until the end of its input ends it.
func (w *world) echo(c *net.UnixConn, r *bufio.Reader) {
	w.Helper()
	for _, word := range []string{"one\n", "two\n"} {
		_, err := io.WriteString(c, word)
		w.check(err)
		want := fmt.Sprintf("\x01\x00\x00\x00\x00\x00\x00%c%s", len(word), word)
		got := make([]byte, len(want))
		_, err = io.ReadFull(r, got)
		w.check(err)
		if string(got) != want {
			w.Errorf("frame %q, want %q", got, want)
		}
	}
	_, err := io.WriteString(c, "last")
	w.check(err)
	w.check(c.CloseWrite())
	rest, err := io.ReadAll(r)
	w.check(err)
	if !strings.HasSuffix(string(rest), "last") {
		w.Errorf("after the end of the input the rest is %q", rest)
	}
}
