package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"time"

	"vitrine/internal/engine/operation"
)

// linger is how long a client may go on sending after the daemon has ended the
// stream.
const linger = time.Minute

// times are those of connections that end. Tests have shorter ones.
type times struct {
	last   time.Duration // that an answer other than a tunnel may take to be read
	hungUp time.Duration // after which we look again whether a client that has ended its half has left altogether
}

// hijack carries attach, exec start and upgrades: if the daemon agrees the two
// connections become one, else both end with its answer.
func (t *task) hijack(ctx context.Context) {
	out := t.outgoing()
	out.upgrade = out.header.Get("Upgrade") // one that the operation speaks, says its parser
	ex, err := t.s.up.sendAlone(ctx, out)
	if err != nil {
		t.upstreamFailed(ctx, err)
		return
	}
	defer ex.Close()
	switch {
	case ex.res.StatusCode == http.StatusSwitchingProtocols && out.upgrade == "":
		t.fail(http.StatusBadGateway, "vitrine: the Docker Engine changed the protocol without being asked")
	case ex.res.StatusCode == http.StatusSwitchingProtocols, rawStream(ex.res):
		t.tunnel(ex)
	case t.withholds(ex.res):
		text, withheld := t.errorText(ex)
		t.v.Finish(ex.res.StatusCode, withheld)
		t.lastError(ex.res.StatusCode, text, func() { _ = ex.Close() })
	default:
		lowerVersion(ex.res.Header)
		t.last(ex.res, func() { _ = ex.Close() })
	}
}

// last gives an answer other than a tunnel to a request that asked for one. The
// connection ends with it: what the client sends behind such a request need not
// be a request, so nothing reads it as one. An error does not announce that,
// because Docker's command line (20.10) takes an answer with "Connection: close"
// for a tunnel and shows its user the error's bytes instead of its message.
// written is called when the answer is.
func (t *task) last(res *http.Response, written func()) {
	client, _, err := http.NewResponseController(t.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer client.Close()
	t.v.Finish(res.StatusCode, false)
	res.Proto, res.ProtoMajor, res.ProtoMinor, res.Close = "HTTP/1.1", 1, 1, res.StatusCode < 400
	if res.ContentLength < 0 {
		res.TransferEncoding = []string{"chunked"}
	}
	for k := range res.Header {
		if hopByHop(k) {
			res.Header.Del(k)
		}
	}
	_ = client.SetDeadline(time.Now().Add(t.s.times.last))
	err = res.Write(client)
	written()
	if err != nil || closeWrite(client) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, client) // to close on unread bytes could cost the client the answer
}

// lastError is last for an error with that body, and the headers that were set for it.
func (t *task) lastError(status int, body []byte, written func()) {
	header := t.w.Header()
	header.Set("Content-Type", "application/json")
	t.last(&http.Response{
		StatusCode: status, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Header: header,
	}, written)
}

// rawStream: Docker's way to hijack without an upgrade.
func rawStream(res *http.Response) bool {
	if res.StatusCode != http.StatusOK || res.ContentLength >= 0 || len(res.TransferEncoding) > 0 {
		return false
	}
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // a broken parameter leaves the type readable
	return mediaType == "application/vnd.docker.raw-stream" || mediaType == "application/vnd.docker.multiplexed-stream"
}

// tunnel is two connections that have become one. Nothing bounds it but its ends.
type tunnel struct {
	client net.Conn
	in     *bufio.Reader // of the client's, what was read beyond its request
	daemon *upConn
	look   time.Duration // after which it looks again whether the client has left
}

// Close ends both.
func (t *tunnel) Close() error {
	return errors.Join(t.client.Close(), t.daemon.Close())
}

// tunnel joins the two connections, if the client is still there.
func (t *task) tunnel(ex *own) {
	client, buffered, err := http.NewResponseController(t.w).Hijack()
	if err != nil {
		t.fail(http.StatusBadGateway, "vitrine: the connection cannot be taken over")
		return
	}
	joined := &tunnel{client, buffered.Reader, ex.conn, t.s.times.hungUp}
	defer joined.Close()
	t.v.Finish(ex.res.StatusCode, false)
	if !ex.unbind() {
		return // the client had gone
	}
	lowerVersion(ex.res.Header)
	if t.r.ContentLength < 0 && t.v.Operation.BodyState == operation.BodyNone {
		skipEmptyBody(buffered.Reader)
	}
	w := bufio.NewWriter(client)
	_, _ = w.WriteString("HTTP/1.1 " + ex.res.Status + "\r\n") // a bufio.Writer keeps its error for Flush
	_ = ex.res.Header.Write(w)
	_, _ = w.WriteString("\r\n")
	if w.Flush() != nil {
		return
	}
	joined.copy(&t.s.buffers)
}

// skipEmptyBody leaves out the end of an empty chunked body, which dockerode
// sends along with the head of an attach: it is no input for the container.
func skipEmptyBody(in *bufio.Reader) {
	const end = "0\r\n\r\n"
	if in.Buffered() < len(end) {
		return
	}
	if head, err := in.Peek(len(end)); err == nil && string(head) == end {
		_, _ = in.Discard(len(end))
	}
}

// copy copies both ways until both have ended. The end of one half is passed
// on as that: a client that has sent all its input still gets the output.
func (t *tunnel) copy(buffers *buffers) {
	inDone, outDone, watchDone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(inDone)
		if err := t.carry(t.daemon.Conn, t.client, t.in, buffers); err != nil && !isWrite(err) {
			_ = t.Close()
			return
		}
		_ = closeWrite(t.daemon.Conn)
	}()
	go func() {
		defer close(watchDone)
		<-inDone
		for !hungUp(t.client) {
			select {
			case <-outDone:
				return
			case <-time.After(t.look):
			}
		}
		_ = t.Close()
	}()
	err := t.carry(t.client, t.daemon.Conn, t.daemon.br, buffers)
	close(outDone)
	if err != nil {
		_ = t.Close()
	} else {
		_ = closeWrite(t.client)
		_ = t.client.SetReadDeadline(time.Now().Add(linger))
	}
	<-inDone
	<-watchDone
}

// writeError says that it was the receiver that failed.
type writeError struct{ error }

func isWrite(err error) bool {
	_, ok := errors.AsType[writeError](err)
	return ok
}

// carry carries one way until the sender ends, which is no error. read is what reads src.
func (t *tunnel) carry(dst, src net.Conn, read *bufio.Reader, buffers *buffers) error {
	err := copyStream(dst, read, buffers, spliceAfter)
	if !errors.Is(err, errMuch) {
		return err
	}
	if err = splice(dst, src); errors.Is(err, errNoSplice) {
		err = copyStream(dst, read, buffers, math.MaxInt)
	}
	return err
}

// errMuch says that so much was copied, and that nothing is left in the reader.
var errMuch = errors.New("there is more to copy")

// copyStream copies until the sender ends, which is no error, or for as much and no longer than src has some left.
func copyStream(dst io.Writer, src *bufio.Reader, buffers *buffers, much int) error {
	buf := buffers.get()
	defer buffers.put(buf)
	for {
		n, err := src.Read(*buf)
		if n > 0 {
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				return writeError{werr}
			}
		}
		much -= n
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case much <= 0 && src.Buffered() == 0:
			return errMuch
		}
	}
}
