package operation

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
)

// Parse understands a request, or refuses it. The error is always a *Refusal,
// and then there is no Operation.
func Parse(req *Request) (*Operation, error) {
	op, r := parse(req)
	if r != nil {
		return nil, r
	}
	return op, nil
}

var unknownEngine Engine

func parse(req *Request) (*Operation, *Refusal) {
	if req.Refused != nil {
		return nil, req.Refused
	}
	if r := checkMethod(req); r != nil {
		return nil, r
	}
	t, r := parseTarget(req.URI)
	if r != nil {
		return nil, r
	}
	hs, r := readHeaders(req.Header, req.Proto)
	if r != nil {
		return nil, r
	}
	e, name := find(req.Method, t.path)
	if e == nil {
		return nil, unknownRoute(req.Method, t.path)
	}
	if r := hs.checkUpgrade(e); r != nil {
		return nil, r
	}
	op := &Operation{
		ID: e.id, Resource: e.resource, Target: name, Access: e.access, Version: t.version,
		Method: req.Method, Path: t.path, Headers: hs.visible,
		Carry: e.carry, Rail: e.rail, Documented: e.since > 0, entry: e, engine: cmp.Or(req.Engine, &unknownEngine), sockets: req.Sockets,
	}
	if e.method == http.MethodOptions {
		op.Target = "" // the route takes any path
	}
	if op.Carry == "" {
		op.Carry = CarryPlain
	}
	if t.minor >= 0 && t.minor < 24 {
		op.Rail = "API versions before 1.24 cannot be judged"
	}
	if op.Query, op.Unknown, r = parseQuery(t.query, e); r != nil {
		return nil, r
	}
	params, unknown, r := queryJSON(op.Query, e)
	if r != nil {
		return nil, r
	}
	op.Params, op.Unknown = params, append(op.Unknown, unknown...)
	op.URI = t.canonicalURI(op.Query)
	if r := op.readBody(req, e, &hs); r != nil {
		return nil, r
	}
	if r := op.checkPlaces(); r != nil {
		return nil, r
	}
	op.judge()
	return op, nil
}

// maxPlaces is how many paths of the host a request may name: each is looked up,
// and held against roles. No container has a hundred.
const maxPlaces = 4096

func (o *Operation) checkPlaces() *Refusal {
	n := 0
	o.places(func(place) { n++ })
	if n > maxPlaces {
		return refuse("body-complex", "the body of %s names %d paths of the host, and may name %d", o.ID, n, maxPlaces)
	}
	return nil
}

// checkMethod refuses what is no method of the Engine API before anything of
// the request is looked at.
func checkMethod(req *Request) *Refusal {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return nil
	case "PRI":
		return refuse("http2-preface", noHTTP2)
	}
	return unknownRoute(req.Method, req.URI)
}

func unknownRoute(method, path string) *Refusal {
	return &Refusal{
		Status: http.StatusForbidden, Code: "unknown-route",
		Reason: fmt.Sprintf("%.16q %.200q is no operation of the Engine API that Vitrine knows (up to %s)", method, path, MaxVersion),
	}
}

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// finish sorts the lists that judge filled.
func (o *Operation) finish() {
	o.Hazards = sorted(o.Hazards)
	for _, fields := range o.HazardFields {
		slices.Sort(fields)
	}
	o.HostPath, o.Mints = sorted(o.HostPath), sorted(o.Mints)
	o.Enters, o.Unknown = sorted(o.Enters), sorted(o.Unknown)
	if len(o.Enters) > maxEnters {
		o.Enters = []string{"*"}
	}
}

// maxEnters is how many references to containers are told apart: the Engine may
// have to be asked for each.
const maxEnters = 256

func sorted[S ~[]E, E ~string](list S) S {
	slices.Sort(list)
	return slices.Compact(list)
}
