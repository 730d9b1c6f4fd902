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
		return nil
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
	case req.Method == http.MethodGet || req.Method == http.MethodHead || e.carry == CarryUpgrade:
		return o.noBody(req)
	}
	return o.jsonBody(req, e, kind, hs)
}

func missing(kind bodyKind) *Refusal {
	if kind == bodyRequired {
		return refuse("body-missing", "the operation needs a JSON body")
	}
	return nil
}

// noBody makes sure that a request which must not have a body has none.
func (o *Operation) noBody(req *Request) *Refusal {
	if req.ContentLength < 0 && req.Proto == "" { // the daemon's word: it shows what there is
		if text, r := read(req); r != nil || len(text) == 0 {
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
	if e.id == "ContainerStart" {
		o.Rail = "a body on start was a host configuration until API 1.24"
	}
	if hs.mediaType != jsonType {
		return refuse("body-type", "the body of %s must be %s", o.ID, jsonType)
	}
	typ := e.schema
	if kind == bodyNone {
		typ = nodeEmpty
	}
	body, canonical, unknown, err := decodeJSON(string(text), typ, make([]byte, 0, len(text)))
	if err != nil {
		code := "body-json"
		if s, ok := errors.AsType[*syntaxError](err); ok {
			code = s.code
		}
		return refuse(code, "the body of %s: %v", o.ID, err)
	}
	o.Body, o.Canonical, o.BodyState = body, canonical, BodyJSON
	o.Unknown = append(o.Unknown, unknown...)
	return nil
}

// read reads the body and holds it against the declared length.
func read(req *Request) ([]byte, *Refusal) {
	if req.ReadBody == nil {
		return nil, nil
	}
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
