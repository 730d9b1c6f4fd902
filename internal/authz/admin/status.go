package admin

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/grant"
)

// Status is what runs, and what it has done lately: the answer to GET /status, documented in docs/audit.md.
type Status struct {
	Version   string          `json:"version"`
	Time      time.Time       `json:"time"` // now, by the clock that ends rights
	Mode      string          `json:"mode"`
	Listeners []Listener      `json:"listeners"`
	Plugin    Plugin          `json:"plugin"`
	Policy    Policy          `json:"policy"`
	Holding   []grant.Grant   `json:"holding"`           // rights that end, and hold now
	Refused   []grant.Refused `json:"refused,omitempty"` // grants that the policy does not lend
	// Candidate counts, by the kind of change, what the policy's candidate answered otherwise since the start; null without one.
	Candidate map[string]uint64 `json:"candidate"`
	LastHour  Tally             `json:"last_hour"`
	Checks    map[string]string `json:"checks"` // those of /healthz
}

// Listener is one of the gateway's sockets.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	TLS     bool   `json:"tls,omitempty"`
	Mode    string `json:"mode,omitempty"` // if it is another than everywhere
}

// Plugin is dockerd's side.
type Plugin struct {
	Socket string `json:"socket,omitempty"` // "" for a gateway alone
	Asked  *bool  `json:"asked"`            // whether dockerd asks; null while that is not known
}

// Policy is what decides.
type Policy struct {
	Revision  string     `json:"revision,omitempty"` // "" if there is none, and everything is denied
	Source    string     `json:"source,omitempty"`
	Kept      bool       `json:"kept,omitempty"` // from before the start, as what the paths hold is refused
	Since     *time.Time `json:"since,omitempty"`
	Error     string     `json:"error,omitempty"` // why the latest one was refused
	ErrorAt   *time.Time `json:"error_at,omitempty"`
	Roles     int        `json:"roles"` // of the built-in rules; 0 of others
	Bindings  int        `json:"bindings"`
	AuditOnly []string   `json:"audit_only,omitempty"` // roles in mode audit
}

// Tally counts decisions.
type Tally struct {
	Allowed   int `json:"allowed"`
	Denied    int `json:"denied"`
	WouldDeny int `json:"would_deny"`
}

// lastHour counts the decisions of the last hour, by minutes.
type lastHour struct {
	mu      sync.Mutex
	minutes [60]struct {
		at int64 // minutes since the epoch
		Tally
	}
}

func (h *lastHour) count(r *audit.Record, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := now.Unix() / 60
	m := &h.minutes[at%60]
	if m.at != at {
		m.at, m.Tally = at, Tally{}
	}
	switch {
	case r.Allow && r.Mode != "":
		m.WouldDeny++
	case r.Allow:
		m.Allowed++
	default:
		m.Denied++
	}
}

func (h *lastHour) tally(now time.Time) (sum Tally) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.minutes {
		if age := now.Unix()/60 - m.at; age >= 0 && age < 60 {
			sum.Allowed += m.Allowed
			sum.Denied += m.Denied
			sum.WouldDeny += m.WouldDeny
		}
	}
	return sum
}

// status answers what runs.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	answer := s.o.Status()
	answer.LastHour = s.o.Metrics.hour.tally(time.Now())
	answer.Checks, _ = s.checks()
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // the reader is gone: nobody to tell
}
