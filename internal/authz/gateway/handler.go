package gateway

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"sync/atomic"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/redact"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/lane"
)

// task is one request on its way through the gateway.
type task struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	conn *conn
	who  *identity.Connection
	v    *decide.Verdict
	asOf uint64 // see tasks
	// stage is taken once: by the answer that begins, or by the change of the policy that withdraws it.
	stage atomic.Pointer[stage]
	body  *body
	plan  *redact.Plan // nil unless the answer must be redacted
	// quiet: the decision withholds something, and so the texts of errors too.
	quiet bool
	// bigAnswer: it holds one of the few places for large answers.
	bigAnswer bool
}

// ServeHTTP carries one request, or says why not.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	defer s.requests.Done()
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil || s.identityOf(c) == nil {
		refuse(w, http.StatusForbidden, "vitrine: nothing is known about this connection's other end [unknown-caller]")
		return
	}
	c.unread.Store(false)
	who := c.identity
	if why := s.closed(); why != "" {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, why)
		return
	}

	t := &task{s: s, w: w, r: r, conn: c, who: who, asOf: s.tasks.asOf(), body: newBody(s, w, r, who.Account)}
	defer t.body.release()
	req := &operation.Request{Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Header: r.Header, ContentLength: r.ContentLength, Rebuilt: true, Raw: lane.Raw(w)}
	if r.ContentLength != 0 {
		req.ReadBody, req.Arrived = t.body.read, req.Raw != nil
	}
	// The decision does not hang on the client: one that has sent all it will
	// send looks to net/http like one that has gone.
	t.v = s.cfg.Authorizer.Authorize(context.WithoutCancel(r.Context()), who, req)
	defer t.v.Finish(0, false) // does nothing if the answer's head has recorded it
	s.conns.attribute(c, t.v.Caller)
	t.run() //nolint:contextcheck // see whileConnected
}

// closed says why no request can be carried now, "" if it can.
func (s *Server) closed() string {
	if !s.up.ready.Load() {
		return "vitrine: the Docker Engine at " + s.up.name + " has not answered yet; try again [no-engine]"
	}
	if now, _ := s.up.asked.get(); s.cfg.RequirePlugin && !now {
		return "vitrine: dockerd does not ask the authorization plugin, and require_plugin is set: " +
			"name the plugin in authorization-plugins of daemon.json and send dockerd a SIGHUP [plugin-not-asked]"
	}
	return ""
}

func (t *task) run() {
	if t.v.Operation == nil || t.v.Caller.Exhausted() {
		t.w.Header().Set("Connection", "close") // nobody knows what follows; nobody can say who it is
	}
	if t.v.Caller.Exhausted() {
		t.w.Header().Set("Retry-After", "1")
	}
	if t.v.Allow {
		t.obligations()
	}
	key := callerKey(t.v.Caller)
	if t.v.Allow && !t.s.streams.Add(key) {
		t.v.Deny(http.StatusTooManyRequests, "limit", "it has too many requests open; close some or try again")
	} else if t.v.Allow {
		defer t.s.streams.Remove(key)
		t.enter()
		defer t.s.tasks.remove(t)
	}
	if !t.v.Allow {
		t.fail(t.v.Status, t.v.Message)
		return
	}
	if reads(t.v.Operation) {
		t.v.HandOver()
	} else {
		t.v.Release()
	}
	ctx, end := t.lasts()
	defer end()
	switch t.v.Operation.Carry {
	case operation.CarryUpload:
		t.upload(ctx)
	case operation.CarryHijack, operation.CarryUpgrade:
		t.hijack(ctx)
	case operation.CarryPlain:
		t.plain(ctx)
	default:
		t.fail(http.StatusBadGateway, "vitrine: nobody has said how to carry "+t.v.Operation.ID)
	}
}

// reads says that the Engine answers an operation at once, and that all it takes
// is its processors: then they are shared as ours are. Others may have to wait for
// something, as ContainerStats does for its second sample.
func reads(op *operation.Operation) bool {
	switch op.Access {
	case operation.Ping, operation.List, operation.Inspect:
		return op.Carry == operation.CarryPlain && op.Method != http.MethodPost && !op.Has(operation.Waits)
	case operation.Stream, operation.Content, operation.Secret, operation.Interactive, operation.Write, operation.Build, operation.Admin:
	}
	return false
}

