package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"vitrine/internal/authz/ticket"
)

// write writes the request, its ticket as the last of its headers, and a JSON
// body, into the connection's buffer: what is left there is the caller's to flush, and that is where an error of the
// connection shows. It is the only way by which bytes of a request's head reach the daemon.
func (u *upstream) write(c *upConn, out *outgoing, pass string) error {
	if u.tickets != nil && pass == "" {
		return errNoTicket
	}
	if !token(out.method) || !target(out.uri) {
		return fmt.Errorf("method %q or target %q cannot be written", out.method, out.uri)
	}
	bw := c.bw
	_, _ = bw.WriteString(out.method + " " + out.uri + " HTTP/1.1\r\nHost: docker\r\n") // a bufio.Writer keeps its error for Flush
	for k, values := range out.header {
		if ours(k) || !token(k) || out.body != nil && strings.EqualFold(k, "Content-Type") {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") {
				return fmt.Errorf("value of header %q cannot be written", k)
			}
			writeHeader(c, k, v)
		}
	}
	if out.upgrade != "" {
		writeHeader(c, "Connection", "Upgrade")
		writeHeader(c, "Upgrade", out.upgrade)
	}
	switch {
	case out.body != nil:
		writeHeader(c, "Content-Type", "application/json")
		writeHeader(c, "Content-Length", strconv.Itoa(len(out.body)))
	case out.length < 0:
		writeHeader(c, "Transfer-Encoding", "chunked")
	case out.stream != nil:
		writeHeader(c, "Content-Length", strconv.FormatInt(out.length, 10))
	case out.method != "GET" && out.method != "HEAD":
		writeHeader(c, "Content-Length", "0")
	}
	if pass != "" {
		writeHeader(c, ticket.Header, pass)
	}
	_, _ = bw.WriteString("\r\n")
	_, _ = bw.Write(out.body)
	return nil
}

func writeHeader(c *upConn, k, v string) {
	_, _ = c.bw.WriteString(k)
	_, _ = c.bw.WriteString(": ")
	_, _ = c.bw.WriteString(v)
	_, _ = c.bw.WriteString("\r\n")
}

// ours are the headers that only this file sets.
func ours(key string) bool {
	for _, k := range [...]string{
		"Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Te", "Trailer",
		"Expect", "Keep-Alive", "Proxy-Connection", "Http2-Settings", ticket.Header,
	} {
		if strings.EqualFold(key, k) {
			return true
		}
	}
	return false
}

// token reports whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// target reports whether s can stand on a request line as a path: visible ASCII.
func target(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && s[0] == '/'
}
