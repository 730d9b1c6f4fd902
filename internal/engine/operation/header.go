package operation

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// What the headers of a request say about its body and its carriage.
type headers struct {
	visible   http.Header // for the policy
	mediaType string      // of the body: "" if there is no Content-Type
	typed     bool        // there is a Content-Type, though it may be empty
	encoded   bool        // there is a Content-Encoding
	upgrade   string      // protocol of an Upgrade, in lower case
}

// noHTTP2 refuses HTTP/2 in whichever way it is asked for. It is said in HTTP/1.1, as by an engine that does not speak
// gRPC on its socket: a client that tries gRPC first takes that for "unavailable" and falls back to BuildKit by /grpc,
// which only admin may use. A refusal in gRPC's own words would be one from which it does not fall back.
const noHTTP2 = "HTTP/2 is not accepted, as nothing can judge the calls inside it; use HTTP/1.1. To build, use the classic builder (DOCKER_BUILDKIT=0), " +
	"or, as admin, BuildKit by way of /session and /grpc, as docker build and buildx do"

// readHeaders judges the headers. The keys may have any spelling.
func readHeaders(h http.Header, proto string) (headers, *Refusal) {
	hs := headers{visible: visible(h)}
	for key, values := range h {
		key = http.CanonicalHeaderKey(key)
		switch key {
		case "Content-Type":
			if len(values) > 1 || hs.typed {
				return hs, refuse("content-type", "more than one Content-Type")
			}
			hs.typed = true
			var r *Refusal
			if hs.mediaType, r = mediaType(values); r != nil {
				return hs, r
			}
		case "Content-Encoding":
			hs.encoded = true
		case "Expect":
			for _, v := range values {
				if !strings.EqualFold(v, "100-continue") {
					return hs, refuse("expect", "Expect may only be 100-continue")
				}
			}
		case "Upgrade":
			hs.upgrade = strings.ToLower(strings.Join(values, ","))
		case "Http2-Settings":
			return hs, refuse("http2-upgrade", noHTTP2)
		}
	}
	if strings.HasPrefix(proto, "HTTP/") && !strings.HasPrefix(proto, "HTTP/1.") {
		return hs, refuse("http2-preface", noHTTP2)
	}
	return hs, nil
}

// visible are the headers that a policy may see: those of the request itself, if that are all of them.
func visible(h http.Header) http.Header {
	all := true
	for key := range h {
		all = all && key == http.CanonicalHeaderKey(key) && !hidden(key)
	}
	if all && h != nil {
		return h
	}
	out := make(http.Header, len(h))
	for key, values := range h {
		if key = http.CanonicalHeaderKey(key); !hidden(key) {
			out[key] = append(out[key], values...)
		}
	}
	return out
}

func mediaType(values []string) (string, *Refusal) {
	if len(values) == 0 || values[0] == "" {
		return "", nil
	}
	if values[0] == jsonType {
		return jsonType, nil
	}
	t, _, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", refuse("content-type", "the Content-Type cannot be parsed")
	}
	return t, nil
}

const jsonType = "application/json"

// mayHideForm says that a body which was not shown may be a form all the same,
// and override the query: of several Content-Types dockerd shows a plugin the
// last, and goes by the first.
func (hs *headers) mayHideForm(req *Request) bool {
	return hs.typed && req.ContentLength != 0 && (req.Method == http.MethodPost || req.Method == http.MethodPut)
}

// checkEncoding is for bodies of JSON. No engine decodes a body, so one that says
// it is encoded would be read as what it says that it is not. A stream may be
// compressed all the same: engines see that by its first bytes, and don't read the header.
func (hs *headers) checkEncoding() *Refusal {
	if hs.encoded {
		return refuse("content-encoding", "a body of JSON with a Content-Encoding is not accepted; send it as it is")
	}
	return nil
}

// hidden says of which headers a policy sees nothing: credentials, our own
// ticket, and what belongs to one connection.
func hidden(key string) bool {
	switch key {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Vitrine-Ticket",
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer", "Trailers",
		"Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return strings.HasPrefix(key, "X-Registry-")
}

// forwarded says which headers reach the daemon, for every operation. What it
// does not know it does not need.
func forwarded(key string) bool {
	switch key {
	case "Accept", "Authorization", "Content-Type", "Cookie", "User-Agent", "Version",
		"X-Registry-Auth", "X-Registry-Config", "Traceparent", "Tracestate", "Baggage":
		return true
	}
	return strings.HasPrefix(key, "X-Meta-") // the daemon passes these to registries
}

// ForwardHeader gives the headers of a request that go to the daemon: an
// allow-list with the registries' credentials and, for the operations that
// take over the connection, the upgrade. It is a new map; it never holds a
// ticket, a hop-by-hop header of the client, or a length. The gateway adds
// Host, the length and its ticket.
func ForwardHeader(op *Operation, h http.Header) http.Header {
	out := http.Header{}
	for key, values := range h {
		key = http.CanonicalHeaderKey(key)
		if forwarded(key) || op.Carry == CarryUpgrade && forwardedUpgrade(key) {
			if _, again := out[key]; again { // in another spelling
				values = append(out[key], values...)
			}
			out[key] = slices.Clip(values)
		}
	}
	for key, value := range op.session {
		if out.Del(key); value != "" {
			out.Set(key, value)
		}
	}
	switch op.BodyState {
	case BodyJSON:
		out.Set("Content-Type", jsonType)
	case BodyOpaque: // no engine reads its type, but of JSON dockerd would show a plugin the beginning
		if t, _ := mediaType(out["Content-Type"]); t == jsonType {
			out.Del("Content-Type")
		}
	case BodyNone, BodyWithheld, BodyInvalid:
	}
	if op.Carry == CarryHijack || op.Carry == CarryUpgrade {
		if protocol := strings.ToLower(h.Get("Upgrade")); protocol != "" {
			out.Set("Connection", "Upgrade")
			out.Set("Upgrade", protocol)
		}
	}
	return out
}

// forwardedUpgrade says which more the upgrades need: WebSocket's handshake,
// BuildKit's description of its session.
func forwardedUpgrade(key string) bool {
	return key == "Origin" || strings.HasPrefix(key, "Sec-Websocket-") || strings.HasPrefix(key, sessionHeader)
}

// checkUpgrade refuses protocols that the operation does not speak. A plain
// operation's Upgrade is not forwarded, so it may stay, unless it asks for
// HTTP/2.
func (hs *headers) checkUpgrade(e *entry) *Refusal {
	tunnel := e.carry == CarryUpgrade && e.method == http.MethodPost // BuildKit's /session and /grpc
	switch {
	case hs.upgrade == "", hs.upgrade == "h2c" && tunnel:
		return nil
	case strings.Contains(hs.upgrade, "h2c"):
		return refuse("http2-upgrade", noHTTP2)
	case e.carry == "", e.carry == CarryHijack && hs.upgrade == "tcp", e.carry == CarryUpgrade && !tunnel && hs.upgrade == "websocket":
		return nil
	}
	return refuse("upgrade", "%s does not upgrade to %.40q", e.id, hs.upgrade)
}
