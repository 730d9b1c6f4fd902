package redact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"vitrine/internal/engine/operation"
)

// ErrTooLong says that one event is over the limit.
var ErrTooLong = errors.New("an event is over the limit")

// Events reads a stream of events, GET /events, and blanks each of them.
type Events struct {
	plan  *Plan
	in    io.LimitedReader
	limit int64
	dec   *json.Decoder
}

// Events reads from r. An event may have limit bytes; about twice as many are
// held at the most.
func (p *Plan) Events(r io.Reader, limit int64) *Events {
	e := &Events{plan: p, in: io.LimitedReader{R: r}, limit: limit}
	e.dec = json.NewDecoder(&e.in)
	return e
}

// Next returns the next event as soon as its last byte has come: an object
// without the values that the plan names. The error is io.EOF at the end of the
// stream, ErrNotJSON for what is not an object, ErrTooLong, or the reader's.
// After an error there is nothing more to be had.
func (e *Events) Next() ([]byte, error) {
	e.in.N = e.limit
	var event json.RawMessage
	err := e.dec.Decode(&event)
	_, broken := errors.AsType[*json.SyntaxError](err)
	switch {
	case broken:
		return nil, fmt.Errorf("%w: %w", ErrNotJSON, err)
	case err != nil && e.in.N <= 0:
		return nil, ErrTooLong
	case err != nil:
		return nil, err
	case int64(len(event)) > e.limit:
		return nil, ErrTooLong
	case event[0] != '{':
		return nil, ErrNotJSON
	}
	return e.plan.apply(event, true)
}

// endsAtAction reports whether the pointers that lead here are those of an
// event's action and no others.
func (w *walker) endsAtAction(active set) bool {
	if !w.event {
		return false
	}
	for i, p := range w.plan.pointers {
		if active&(1<<i) == 0 {
			continue
		}
		if len(p) != 1 || !strings.EqualFold(p[0], "Action") && !strings.EqualFold(p[0], "status") {
			return false
		}
	}
	return true
}

// action replaces an event's action. What is not a string is none.
func (w *walker) action(v []byte) string {
	if v[0] != '"' {
		return w.zero(v, false)
	}
	s := decode(v)
	if operation.BlankAction(s) == s {
		return string(v)
	}
	return quoted(operation.BlankAction(s))
}
