package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/ticket"
	"vitrine/test/wait"
)

func TestStreamsAreNotBuffered(t *testing.T) {
	next := make(chan string)
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for line := range next {
			_, _ = io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	})
	res, err := g.client().Get("http://docker/events") // returns with the head, before any event
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if rec := g.recorded(1)[0]; rec.Status != 200 {
		t.Errorf("the record of a stream is written at its head, got %+v", rec)
	}
	br := bufio.NewReader(res.Body)
	for i := range 3 {
		want := fmt.Sprintf("event %d\n", i)
		next <- want
		if line, err := br.ReadString('\n'); line != want {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
		t.Errorf("the end: %q, %v", rest, err)
	}
	g.recorded(1)
}

// TestChunkIsPassedOnWhatEverFollowsIt: all of it, though the daemon pauses right behind its bytes, behind its end, or has begun the next.
func TestChunkIsPassedOnWhatEverFollowsIt(t *testing.T) {
	const size = 5000 // more than a buffer, and no multiple of one
	behind, done := make(chan string, 1), make(chan bool)
	g := startRaw(t, func(_ *rig, c *net.UnixConn, _ *bufio.Reader, _ *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s%s", size, strings.Repeat("x", size), <-behind)
		<-done
	})
	for _, text := range []string{"", "\r", "\r\n", "\r\n5", "\r\n5\r\nhello"} {
		behind <- text
		res, err := g.client().Get("http://docker/events")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(res.Body, make([]byte, size)); err != nil {
			t.Errorf("behind it %q: %d bytes, %v", text, n, err)
		}
		done <- true
		_ = res.Body.Close()
	}
}

func TestClientThatLeavesEndsTheStream(t *testing.T) {
	ended := make(chan struct{})
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/events", nil)
	client := g.client()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = res.Body.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the daemon's side went on")
	}
	wait.Until(t, "descriptors to be closed", func() bool { return openFiles(t) <= before })
	g.recorded(1)
}

func TestClientThatLeavesBeforeTheAnswer(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan struct{})
	g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /containers/x/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
	<-arrived
	_ = c.Close()
	<-ended
	if rec := g.recorded(1)[0]; rec.Status != 0 || !rec.Allow {
		t.Errorf("audit record %+v", rec)
	}
	wait.Until(t, "tickets to be taken back", func() bool { return g.tickets.Len() == 0 })
}

// 200 MB both ways must not be held anywhere.
func TestBigStreamsNeedNoMemory(t *testing.T) {
	size := int64(200 << 20)
	if testing.Short() {
		size = 20 << 20
	}
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
			return
		}
		_, _ = io.CopyN(w, zeros{}, size)
	})
	var peak uint64
	watch := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	watch()
	before := peak

	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://docker/images/load", &watched{r: io.LimitReader(zeros{}, size), watch: watch})
	r.Header.Set("Content-Type", "application/x-tar")
	res, err := g.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if want := fmt.Sprint(size, nil); string(body) != want {
		t.Errorf("the daemon read %s, want %s", body, want)
	}

	if res, err = g.client().Get("http://docker/images/x/get"); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, &watched{r: res.Body, watch: watch})
	_ = res.Body.Close()
	if n != size || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if grown := int64(peak) - int64(before); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// watched calls watch every few MiB.
type watched struct {
	r     io.Reader
	n     int
	watch func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.n += n; w.n > 8<<20 {
		w.n = 0
		w.watch()
	}
	return n, err
}

// Progress of an image load comes while the image is still going up.
func TestAnswerDuringUpload(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "got "+line)
			w.(http.Flusher).Flush()
		}
	})
	c := g.dial()
	_, _ = io.WriteString(c, "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n")
	br := bufio.NewReader(c)
	_, _ = io.WriteString(c, "6\r\nlayer\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	for range 3 {
		if line, err := body.ReadString('\n'); line != "got layer\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = io.WriteString(c, "6\r\nlayer\n\r\n")
	}
	_, _ = io.WriteString(c, "0\r\n\r\n")
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Error(err)
	}
}

// The daemon refuses an upload without reading it: the client hears why.
func TestUploadThatTheDaemonRefuses(t *testing.T) {
	t.Parallel()
	g := startRaw(t, func(g *rig, c *net.UnixConn, br *bufio.Reader, r *http.Request) {
		g.asks(r.Method, r.RequestURI, r.Header.Get(ticket.Header), nil)
		_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"message\":\"no such\"}\n")
		_, _ = io.CopyN(io.Discard, br, 1<<20)
	})
	c := g.dial()
	_, _ = io.WriteString(c, "PUT /containers/nope/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 1000000000\r\n\r\n")
	_, _ = c.Write(make([]byte, 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 404 || !strings.Contains(string(body), "no such") || !res.Close {
		t.Errorf("%d %s, close %v", res.StatusCode, body, res.Close)
	}
	wait.Until(t, "the upload to end", func() bool { return g.srv.Stats().Streams == 0 })
}

// Go's client, sending in chunks, hears the refusal and not a broken pipe.
func TestRefusedUploadOfAGoClient(t *testing.T) {
	g := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for range 3 {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://docker/containers/nope/archive?path=/", io.LimitReader(zeros{}, 3<<20))
		r.Header.Set("Content-Type", "application/x-tar")
		res, err := g.client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// Half a body must not reach the daemon as a whole one.
func TestUploadThatBreaksOffClosed(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"length":  "Content-Length: 1000\r\n\r\nhalf",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			result := make(chan error, 1)
			g := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				result <- err
			})
			c := g.dial()
			_, _ = io.WriteString(c, "PUT /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"+head)
			wait.Until(t, "the request to arrive", func() bool { return len(g.reached()) == 1 })
			_ = c.CloseWrite()
			if err := <-result; err == nil {
				t.Error("the daemon took half a body for a whole one")
			}
			g.recorded(1)
		})
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
