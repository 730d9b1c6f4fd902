package plugin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/docker/go-plugins-helpers/authorization"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// reply answers one question. A panic is a denial.
func (d *Door) reply(ctx context.Context, req *authorization.Request) (res authorization.Response) {
	defer func() {
		if p := recover(); p != nil {
			d.cfg.Logger.Error("decision panicked", "panic", p)
			res = deny("internal-error", "the decision failed")
		}
	}()
	if req.RequestMethod == "" || req.RequestURI == "" {
		return deny("bad-question", "the daemon asked about an empty request")
	}
	tickets, header := headers(req.RequestHeaders)
	if len(tickets) > 0 {
		return d.ticketed(ctx, req, tickets, header)
	}
	conn, why := caller(req)
	if conn == nil {
		return deny("unknown-caller", why)
	}
	return d.authorize(ctx, conn, req, header)
}

// headers splits off the tickets, which nobody may see. dockerd writes keys in
// their canonical spelling; one spelled otherwise is a ticket all the same.
func headers(shown map[string]string) (tickets []string, header http.Header) {
	header = make(http.Header, len(shown))
	for k, v := range shown {
		if strings.EqualFold(k, ticket.Header) {
			tickets = append(tickets, v)
			continue
		}
		header[k] = []string{v}
	}
	return tickets, header
}

// ticketed checks that dockerd read what the gateway judged.
func (d *Door) ticketed(ctx context.Context, req *authorization.Request, tickets []string, header http.Header) authorization.Response {
	if len(tickets) > 1 || len(req.RequestPeerCertificates) > 0 || req.User != "" || req.UserAuthNMethod != "" {
		return d.differential(req, "a ticket came with a certificate, or with another ticket")
	}
	entry, ok := d.cfg.Tickets.Take(tickets[0])
	if !ok && d.cfg.Tickets.Abandoned(tickets[0]) {
		return deny("given-up", "the gateway has given this request up: its client has gone")
	}
	if !ok {
		return d.differential(req, "the ticket is unknown or has been used")
	}
	if err := entry.Check(req.RequestMethod, req.RequestURI, req.RequestBody); err != nil {
		return d.differential(req, err.Error())
	}
	if entry.Self {
		return d.authorize(ctx, identity.NewSelf("plugin"), req, header)
	}
	return authorization.Response{Allow: true} // the record is the gateway's
}

// differential denies, loudly.
func (d *Door) differential(req *authorization.Request, why string) authorization.Response {
	d.cfg.Logger.Error("request differs from what the gateway judged", "method", req.RequestMethod, "reason", why)
	if d.cfg.Differential != nil {
		who := &identity.Identity{Kind: identity.Unknown, Door: "plugin", Err: errors.New(why)}
		d.cfg.Differential(who, req.RequestMethod, req.RequestURI, why)
	}
	return deny("differential", "differential: this is not a request that the gateway judged: "+why)
}

// caller says who a request without a ticket comes from. dockerd shows a
// certificate only if it verified it; only the first is the client's, the
// others are what the client says of its chain.
func caller(req *authorization.Request) (conn *identity.Connection, why string) {
	certs := req.RequestPeerCertificates
	switch {
	case req.UserAuthNMethod == "TLS" && len(certs) > 0 && certs[0] != nil:
		return identity.NewCertificate((*x509.Certificate)(certs[0])), ""
	case req.UserAuthNMethod == "TLS":
		return nil, "this Docker Engine does not show client certificates to plugins; use the gateway"
	case req.UserAuthNMethod != "" || req.User != "" || len(certs) > 0:
		return nil, "the daemon names a caller in a way that is not known"
	}
	return identity.NewLocal(), ""
}

// authorize asks package decide, and denies what this door cannot do.
func (d *Door) authorize(ctx context.Context, conn *identity.Connection, req *authorization.Request, header http.Header) authorization.Response {
	op, err := toOperation(req, header)
	if err != nil {
		return deny("bad-question", err.Error())
	}
	v := d.cfg.Authorizer.Authorize(ctx, conn, op)
	if v.Allow {
		if code, why := d.unmet(ctx, v); why != "" {
			v.Deny(http.StatusForbidden, code, why)
		}
	}
	if !v.Allow {
		v.Finish(http.StatusForbidden, false)
		return authorization.Response{Msg: v.Message}
	}
	v.Finish(0, false)
	return authorization.Response{Allow: true}
}

// unmet says why an allowed request must be denied here, "" if it need not be.
func (d *Door) unmet(ctx context.Context, v *decide.Verdict) (code, why string) {
	if ctx.Err() != nil {
		return "deadline", "the decision took too long"
	}
	_, unmet := obligation.Meet(obligation.Plugin, v.Operation, v.Decision.Demand())
	switch {
	case unmet == nil:
		return "", ""
	case unmet.Gateway:
		return "obligation", unmet.Reason + ": use its socket " + d.cfg.GatewaySocket
	default:
		return "obligation", unmet.Reason
	}
}

// toOperation is the request as far as dockerd shows it. Engines withhold
// bodies for many reasons (over 1 MiB, chunked, not JSON, /auth), so that none is shown
// never means that there is none.
func toOperation(req *authorization.Request, header http.Header) (*operation.Request, error) {
	out := &operation.Request{Method: req.RequestMethod, URI: req.RequestURI, Header: header, ContentLength: -1}
	if declared := header.Get("Content-Length"); declared != "" {
		n, err := strconv.ParseInt(declared, 10, 64)
		if err != nil || n < 0 {
			return nil, errors.New("the request's Content-Length is no length")
		}
		out.ContentLength = n
	}
	size := int64(len(req.RequestBody))
	switch {
	case size == 0:
		out.Withheld = true
	case out.ContentLength >= 0 && out.ContentLength != size:
		return nil, fmt.Errorf("the request says that its body has %d bytes, and the daemon shows %d", out.ContentLength, size)
	default:
		out.ContentLength = size
		out.Arrived = true
		out.ReadBody = func() ([]byte, error) { return req.RequestBody, nil }
	}
	return out, nil
}