// lasts is the context of what is asked of the daemon, and ends it: with the client. What counts until it is answered lasts though the
// client leaves, as the daemon makes it all the same, and its answer alone says when that is over. Meanwhile the request is one of those that its
// caller has open.
func (t *task) lasts() (context.Context, func()) {
	if !t.v.Counted() {
		c := t.whileConnected()
		if t.stage.Load() != nil { // withdrawn before there was something to end
			c.end()
		}
		return c, c.end
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.r.Context()))
	stop := context.AfterFunc(t.s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// obligations denies a request whose decision demands what this door cannot do, and one whose
// body the parser left to the door.
func (t *task) obligations() {
	op, d := t.v.Operation, &t.v.Decision
	plan, unmet := obligation.Meet(obligation.Gateway, op, d.Demand())
	switch {
	case unmet != nil:
		t.v.Deny(http.StatusForbidden, "obligation", unmet.Reason)
	case op.BodyState == operation.BodyInvalid, op.BodyState == operation.BodyWithheld,
		op.BodyState == operation.BodyJSON && op.Canonical == nil:
		t.badRequest("the body could not be judged, so it cannot be forwarded")
	default:
		t.plan, t.quiet = plan, len(d.Redact) > 0 || t.v.View != nil
		t.v.OwnSession()
	}
}

// tunnels reports whether the operation may turn its connection into a stream.
func tunnels(op *operation.Operation) bool {
	return op.Carry == operation.CarryHijack || op.Carry == operation.CarryUpgrade
}

func (t *task) badRequest(reason string) { t.v.Deny(http.StatusBadRequest, "bad-request", reason) }

// outgoing is the request rebuilt from the operation.
func (t *task) outgoing() *outgoing {
	op := t.v.Carried()
	out := &outgoing{
		method: op.Method, uri: op.URI,
		header: operation.ForwardHeader(op, t.r.Header),
		entry:  ticket.Entry{Method: op.Method, URI: op.URI, Caller: t.v.Caller.String()},
	}
	if t.plan != nil || t.v.View.Filters() || t.v.View.Streams() {
		out.header.Del("Accept") // the daemon's own choice is JSON, which is what can be redacted
	}
	switch op.BodyState {
	case operation.BodyJSON:
		out.body = op.Canonical
		out.entry.Body = ticket.JSON(out.body, op.Has(operation.HidesBody))
	case operation.BodyOpaque:
		out.entry.Body = ticket.Opaque()
	case operation.BodyNone, operation.BodyInvalid, operation.BodyWithheld:
	}
	return out
}

// fail answers an error of ours and records it.
func (t *task) fail(status int, message string) {
	if t.v.Operation != nil && tunnels(t.v.Operation) {
		t.lastError(status, errorBody(message), func() {})
		return
	}
	t.v.Finish(status, false)
	refuse(t.w, status, message)
}

// upstreamFailed answers that the daemon did not, unless nobody is left to hear it.
func (t *task) upstreamFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	t.s.log.Warn("request not answered by the daemon", "operation", t.v.Operation.ID, "error", err)
	if errors.Is(err, errDial) {
		t.w.Header().Set("Retry-After", "1")
		t.fail(http.StatusServiceUnavailable, "vitrine: the Docker Engine does not answer at "+t.s.up.name+": is it running? [no-engine]")
		return
	}
	t.fail(http.StatusBadGateway, "vitrine: the Docker Engine at "+t.s.up.name+" broke off before it answered: look at its log [engine-broke-off]")
}

// refuse answers in the Engine's own error shape.
func refuse(w http.ResponseWriter, status int, message string) {
	refuseWith(w, status, errorBody(message))
}

// refuseWith answers with an error as errorBody has written it.
func refuseWith(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusBadRequest {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// errorBody is the Engine's own shape of an error.
func errorBody(message string) []byte {
	if plain(message) {
		return []byte(`{"message":"` + message + "\"}\n")
	}
	return append(marshal(struct {
		Message string `json:"message"`
	}{message}), '\n')
}

// plain says that nothing of a text need be escaped in JSON, as of most messages, which are made for each denial.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// callerKey is whom a request counts against.
func callerKey(id *identity.Identity) string {
	switch {
	case id.Container != nil:
		return "container:" + id.Container.ID
	case id.Certificate != nil:
		return "tls:" + id.Certificate.SHA256
	}
	return id.String()
}

func isJSON(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType) // a broken parameter leaves the type readable
	return mediaType == "application/json"
}
