package bypass

import (
	"fmt"
	"strings"
)

// A request is one way round, as a caller sends it.
type request struct {
	number string // in the catalogue
	name   string
	as     []role // who tries; only look, if empty

	method, uri string
	header      []string // "Name: value"; a body without a Content-Type is sent as JSON
	body        string
	length      string // a Content-Length that is not the body's; "chunked" for none
	behind      string // bytes right behind the request
	// raw is sent instead of all that, where eval cannot be given the same.
	raw string

	// What must come of it, and why: a piece of the reason that the caller is told,
	// by the gateway and eval. look's is not compared where others try too.
	want outcome
	why  string
	code string // of eval, or what it begins with; one of the policy's if empty
	// daemon is the status with which dockerd refuses it without asking anybody.
	daemon int
}

// role is who tries.
type role string

const (
	look     role = "look"     // lists and inspects: the built-in role
	creator  role = "creator"  // may create too, but takes no hazard that matters
	operator role = "operator" // may do everything but pass the rails
)

// outcome is what must come of a request.
type outcome int

const (
	refused   outcome = iota
	blanked           // answered by the gateway, without the secret; refused by the plugin, which cannot blank
	malformed         // not HTTP as we speak it: refused by Go's server, before there is a request
	nothing           // the daemon is asked, and has nothing of the kind
)

func (r *request) roles() []role {
	if len(r.as) == 0 {
		return []role{look}
	}
	return r.as
}

func (r *request) id() string { return r.number + " " + r.name }

// bytes are what goes over the wire.
func (r *request) bytes() string {
	if r.raw != "" {
		return r.raw
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: docker\r\n", r.method, r.uri)
	for _, h := range r.headers() {
		b.WriteString(h + "\r\n")
	}
	body := r.body
	switch {
	case r.length == "chunked":
		b.WriteString("Transfer-Encoding: chunked\r\n")
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case r.length != "":
		b.WriteString("Content-Length: " + r.length + "\r\n")
	case body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body + r.behind
}

func (r *request) headers() []string {
	for _, h := range r.header {
		if strings.HasPrefix(strings.ToLower(h), "content-type:") {
			return r.header
		}
	}
	if r.body == "" {
		return r.header
	}
	return append([]string{"Content-Type: application/json"}, r.header...)
}

// evaluable tells whether eval can be asked the same.
func (r *request) evaluable() bool { return r.method != "" }

// evalArgs are the arguments of eval; the body goes to its standard input.
func (r *request) evalArgs(as role) []string {
	args := []string{"eval", "--json", "--as", "unix:" + string(as), r.method, r.uri}
	for _, h := range r.headers() {
		args = append(args, "--header", h)
	}
	if r.body != "" {
		args = append(args, "--body", "-")
	}
	return args
}

// named puts ids in the place of {web} and so on.
func (r request) named(ids *strings.Replacer) request {
	r.uri, r.body = ids.Replace(r.uri), ids.Replace(r.body)
	return r
}
