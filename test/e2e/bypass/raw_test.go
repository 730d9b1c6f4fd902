package bypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/engine/operation"
	"vitrine/test/engine"
	"vitrine/test/long"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// rawWorld is an Engine that says in its log what it was asked, and a gateway in front of it.
type rawWorld struct {
	*testing.T
	e     *engine.Engine
	p     *vitrine.Process
	users map[role]*vitrine.User
	log   *os.File // of dockerd
}

// TestRawBytesClosed: what the daemon does for bytes that came by the gateway is what it does for the same bytes that came straight, and what the audit log
// says that was judged, or it is refused. So for who may do everything but pass the rails; who may only look does no more than that by whatever bytes.
func TestRawBytesClosed(t *testing.T) {
	engine.Require(t)
	e := engine.Start(t, engine.Options{Flags: []string{"--debug"}, DaemonJSON: map[string]any{"experimental": true}})
	check(t, e.ImportBusybox())
	e.Docker("create", "--name", "taken", "bb:1", "true")
	log, err := os.Open(filepath.Join(e.Dir, "dockerd.log"))
	check(t, err)
	defer log.Close()
	w := rawWorld{t, e, vitrine.Start(t, vitrine.Options{Engine: e, Data: rawData, Alone: true}), map[role]*vitrine.User{
		look: vitrine.As(t, uids[look]), operator: vitrine.As(t, uids[operator]),
	}, log}
	by := func(as role) func() (net.Conn, error) {
		return func() (net.Conn, error) { return w.users[as].Dial(w.p.Socket) }
	}
	refused := 0
	var done []called
	for i, c := range rawCases() {
		if i%5 >= long.Of(2, 5) {
			continue
		}
		straight := w.exchange(func() (net.Conn, error) { return net.Dial("unix", e.Socket) }, c, false)
		w.calls(c)
		for _, alone := range []bool{false, true} {
			if alone && !c.whole() {
				continue
			}
			answers := w.exchange(by(operator), c, alone)
			refused += w.same(c, answers, straight)
			done = append(done, w.calls(c)...)
		}
		w.exchange(by(look), c, false)
		w.looked(c)
	}
	t.Logf("%d refused, %d that change something", refused, w.judged(done))
}

const rawData = `
roles:
  operator: {operations: ["*"], hazards: ["*"]}
bindings:
  admin: ["unix:root"]
  look: ["uid:4201"]
  operator: ["uid:4203"]
`

// rawAnswer is one answer on a connection.
type rawAnswer struct {
	status int
	text   string
	ours   bool // a refusal, by us or by what reads requests for us
}

func (a rawAnswer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.text) }

// whole says that a case is just one request, as the lane takes it. Alone, it goes another way than with something right behind it.
func (c *rawCase) whole() bool {
	in := bufio.NewReader(strings.NewReader(c.bytes))
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil && in.Buffered() == 0 && !c.end
}

// exchange sends a case, and gives what is answered until the other side closes the connection. The ping comes when it was answered, where it is sent alone.
func (w rawWorld) exchange(dial func() (net.Conn, error), c rawCase, alone bool) (answers []rawAnswer) {
	w.Helper()
	conn, err := dial()
	check(w, err)
	defer conn.Close()
	check(w, conn.SetDeadline(time.Now().Add(wait.Patience(20*time.Second))))
	bytes := c.bytes
	if !c.end && !alone {
		bytes += lastPing
	}
	_, _ = io.WriteString(conn, bytes) // it may be refused before its end
	if half, is := conn.(interface{ CloseWrite() error }); c.end && is {
		_ = half.CloseWrite()
	}
	in := bufio.NewReader(conn)
	for {
		asked := &http.Request{Method: http.MethodGet}
		if c.head && len(answers) == 0 {
			asked.Method = http.MethodHead
		}
		resp, err := http.ReadResponse(in, asked)
		if isTimeout(err) {
			w.Errorf("%s: nothing comes behind %v", c.name, answers)
		}
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(resp.Body) // what is there
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		text := strings.TrimSpace(string(body))
		ours := strings.Contains(text, "vitrine: ") || c.head && resp.StatusCode >= 400 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") && resp.StatusCode >= 400
		answers = append(answers, rawAnswer{resp.StatusCode, text, ours})
		if alone && len(answers) == 1 {
			_, _ = io.WriteString(conn, lastPing)
		}
	}
}

