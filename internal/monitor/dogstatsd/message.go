package dogstatsd

import (
	"bytes"
	"iter"

	"vitrine/internal/monitor/tag"
)

// Type is a metric's type.
type Type byte

// The metric types. A timing ("ms") is a histogram.
const (
	Count        Type = 'c'
	Gauge        Type = 'g'
	Histogram    Type = 'h'
	Distribution Type = 'd'
	Set          Type = 's'
)

func (t Type) String() string {
	switch t {
	case Count:
		return "count"
	case Gauge:
		return "gauge"
	case Histogram:
		return "histogram"
	case Distribution:
		return "distribution"
	case Set:
		return "set"
	}
	return "unknown"
}

// Claim is what a client says of any message: its tags, and its own origin. It is the client's word.
type Claim struct {
	Tags        Tags
	Local       []byte          // behind "c:"
	External    []byte          // behind "e:"
	Cardinality tag.Cardinality // of the tags that it wants of its origin
}

// Tags are a message's tags as they were sent, separated by commas.
type Tags []byte

// All yields the tags in the order of the message. Empty ones are left out: they
// say nothing.
func (t Tags) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for tag := range bytes.SplitSeq(t, []byte(",")) {
			if len(tag) > 0 && !yield(tag) {
				return
			}
		}
	}
}

// Metric is one metric message. Its slices point into the packet and the
// Parser: they hold until the next message is parsed.
type Metric struct {
	Name   []byte
	Type   Type
	Values []float64 // finite; none for a Set
	Member []byte    // for a Set
	Rate   float64   // sample rate, > 0; 1 unless sent
	Time   int64     // seconds since 1970; 0 unless sent
	Claim
	// Skipped counts values that are NaN or infinite: they are not in Values.
	Skipped int
}

// AlertType is an event's level.
type AlertType uint8

// The alert types.
const (
	AlertInfo AlertType = iota
	AlertSuccess
	AlertWarning
	AlertError
)

func (a AlertType) String() string {
	return [...]string{"info", "success", "warning", "error"}[a]
}

// Event is one event message. See [Metric] for how long its slices hold.
type Event struct {
	Title, Text    []byte // unescaped
	AggregationKey []byte
	LowPriority    bool
	Source         []byte
	Alert          AlertType
	about
}

// about is what an event and a service check have alike.
type about struct {
	Time int64 // seconds since 1970; 0 unless sent
	Host []byte
	Claim
}

// Status of a service check.
type Status uint8

// The statuses.
const (
	StatusOK Status = iota
	StatusWarning
	StatusCritical
	StatusUnknown
)

func (s Status) String() string {
	return [...]string{"ok", "warning", "critical", "unknown"}[s]
}

// Check is one service check message. See [Metric] for how long its slices hold.
type Check struct {
	Name    []byte
	Status  Status
	Message []byte // unescaped
	about
}
