package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"vitrine/internal/engine/operation"
)

// body reads a JSON body for its judgement, within the limits.
type body struct {
	s   *Server
	w   http.ResponseWriter
	r   *http.Request
	key string

	text    *bytes.Buffer // of bodyTexts
	counted bool
	big     bool // it counts as one of the few big ones, too
}

// bodyTexts are buffers that bodies are read into; what is judged is a copy.
var bodyTexts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newBody(s *Server, w http.ResponseWriter, r *http.Request, key string) *body {
	return &body{s: s, w: w, r: r, key: key}
}

// read returns the whole body, which is gone with release, or a *operation.Refusal. A client that asked for
// 100-continue gets it here, after the request's head was found in order.
func (b *body) read() ([]byte, error) {
	limit := b.s.limits.JSONBytes
	if b.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if b.counted = b.s.bodies.Add(b.key); !b.counted {
		return nil, &operation.Refusal{Status: http.StatusServiceUnavailable, Code: "busy", Reason: "too many request bodies at once; try again"}
	}
	rc := http.NewResponseController(b.w)
	_ = rc.SetReadDeadline(time.Now().Add(b.s.limits.BodyTimeout)) // every connection of ours has deadlines
	b.text = bodyTexts.Get().(*bytes.Buffer)                       //nolint:forcetypeassert // its New makes nothing else
	if n := b.r.ContentLength; n > 0 {
		b.text.Grow(int(min(n, bigBody)) + bytes.MinRead) // whoever announces much could send it as well, and wait then
	}
	in := io.LimitedReader{R: b.r.Body, N: bigBody + 1}
	_, err := b.text.ReadFrom(&in)
	if err == nil && in.N == 0 {
		if b.big = b.s.bigBody.Add(b.key); !b.big {
			return nil, &operation.Refusal{Status: http.StatusServiceUnavailable, Code: "busy", Reason: "too many large request bodies at once; try again"}
		}
		in.N = limit - bigBody
		_, err = b.text.ReadFrom(&in)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &operation.Refusal{Status: http.StatusRequestTimeout, Code: "body-timeout", Reason: fmt.Sprintf("the body did not arrive within %s", b.s.limits.BodyTimeout)}
	case err != nil:
		return nil, &operation.Refusal{Status: http.StatusBadRequest, Code: "body-broken", Reason: "the body broke off"}
	case int64(b.text.Len()) > limit:
		return nil, tooLarge(limit)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return b.text.Bytes(), nil
}

func tooLarge(limit int64) error {
	return &operation.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Reason: fmt.Sprintf("a JSON body may have %d bytes", limit)}
}

// release gives the body's places back.
func (b *body) release() {
	if b.counted {
		b.s.bodies.Remove(b.key)
	}
	if b.big {
		b.s.bigBody.Remove(b.key)
	}
	if b.text != nil && b.text.Cap() <= 2*bigBody {
		b.text.Reset()
		bodyTexts.Put(b.text)
	}
}