// called is what dockerd says that it was asked.
type called struct {
	of  rawCase
	op  *operation.Operation
	uri string
}

var calledLine = regexp.MustCompile(`msg="Calling (\w+) ([^"]*)"|msg="handling \w+ request".* method=(\w+) .*request-url="?([^ "]*)`)

// calls are those since the last call.
func (w rawWorld) calls(c rawCase) (list []called) {
	w.Helper()
	text, err := io.ReadAll(w.log)
	check(w, err)
	for _, m := range calledLine.FindAllStringSubmatch(string(text), -1) {
		method, uri := m[1]+m[3], m[2]+m[4]
		op, err := operation.Parse(&operation.Request{
			Method: method, URI: uri, Proto: "HTTP/1.1", Rebuilt: true,
			Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: 2, ReadBody: func() ([]byte, error) { return []byte("{}"), nil },
		})
		if method == http.MethodGet || method == http.MethodHead {
			op, err = operation.Parse(&operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1"})
		}
		if err != nil {
			op = nil
		}
		list = append(list, called{c, op, method + " " + uri})
	}
	return list
}

// same holds a case by the gateway against the same straight, and says how many of it were refused.
func (w rawWorld) same(c rawCase, answers, straight []rawAnswer) (refused int) {
	w.Helper()
	for i, a := range answers {
		switch {
		case a.ours:
			refused++
		case i >= len(straight):
			w.Errorf("%s: answer %d is %s, and straight there are %v", c.name, i, a, straight)
		case a.status != straight[i].status || a.text != straight[i].text:
			w.Errorf("%s: answer %d is\n\t%s, and straight\n\t%s", c.name, i, a, straight[i])
		}
	}
	return refused
}

// looked holds what dockerd was asked for one who may only look: that, and what we ask ourselves.
func (w rawWorld) looked(c rawCase) {
	w.Helper()
	for _, call := range w.calls(c) {
		switch {
		case call.op == nil:
			w.Errorf("%s: for one who may only look the daemon was asked %s", c.name, call.uri)
		case call.op.Access == operation.Ping, call.op.Access == operation.List, call.op.Access == operation.Inspect:
		default:
			w.Errorf("%s: for one who may only look the daemon was asked %s, which is %s", c.name, call.uri, call.op.Access)
		}
	}
}

// checkpoint is an operation, or a parameter, that nobody can judge: a checkpoint's directory is the host's.
var checkpoint = regexp.MustCompile(`^(GET|POST) .*/checkpoints([?]|$)|^DELETE (/v[^/]*)?/containers/[^/]+/checkpoints/[^/?]+([?]|$)|[?&]checkpoint(-dir)?=[^&]`)

// judged holds what dockerd was asked to change, one after the other, against the records of what was judged and allowed, and says how much that was.
func (w rawWorld) judged(done []called) int {
	w.Helper()
	asks := func(method string) bool {
		return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	}
	var records []audit.Record
	for _, r := range w.p.Audit() {
		if r.Allow && !asks(r.Method) {
			records = append(records, r)
		}
	}
	n := 0
	for _, call := range done {
		switch {
		case call.op == nil:
			w.Errorf("%s: the daemon was asked %s, which is no operation", call.of.name, call.uri)
			continue
		case checkpoint.MatchString(call.uri):
			w.Errorf("%s: the daemon was asked %s, which stands behind a rail", call.of.name, call.uri)
		case asks(call.op.Method):
			continue
		case n == len(records):
			w.Fatalf("%s: the daemon was asked %s, and nothing was judged", call.of.name, call.uri)
		case records[n].Operation != call.op.ID || records[n].Method != call.op.Method:
			w.Fatalf("%s: the daemon was asked %s, and judged was %s of %s %s", call.of.name, call.uri, records[n].Operation, records[n].Method, records[n].URI)
		}
		n++
	}
	if n != len(records) {
		w.Errorf("%d changes were judged, and the daemon was asked for %d", len(records), n)
	}
	return n
}
