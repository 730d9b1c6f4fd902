package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"vitrine/internal/engine/operation"
)

// body reads a JSON body for its judgement, within the limits.
type body struct {
	s   *Server
	w   http.ResponseWriter
	r   *http.Request
	key string

	counted bool
	big     bool // it counts as one of the few big ones, too
}

func newBody(s *Server, w http.ResponseWriter, r *http.Request, key string) *body {
	return &body{s: s, w: w, r: r, key: key}
}

// read returns the whole body, or a *operation.Refusal. A client that asked for
// 100-continue gets it here, after the request's head was found in order.
func (b *body) read() ([]byte, error) {
	limit := b.s.limits.JSONBytes
	if b.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if b.counted = b.s.bodies.add(b.key); !b.counted {
		return nil, &operation.Refusal{Status: http.StatusServiceUnavailable, Code: "busy", Reason: "too many request bodies at once; try again"}
	}
	rc := http.NewResponseController(b.w)
	_ = rc.SetReadDeadline(time.Now().Add(b.s.limits.BodyTimeout)) // every connection of ours has deadlines
	in := io.LimitReader(b.r.Body, limit+1)
	var buf bytes.Buffer
	if n := b.r.ContentLength; n > 0 {
		buf.Grow(int(min(n, bigBody)) + bytes.MinRead) // whoever announces much could send it as well, and wait then
	}
	_, err := io.CopyN(&buf, in, bigBody+1)
	if err == nil {
		if b.big = b.s.bigBody.add(b.key); !b.big {
			return nil, &operation.Refusal{Status: http.StatusServiceUnavailable, Code: "busy", Reason: "too many large request bodies at once; try again"}
		}
		_, err = buf.ReadFrom(in)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &operation.Refusal{Status: http.StatusRequestTimeout, Code: "body-timeout", Reason: fmt.Sprintf("the body did not arrive within %s", b.s.limits.BodyTimeout)}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &operation.Refusal{Status: http.StatusBadRequest, Code: "body-broken", Reason: "the body broke off"}
	case int64(buf.Len()) > limit:
		return nil, tooLarge(limit)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return buf.Bytes(), nil
}

func tooLarge(limit int64) error {
	return &operation.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Reason: fmt.Sprintf("a JSON body may have %d bytes", limit)}
}

// release gives the body's places back.
func (b *body) release() {
	if b.counted {
		b.s.bodies.remove(b.key)
	}
	if b.big {
		b.s.bigBody.remove(b.key)
	}
}
