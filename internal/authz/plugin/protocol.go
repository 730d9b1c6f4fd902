package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/docker/go-plugins-helpers/authorization"
	"github.com/docker/go-plugins-helpers/sdk"
)

// All that is done with the bytes of the protocol, and all that the helpers' types
// can do wrong, is in this file.

// decode reads what dockerd asks. The helpers' types panic on a certificate
// that is not PEM: that is an error like any other.
func decode(w http.ResponseWriter, r *http.Request) (req *authorization.Request, err error) {
	defer func() {
		if p := recover(); p != nil {
			req, err = nil, fmt.Errorf("decode question: %v", p)
		}
	}()
	var buf bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= maxRequest {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequest)); err != nil {
		return nil, fmt.Errorf("read question: %w", err)
	}
	req = new(authorization.Request)
	if err := json.Unmarshal(buf.Bytes(), req); err != nil {
		return nil, fmt.Errorf("decode question: %w", err)
	}
	return req, nil
}

// allowed is the answer that most questions have.
var allowed, _ = json.Marshal(authorization.Response{Allow: true})

func answer(w http.ResponseWriter, res authorization.Response) {
	body := slices.Clip(allowed)
	if res != (authorization.Response{Allow: true}) {
		body, _ = json.Marshal(res) // strings and a bool can always be encoded
	}
	w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	_, _ = w.Write(append(body, '\n')) // if dockerd has gone it needs no answer
}

// deny denies with a code of docs/reasons.md.
func deny(code, msg string) authorization.Response {
	return authorization.Response{Msg: "vitrine: " + msg + " [" + code + "]"}
}

// once gives one answer, whoever comes first with it, and has it sent.
type once struct {
	w http.ResponseWriter

	mu    sync.Mutex
	given bool
}

func (o *once) answer(res authorization.Response) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.given {
		return false
	}
	o.given = true
	answer(o.w, res)
	_ = http.NewResponseController(o.w).Flush() // under the lock: after it the other one may write
	return true
}
