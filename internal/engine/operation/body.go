package operation

import (
	"errors"
	"net/http"
)

// readBody judges the body and fills the operation's Body… and Carry.
func (o *Operation) readBody(req *Request, e *entry, hs *headers) *Refusal {
	kind := e.body
	if e.id == "ImageCreate" && (o.Query.Get("fromSrc") != "-" || o.Query.Get("fromImage") != "") {
		kind = bodyNone // a pull, or an import from a URL
	}
	o.BodyState = BodyNone
	form := hs.mediaType == "application/x-www-form-urlencoded" || hs.mediaType == "multipart/form-data"
	if form && req.ContentLength != 0 {
		return refuse("body-form", "a form in the body would override the query; put the parameters into the query")
	}
	switch {
	case req.Withheld && (kind == bodyOptional || kind == bodyRequired || hs.mayHideForm(req)):
		o.BodyState = BodyWithheld
		if kind == bodyOpaque {
			return nil
		}
		return hs.checkEncoding()
	case kind == bodyOpaque:
		if req.ContentLength != 0 {
			o.BodyState, o.Carry = BodyOpaque, CarryUpload
		}
		return nil
	case req.Withheld:
		return nil // dockerd reads no body there
	case req.ContentLength > 0 && req.ReadBody == nil:
		return refuse("body-length", "a body of %d bytes was announced and there is none", req.ContentLength)
	case req.ReadBody == nil || req.ContentLength == 0:
		return missing(kind)
	case e.carry == CarryHijack && kind == bodyNone && req.ContentLength < 0:
		return nil // attach: what follows the head is the stream, whatever it was announced as
	case req.Method == http.MethodGet || req.Method == http.MethodHead || e.carry == CarryUpgrade:
		return o.noBody(req, e)
	}
	return o.jsonBody(req, e, kind, hs)
}

func missing(kind bodyKind) *Refusal {
	if kind == bodyRequired {
		return refuse("body-missing", "the operation needs a JSON body")
	}
	return nil
}

// noBody makes sure that a request which must not have a body has none: one that
// was announced without a length may be empty. In front of a tunnel a gateway
// cannot wait for its end.
func (o *Operation) noBody(req *Request, e *entry) *Refusal {
	if req.ContentLength < 0 && (req.Proto == "" || e.carry != CarryUpgrade) {
		if text, r := read(req); len(text) == 0 {
			return r
		}
	}
	return refuse("body-unexpected", "%s %s takes no body", o.Method, o.Path)
}

func (o *Operation) jsonBody(req *Request, e *entry, kind bodyKind, hs *headers) *Refusal {
	text, r := read(req)
	if r != nil {
		return r
	}
	if len(text) == 0 {
		return missing(kind)
	}
	if hs.mediaType != jsonType {
		return refuse("body-type", "the body of %s must be %s", o.ID, jsonType)
	}
	if r := hs.checkEncoding(); r != nil {
		return r
	}
	body, canonical, unknown, err := decodeJSON(string(text), e.schema, make([]byte, 0, len(text)))
	if err != nil {
		code := "body-json"
		if s, ok := errors.AsType[*syntaxError](err); ok {
			code = s.code
		}
		return refuse(code, "the body of %s: %v", o.ID, err)
	}
	if kind == bodyNone && o.unread(req, len(unknown) == 0) {
		return nil
	}
	o.Body, o.Canonical, o.BodyState = body, canonical, BodyJSON
	o.Unknown = append(o.Unknown, unknown...)
	return nil
}

// unread says of a body that an operation without one came with that it is as if
// it were not there. dockerode repeats its parameters in such bodies, others send
// {} or null, and engines read two of them only: start's was a host configuration
// (those of today take {} and null for nothing), push's held the credentials. A
// later engine may read more, so only a door that leaves the body out can be sure.
func (o *Operation) unread(req *Request, empty bool) bool {
	switch o.ID {
	case "ContainerStart":
		if !empty {
			o.Rail = "a body on start was a host configuration until API 1.24"
		}
		return empty
	case "ImagePush":
		return false
	}
	return req.Rebuilt
}

// read reads the body and holds it against the declared length.
func read(req *Request) ([]byte, *Refusal) {
	text, err := req.ReadBody()
	if err != nil {
		if r, ok := errors.AsType[*Refusal](err); ok {
			return nil, r
		}
		return nil, refuse("body-read", "the body could not be read: %v", err)
	}
	if req.ContentLength >= 0 && int64(len(text)) != req.ContentLength {
		return nil, refuse("body-length", "%d bytes were announced and the body has %d", req.ContentLength, len(text))
	}
	return text, nil
}
