package clients

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a socket in front of another one: it passes bytes on as they come,
// and keeps them, so that what a client said and was answered can be read afterwards.
type recorder struct {
	tb     testing.TB
	socket string

	mu    sync.Mutex
	open  int // connections that are being passed on
	conns []*taped
}

// taped is a connection with what went over it.
type taped struct {
	sent, got bytes.Buffer
	server    net.Conn
}

func record(tb testing.TB, target string) *recorder {
	tb.Helper()
	dir, err := os.MkdirTemp("", "rec") //nolint:usetesting // a socket's path must be short
	if err != nil {
		tb.Fatal(err)
	}
	r := &recorder{tb: tb, socket: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", r.socket)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close(); _ = os.RemoveAll(dir) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.count(1)
			go r.pass(c.(*net.UnixConn), target)
		}
	}()
	return r
}

// count notes that there are so many more connections, and gives how many there are.
func (r *recorder) count(more int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open += more
	return r.open
}

func (r *recorder) pass(client *net.UnixConn, target string) {
	defer r.count(-1)
	defer client.Close()
	c, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	server := c.(*net.UnixConn)
	defer server.Close()
	t := &taped{server: c}
	r.mu.Lock()
	r.conns = append(r.conns, t)
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.MultiWriter(&t.sent, server), client)
		_ = server.CloseWrite()
	}()
	_, _ = io.Copy(io.MultiWriter(&t.got, client), server)
	_ = client.CloseWrite()
	_ = client.SetReadDeadline(time.Now().Add(time.Second)) // one that lingers has heard all there was
	<-done
}

// take gives what was said since the last time, once the client has ended. Its
// connections have been half closed then; what the Engine holds open all the same is closed.
func (r *recorder) take() []exchange {
	r.tb.Helper()
	for begin, closed := time.Now(), false; r.count(0) > 0; time.Sleep(time.Millisecond) {
		if closed || time.Since(begin) < 2*time.Second {
			continue
		}
		closed = true
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.server.Close()
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []exchange
	for _, c := range r.conns {
		all = append(all, c.exchanges()...)
	}
	r.conns = nil
	return all
}

// exchange is one request with its answer, without what differs each time.
type exchange struct {
	method, uri, sent string
	status            int
	header, body      string
}

func (e exchange) String() string {
	return fmt.Sprintf("%s %s %s\n    -> %d %s\n       %s", e.method, e.uri, e.sent, e.status, e.header, e.body)
}

func (t *taped) exchanges() (all []exchange) {
	out, in := bufio.NewReader(&t.sent), bufio.NewReader(&t.got)
	for {
		req, err := http.ReadRequest(out)
		if err != nil {
			return all
		}
		e := exchange{method: req.Method, uri: normal(req.RequestURI)}
		sent, _ := io.ReadAll(req.Body)
		e.sent = normalBody(req.Header.Get("Content-Type"), sent, false)
		res, err := answerOf(in, req)
		if err != nil {
			e.body = "no answer: " + normal(err.Error())
			return append(all, e)
		}
		e.status, e.header = res.StatusCode, headerOf(res.Header)
		stream := res.StatusCode == http.StatusSwitchingProtocols || strings.Contains(res.Header.Get("Content-Type"), "-stream") && res.ContentLength < 0 && len(res.TransferEncoding) == 0
		if stream {
			input, _ := io.ReadAll(out)
			output, _ := io.ReadAll(in)
			e.sent, e.body = e.sent+normal(string(input)), frames(output)
			return append(all, e)
		}
		body, err := io.ReadAll(res.Body)
		e.body = normalBody(res.Header.Get("Content-Type"), body, varies(req.URL.Path))
		if unsorted(req.URL.Path) {
			e.body = inOrder(e.body)
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // who has seen enough leaves
			e.body += " " + err.Error()
		}
		all = append(all, e)
	}
}

func answerOf(in *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(in, req)
		if err != nil || res.StatusCode != http.StatusContinue {
			return res, err
		}
	}
}

// headerOf are the headers that say something of the answer and not of its carriage.
func headerOf(h http.Header) string {
	var list []string
	for k, v := range h {
		switch k {
		case "Date", "Content-Length", "Transfer-Encoding", "Connection", "X-Docker-Container-Path-Stat":
			continue
		}
		list = append(list, k+": "+normal(strings.Join(v, ", ")))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// framed says that a body begins as a multiplexed stream does; engines before 23 do not say what it is.
func framed(body []byte) bool {
	return len(body) >= 8 && (body[0] == 1 || body[0] == 2) && body[1] == 0 && body[2] == 0 && body[3] == 0
}

// frames are the texts of a multiplexed stream; how they were cut is a matter of time.
func frames(stream []byte) string {
	var texts [3]strings.Builder
	rest := stream
	for len(rest) >= 8 && rest[0] <= 2 && rest[1] == 0 {
		n := min(len(rest)-8, int(rest[4])<<24|int(rest[5])<<16|int(rest[6])<<8|int(rest[7]))
		texts[rest[0]].Write(rest[8 : 8+n])
		rest = rest[8+n:]
	}
	return normal(fmt.Sprintf("%q %q %q", texts[1].String(), texts[2].String(), rest))
}

// normalBody writes a body without what differs each time; of one that varies, its shape.
func normalBody(contentType string, body []byte, varies bool) string {
	if len(body) == 0 {
		return ""
	}
	t, _, _ := mime.ParseMediaType(contentType)
	if strings.HasSuffix(t, "-stream") && t != "application/octet-stream" || t == "" && framed(body) {
		return frames(body)
	}
	if names := tarNames(body); names != "" {
		return names
	}
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return "compressed"
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var docs []string
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // no JSON, or cut off
			return strings.Join(append(docs, normal(string(body[min(int(dec.InputOffset()), len(body)):]))), "\n")
		}
		b, _ := json.Marshal(plain("", v, varies))
		docs = append(docs, string(b))
	}
	if varies { // how many there are is a matter of time
		slices.Sort(docs)
		docs = slices.Compact(docs)
	}
	return strings.Join(docs, "\n")
}

// inOrder sorts the elements of a list.
func inOrder(body string) string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(body), &list) != nil {
		return body
	}
	slices.SortFunc(list, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	b, _ := json.Marshal(list)
	return string(b)
}

func tarNames(body []byte) string {
	var names []string
	for r := tar.NewReader(bytes.NewReader(body)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, normal(h.Name))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
