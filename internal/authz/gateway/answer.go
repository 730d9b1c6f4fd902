package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/authz/redact"
	"vitrine/internal/engine/operation"
)

// answer passes the daemon's answer to the client: its status, its headers but
// for those of the connection, its body. Trailers are dropped.
func (t *task) answer(ex exchange) {
	redacted := t.plan != nil
	switch {
	case t.withholds(ex.base().res):
		t.failure(ex)
		return
	case (redacted || t.v.View.Streams()) && t.v.Operation.Has(operation.AnswersEvents),
		redacted && t.v.Operation.Has(operation.AnswersLate): // docker run -d goes on when it has the head of its wait
		t.events(ex)
		return
	case redacted, t.v.View.Filters(), t.tooNew(ex):
		t.held(ex)
		return
	}
	first := t.made(ex)
	if ex.base().res.ContentLength < 0 {
		t.w.Header().Set("Transfer-Encoding", "chunked") // else net/http counts a short one, and docker-py takes that for no stream
	}
	t.head(ex.base().res, false)
	_, err := t.w.Write(first)
	if err == nil {
		err = t.stream(ex)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
}

// maxMade is more than the answer that names what was made has, which may warn of much.
const maxMade = 64 << 10

// made learns from the daemon's answer which exec or container the caller has made, before the
// caller can know it. It gives what it has read.
func (t *task) made(ex exchange) (read []byte) {
	if !t.v.Operation.Has(operation.AnswersID) || ex.base().res.StatusCode != http.StatusCreated {
		return nil
	}
	read, _ = io.ReadAll(io.LimitReader(ex, maxMade)) // an error comes again when the rest is read
	var made struct{ ID string }
	if json.Unmarshal(read, &made) == nil {
		t.v.Made(made.ID)
	}
	return read
}

// head writes the answer's head and the audit record.
func (t *task) head(res *http.Response, redacted bool) {
	h := t.w.Header()
	for k, v := range res.Header {
		if !hopByHop(k) {
			h[k] = v
		}
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // else net/http would guess one
	}
	lowerVersion(h)
	t.v.Finish(res.StatusCode, redacted)
	t.w.WriteHeader(res.StatusCode)
}

// stream copies the body and flushes whenever the daemon has paused.
func (t *task) stream(ex exchange) error {
	rc := http.NewResponseController(t.w)
	left := ex.base().res.ContentLength
	if !ex.buffered() {
		if err := rc.Flush(); err != nil {
			return err
		}
	}
	buf := t.s.buffers.get()
	defer t.s.buffers.put(buf)
	for {
		n, err := ex.Read(*buf)
		if n > 0 {
			left -= int64(n)
			if _, werr := t.w.Write((*buf)[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if left != 0 && ex.base().paused() {
			if err := rc.Flush(); err != nil {
				return err
			}
		}
	}
}

// held passes an answer that must be changed, and so be read first. One that
// cannot be is 502: nothing of it is passed on.
func (t *task) held(ex exchange) {
	doc, why := t.read(ex)
	if t.bigAnswer {
		defer t.s.bigAnswer.Remove(t.who.Account)
	} else if why == tooManyBig {
		t.w.Header().Set("Retry-After", "1")
		t.fail(http.StatusServiceUnavailable, "vitrine: "+tooManyBig+" [busy]")
		return
	}
	if why == "" && t.v.View.Filters() {
		var err error
		if doc, err = t.v.View.Apply(t.r.Context(), doc); err != nil {
			why = err.Error()
		}
	}
	if t.plan != nil && len(doc) > 0 {
		var err error
		if doc, err = t.plan.Apply(doc); err != nil {
			why = err.Error()
		}
	}
	if t.tooNew(ex) {
		doc = lowerVersions(doc)
	}
	if why != "" {
		t.unreadable(why)
		return
	}
	res := ex.base().res
	if t.r.Method != http.MethodHead {
		res.Header.Set("Content-Length", strconv.Itoa(len(doc)))
	}
	t.head(res, t.plan != nil)
	t.hand(doc)
}

// hand writes an answer that is held until the client has taken it: one that takes
// nothing for too long holds it no longer.
func (t *task) hand(doc []byte) {
	rc := http.NewResponseController(t.w)
	for len(doc) > 0 {
		n := min(len(doc), bigAnswer)
		_ = rc.SetWriteDeadline(time.Now().Add(t.s.limits.BodyTimeout)) // every connection of ours has deadlines
		if _, err := t.w.Write(doc[:n]); err != nil {
			return // net/http closes the connection
		}
		doc = doc[n:]
	}
}

// events passes a stream of JSON documents, each one blanked and flushed as soon as it
// is complete. What cannot be read ends the stream.
func (t *task) events(ex exchange) {
	if why := opaque(ex.base().res); why != "" {
		t.unreadable(why)
		return
	}
	ex.base().res.Header.Del("Content-Length")
	t.head(ex.base().res, true)
	plan := cmp.Or(t.plan, &redact.Plan{})
	shown := func(event []byte) bool { return !t.v.View.Streams() || t.v.View.Event(t.r.Context(), event) }
	err := copyEvents(t.w, plan.Events(ex, t.s.limits.RedactBytes), shown)
	if err == nil {
		return
	}
	if errors.Is(err, redact.ErrNotJSON) || errors.Is(err, redact.ErrTooLong) {
		t.s.log.Warn("stream of events cannot be redacted", "reason", err)
	}
	panic(http.ErrAbortHandler)
}

func copyEvents(w http.ResponseWriter, stream *redact.Events, shown func(event []byte) bool) error {
	rc := http.NewResponseController(w)
	for {
		_ = rc.Flush() // first the head: events may be long in coming; that the client has left ends the exchange
		event, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !shown(event) {
			continue
		}
		if _, err := w.Write(append(event, '\n')); err != nil {
			return err
		}
	}
}

// unreadable answers that the daemon's answer cannot be redacted.
func (t *task) unreadable(why string) {
	t.s.log.Warn("answer cannot be redacted", "operation", t.v.Operation.ID, "reason", why)
	t.fail(http.StatusBadGateway, "vitrine: the answer has parts that must be blanked, and cannot be read: "+why+" [obligation]")
}

// opaque says why an answer cannot be looked into, "" if it can.
func opaque(res *http.Response) string {
	switch {
	case res.Header.Get("Content-Encoding") != "":
		return "it is compressed"
	case !isJSON(res.Header.Get("Content-Type")):
		return "its type is not JSON"
	}
	return ""
}

// read reads the whole answer, or says why it cannot be changed.
func (t *task) read(ex exchange) (held []byte, why string) {
	res, limit := ex.base().res, t.s.limits.RedactBytes
	if res.Body == http.NoBody {
		return nil, ""
	}
	why = opaque(res)
	switch {
	case why != "":
		return nil, why
	case res.ContentLength > limit:
		return nil, fmt.Sprintf("it is over %d bytes", limit)
	}
	in := io.LimitReader(ex, limit+1)
	var doc bytes.Buffer
	_, err := io.CopyN(&doc, in, bigAnswer+1)
	if err == nil {
		if t.bigAnswer = t.s.bigAnswer.Add(t.who.Account); !t.bigAnswer {
			return nil, tooManyBig
		}
		_, err = doc.ReadFrom(in)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, "the daemon broke off"
	case int64(doc.Len()) > limit:
		return nil, fmt.Sprintf("it is over %d bytes", limit)
	}
	return doc.Bytes(), ""
}

const tooManyBig = "too many large answers at once that must be redacted; try again"

// tooNew: a version answer whose body names an API that we cannot judge. Its
// header says so too.
func (t *task) tooNew(ex exchange) bool {
	return t.v.Operation.Has(operation.AnswersVersion) && ex.base().res.StatusCode == http.StatusOK && newer(ex.base().res.Header.Get("Api-Version"))
}

// lowerVersion makes clients speak an API that we know.
func lowerVersion(h http.Header) {
	if v := h["Api-Version"]; len(v) > 0 && newer(v[0]) {
		h["Api-Version"] = []string{operation.MaxVersion}
	}
}

// lowerVersions does the same in the body of a version answer: at its top, and
// in the details of its components.
func lowerVersions(doc []byte) []byte {
	var v map[string]json.RawMessage
	var components []map[string]json.RawMessage
	if json.Unmarshal(doc, &v) != nil {
		return doc
	}
	lowerKey(v)
	if json.Unmarshal(v["Components"], &components) == nil {
		for _, c := range components {
			var details map[string]json.RawMessage
			if json.Unmarshal(c["Details"], &details) == nil {
				lowerKey(details)
				c["Details"] = marshal(details)
			}
		}
		v["Components"] = marshal(components)
	}
	return marshal(v)
}

func lowerKey(v map[string]json.RawMessage) {
	var s string
	if json.Unmarshal(v["ApiVersion"], &s) == nil && newer(s) {
		v["ApiVersion"] = marshal(operation.MaxVersion)
	}
}

// marshal encodes what was just decoded, which cannot fail.
func marshal(v any) json.RawMessage {
	b, _ := json.Marshal(v)
	return b
}

// newer compares an API version such as "1.57" with the newest that we know.
func newer(version string) bool {
	major, minor, ok := splitVersion(version)
	knownMajor, knownMinor, _ := splitVersion(operation.MaxVersion)
	return ok && (major > knownMajor || major == knownMajor && minor > knownMinor)
}

func splitVersion(v string) (major, minor int, ok bool) {
	a, b, found := strings.Cut(v, ".")
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	return major, minor, found && err1 == nil && err2 == nil
}

// hopByHop are the headers that speak of the connection, which is ours.
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}
