package gateway

import "time"

// Limits bound what callers can make the gateway hold. A zero field means its
// default. What is over a limit is answered (429, 431, 413, 408 or 503) or
// closed; nothing else is slowed down for it.
type Limits struct {
	Connections          int           // open client connections in all; default 4096
	ConnectionsPerCaller int           // of one group of peers, see Config.CallerOf; default 1024
	StreamsPerCaller     int           // requests of one identified caller being forwarded, and JSON bodies of one in memory; default 256
	HeaderBytes          int           // of a request's line and headers; default 64 KiB
	JSONBytes            int64         // of a JSON body; default 4 MiB, as in dockerd
	RedactBytes          int64         // of an answer, or an event, that must be redacted, and so held; default 32 MiB
	HeaderTimeout        time.Duration // for a TLS handshake, and for a request's headers; default 10 s
	BodyTimeout          time.Duration // for a JSON body, and to take 256 KiB of an answer that is held; default 30 s
	IdleTimeout          time.Duration // between two requests, never within one; default 5 min
}

// A JSON body over bigBody is held, parsed and judged as a tree many times its
// size, so only a few are at a time. The others are bounded by Connections.
const (
	bigBody            = 64 << 10
	bigBodies          = 8
	bigBodiesPerCaller = 4
)

// An answer that must be redacted is held, and so is what is left of it, until
// the client has taken it: of those over bigAnswer only a few are at a time.
const (
	bigAnswer           = 256 << 10
	bigAnswers          = 16
	bigAnswersPerCaller = 4
)

func (l Limits) withDefaults() Limits {
	or(&l.Connections, 4096)
	or(&l.ConnectionsPerCaller, 1024)
	or(&l.StreamsPerCaller, 256)
	or(&l.HeaderBytes, 64<<10)
	or(&l.JSONBytes, 4<<20)
	or(&l.RedactBytes, 32<<20)
	or(&l.HeaderTimeout, 10*time.Second)
	or(&l.BodyTimeout, 30*time.Second)
	or(&l.IdleTimeout, 5*time.Minute)
	return l
}

func or[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
