package admin

import (
	"testing"
	"time"

	"vitrine/internal/authz/audit"
)

func TestLastHourForgets(t *testing.T) {
	var h lastHour
	at := time.Unix(7200, 0)
	h.count(&audit.Record{}, at)
	h.count(&audit.Record{Allow: true}, at.Add(59*time.Minute))
	if got := h.tally(at.Add(59 * time.Minute)); got != (Tally{Allowed: 1, Denied: 1}) {
		t.Errorf("within the hour: %+v", got)
	}
	if got := h.tally(at.Add(60 * time.Minute)); got != (Tally{Allowed: 1}) {
		t.Errorf("after it: %+v", got)
	}
	h.count(&audit.Record{Allow: true, Mode: "audit"}, at.Add(60*time.Minute))
	if got := h.tally(at.Add(60 * time.Minute)); got != (Tally{Allowed: 1, WouldDeny: 1}) {
		t.Errorf("in the next one: %+v", got)
	}
	if got := h.tally(at.Add(30 * time.Hour)); got != (Tally{}) {
		t.Errorf("a day later: %+v", got)
	}
}
