package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// plain carries a request without a stream, or with a JSON body. The answer may be endless.
func (t *task) plain(ctx context.Context) {
	ex, err := t.s.up.send(ctx, t.outgoing())
	if err == nil {
		defer ex.Close()
	}
	switch {
	case !t.mayAnswer():
		return
	case err != nil:
		t.upstreamFailed(ctx, err)
		return
	}
	t.answer(ex) //nolint:contextcheck // who is looked up for an answer is for as long as the request is
}

// noticeTime is how long an upload that the daemon has answered already may go on.
const noticeTime = 500 * time.Millisecond

// upload carries an opaque body. The daemon may answer before the body has
// ended (progress of an image load) or instead of reading it (an error).
func (t *task) upload(ctx context.Context) {
	out := t.outgoing()
	out.stream, out.length = t.r.Body, t.r.ContentLength
	rc := http.NewResponseController(t.w)
	_ = rc.EnableFullDuplex() // HTTP/1 has it

	c, err := t.s.up.connect(ctx)
	if err != nil {
		t.upstreamFailed(ctx, err)
		return
	}
	up := &uploading{conn: c, out: out, buffers: &t.s.buffers, done: make(chan struct{})}
	ex, err := t.s.up.exchange(ctx, c, out, up.start)
	// Whatever happens, the body must not be read once this function returns. A
	// client that is still sending gets a moment to notice the answer: to close
	// on it at once would cost it the answer.
	defer func() {
		if !up.ended() {
			_ = rc.Flush()
			_ = rc.SetReadDeadline(time.Now().Add(noticeTime))
			_ = c.Close()
			<-up.done
		}
	}()
	if err != nil {
		if up.clientBroke() {
			t.fail(http.StatusBadRequest, "vitrine: the request's body broke off [body-broken]")
			return
		}
		t.upstreamFailed(ctx, err)
		return
	}
	defer ex.Close()
	if !up.whole.Load() { // what is left of the body, if that can be told, is no request
		t.w.Header().Set("Connection", "close")
	}
	t.answer(ex) //nolint:contextcheck // who is looked up for an answer is for as long as the request is
}

// uploading copies an opaque body to the daemon beside the reading of its answer.
type uploading struct {
	conn    *upConn
	out     *outgoing
	buffers *buffers
	done    chan struct{}
	started bool
	whole   atomic.Bool // all of the body has been read; the last of it may be on its way
	readErr error       // of the client's side; read it after done
}

// start begins to copy; the head has been written.
func (u *uploading) start() {
	u.started = true
	go func() {
		u.copy()
		close(u.done) // first, so that who sees the connection end can tell why
		if u.readErr != nil {
			_ = u.conn.Close() // half a body must not look like a whole one
		}
	}()
}

func (u *uploading) copy() {
	var w io.Writer = u.conn.bw
	var chunks io.WriteCloser
	if u.out.length < 0 {
		chunks = httputil.NewChunkedWriter(u.conn.bw)
		w = chunks
	}
	buf := u.buffers.get()
	defer u.buffers.put(buf)
	for unread := false; ; {
		n, err := u.out.stream.Read(*buf)
		if errors.Is(err, io.EOF) {
			u.whole.Store(true) // first: the daemon may answer as soon as it has the last of it
		}
		if !unread {
			_, werr := w.Write((*buf)[:n])
			unread = werr != nil || u.conn.bw.Flush() != nil // the daemon has answered, or is gone
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			u.readErr = err
			return
		}
	}
	if chunks != nil {
		_ = chunks.Close()
		_, _ = io.WriteString(u.conn.bw, "\r\n") // no trailers
	}
	_ = u.conn.bw.Flush() // an error shows when the answer is read
}

func (u *uploading) ended() bool {
	if !u.started {
		return true
	}
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

func (u *uploading) clientBroke() bool { return u.ended() && u.readErr != nil }

// buffers are what streams are copied through, 32 KiB each.
type buffers struct{ sync.Pool }

func (b *buffers) get() *[]byte {
	if buf, ok := b.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, 32<<10)
	return &buf
}

func (b *buffers) put(buf *[]byte) { b.Put(buf) }
