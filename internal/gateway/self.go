package gateway

import (
	"fmt"
	"net/http"

	"vitrine/internal/operation"
	"vitrine/internal/ticket"
)

// selfReads are the operations that we may call ourselves: what the inventory
// and the pings need, and nothing that writes or shows a container's content.
func selfReads() map[string]bool {
	return map[string]bool{
		"SystemPing": true, "SystemPingHead": true, "SystemVersion": true, "SystemInfo": true, "SystemEvents": true,
		"ContainerList": true, "ContainerInspect": true, "ImageInspect": true, "ExecInspect": true, "PluginList": true,
	}
}

// SelfTransport carries our own calls to the daemon, each under a ticket where
// there are tickets. It refuses everything but a fixed list of reads.
func (s *Server) SelfTransport() http.RoundTripper {
	return &selfTransport{up: s.up, reads: selfReads()}
}

type selfTransport struct {
	up    *upstream
	reads map[string]bool
}

// RoundTrip implements http.RoundTripper.
func (t *selfTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // a RoundTripper must; its content is never sent
	}
	op, err := operation.Parse(&operation.Request{Method: r.Method, URI: r.URL.RequestURI(), Proto: "HTTP/1.1", Header: r.Header})
	switch {
	case err != nil:
		return nil, fmt.Errorf("our own call %s %s: %w", r.Method, r.URL.Path, err)
	case !t.reads[op.ID] || r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, fmt.Errorf("our own call %s %s: %s is not among the reads that we may do", r.Method, r.URL.Path, op.ID)
	}
	ex, err := t.up.send(r.Context(), &outgoing{
		method: op.Method, uri: op.URI, header: operation.ForwardHeader(op, r.Header),
		entry: ticket.Entry{Method: op.Method, URI: op.URI, Caller: "self", Self: true},
	})
	if err != nil {
		return nil, err
	}
	res := *ex.res
	res.Request = r
	if res.Body == http.NoBody {
		ex.eof = true
		ex.close()
	} else {
		res.Body = ex
	}
	return &res, nil
}
