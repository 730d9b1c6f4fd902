// Package ticket holds the one-time tickets between the two doors. The gateway
// issues one for a request that it has judged and is about to write, sends it
// as a header, and drops it when the answer's head has arrived, when it gives
// up or when its client goes. The plugin door takes it out when dockerd asks
// about that request, and so knows who is calling although dockerd does not.
//
// A ticket is 128 random bits that live in this process's memory only. It is
// good for one Take, and only for the method, the URI and the body that the
// gateway forwarded. There is no clock: a ticket lives exactly as long as the
// request that it belongs to, so one that stays is a bug of its issuer, not
// something to be swept up later. The last ones whose requests were given up are
// remembered: dockerd may ask about such a request late, and nobody meddled with it.
//
// The package decides nothing and logs nothing. The caller must treat a ticket
// that Take does not know, and an Entry whose Check fails, as a request that
// somebody meddled with, never as one without a ticket; and must keep the
// header's value out of logs and out of what a policy sees.
package ticket

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// Header carries the ticket from the gateway through dockerd to the plugin door.
const Header = "X-Vitrine-Ticket"

// maxShown is the size from which dockerd may not show a body to its plugins:
// engines before 29.3.1 withhold one whose length is not below 1 MiB.
const maxShown = 1 << 20

// Entry is what the gateway forwarded under one ticket.
type Entry struct {
	Method string
	URI    string // the request target exactly as written
	Body   Body
	Caller string // for messages, for example "container:web"
	Self   bool   // one of our own calls
}

// Body says what dockerd may show of the forwarded body. The zero Body is no body.
type Body struct {
	sum    [sha256.Size]byte
	size   int
	opaque bool
	hidden bool
}

// JSON is a body forwarded as application/json. hidden says that dockerd may
// keep it from its plugins: it does so on /auth, to guard passwords.
func JSON(body []byte, hidden bool) Body {
	return Body{sum: sha256.Sum256(body), size: len(body), hidden: hidden}
}

// Opaque is a stream of a type that is not JSON; dockerd never shows those.
func Opaque() Body { return Body{opaque: true} }

// mayBeWithheld reports whether it is in order that dockerd shows no body.
func (b Body) mayBeWithheld() bool {
	return b.size == 0 || b.hidden || b.size >= maxShown
}

// Check compares what dockerd parsed with what the gateway forwarded. The
// error says which part differs, without its content.
func (e *Entry) Check(method, uri string, shown []byte) error {
	switch {
	case method != e.Method:
		return fmt.Errorf("method differs: the gateway forwarded %s, dockerd read %q", e.Method, method)
	case uri != e.URI:
		return errors.New("URI differs from the one that the gateway forwarded")
	case len(shown) == 0 && e.Body.mayBeWithheld():
		return nil
	case len(shown) == 0:
		return fmt.Errorf("body differs: the gateway forwarded %d bytes, dockerd shows none", e.Body.size)
	case e.Body.opaque:
		return errors.New("body differs: the gateway forwarded a stream that is not JSON, dockerd shows a body")
	case len(shown) != e.Body.size || sha256.Sum256(shown) != e.Body.sum:
		return fmt.Errorf("body differs: the gateway forwarded %d bytes, dockerd shows %d", e.Body.size, len(shown))
	}
	return nil
}

// value is a ticket's 128 bits.
type value [16]byte

// Store holds the tickets that are out. Its methods may be called concurrently.
type Store struct {
	mu  sync.Mutex
	out map[value]Entry
	// gone are the last tickets whose requests were given up, so that dockerd's
	// late question about one is not mistaken for an attack.
	gone [1024]value
	next int
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{out: make(map[value]Entry)} }

// Issue makes a ticket for e and returns the value of the header. Whoever calls
// it must call Drop or Abandon, whatever becomes of the request.
func (s *Store) Issue(e Entry) string {
	var v value
	_, _ = rand.Read(v[:]) // never fails: crypto/rand crashes the program instead
	s.mu.Lock()
	s.out[v] = e
	s.mu.Unlock()
	return hex.EncodeToString(v[:])
}

// Take removes the ticket and returns its entry: of any number of concurrent
// calls one at most succeeds.
func (s *Store) Take(header string) (Entry, bool) {
	v := parse(header)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.out[v]
	delete(s.out, v)
	return e, ok
}

// Drop removes the ticket if it is still there, and reports whether it was:
// true means that nobody asked about the request.
func (s *Store) Drop(header string) bool {
	_, unspent := s.Take(header)
	return unspent
}

// Abandon is Drop for a request that was given up before it was answered:
// dockerd may still ask about it.
func (s *Store) Abandon(header string) {
	v := parse(header)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, unspent := s.out[v]; unspent {
		delete(s.out, v)
		s.gone[s.next%len(s.gone)] = v
		s.next++
	}
}

// Abandoned reports whether the ticket is one of the last 1024 that were
// abandoned. Such a request must be denied too, but nobody meddled with it. It
// is true once for each.
func (s *Store) Abandoned(header string) bool {
	v := parse(header)
	if v == (value{}) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.gone {
		if s.gone[i] == v {
			s.gone[i] = value{}
			return true
		}
	}
	return false
}

// Len is the number of tickets that are out.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out)
}

// parse reads a header's value. Only the form that Issue writes is a ticket:
// lower-case hexadecimal, so that one ticket has one spelling. Everything else is the zero
// value, which is no ticket.
func parse(header string) (v value) {
	if len(header) != 2*len(v) {
		return value{}
	}
	_, _ = hex.Decode(v[:], []byte(header)) // what is not hexadecimal is not written again as it was
	if hex.EncodeToString(v[:]) != header {
		return value{}
	}
	return v
}
