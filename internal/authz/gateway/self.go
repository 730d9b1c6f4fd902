package gateway

import (
	"fmt"
	"net/http"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/engine/operation"
)

// SelfTransport carries our own calls to the daemon, each under a ticket where
// there are tickets. It refuses everything but the fixed list of reads of decide.MayRead.
func (s *Server) SelfTransport() http.RoundTripper {
	return &selfTransport{s.up}
}

type selfTransport struct{ up *upstream }

// RoundTrip implements http.RoundTripper.
func (t *selfTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // a RoundTripper must; its content is never sent
	}
	op, err := operation.Parse(&operation.Request{Method: r.Method, URI: r.URL.RequestURI(), Proto: "HTTP/1.1", Header: r.Header})
	switch {
	case err != nil:
		return nil, fmt.Errorf("our own call %s %s: %w", r.Method, r.URL.Path, err)
	case !decide.MayRead(op):
		return nil, fmt.Errorf("our own call %s %s: %s is not among the reads that we may do", r.Method, r.URL.Path, op.ID)
	}
	ex, err := t.up.send(r.Context(), &outgoing{
		method: op.Method, uri: op.URI, header: operation.ForwardHeader(op, r.Header),
		entry: ticket.Entry{Method: op.Method, URI: op.URI, Caller: "self", Self: true},
	})
	if err != nil {
		return nil, err
	}
	res := *ex.base().res
	res.Request, res.Body = r, ex
	return &res, nil
}
