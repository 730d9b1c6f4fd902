package operation

import (
	"encoding/json"
	"testing"

	"github.com/moby/moby/api/types/events"
)

func TestFilterThatAsksForMoreClosed(t *testing.T) {
	for filters, want := range map[string]bool{
		`null`: false,
		`{}`:   false,
		`{"event":["start","exec_create","exec_create:","health_status: healthy"],"image":["a:b"]}`: false,
		`{"event":{"start":true,"die":true},"label":{"a=b: c":true}}`:                               false,
		`{"event":["start","exec_create: m"]}`:                                                      true,
		`{"event":{"health_status":true,"exec_create: my":true}}`:                                   true,
		`{"event":{"exec_create: my":false}}`:                                                       true,
		`{"event":["health_status: s"]}`:                                                            true,
		`{"event":"start"}`:                                                                         true,
		`{"event":[["start"]]}`:                                                                     true,
		`"event"`:                                                                                   true,
	} {
		var v any
		if err := json.Unmarshal([]byte(filters), &v); err != nil {
			t.Fatal(err)
		}
		if got := AsksForMore(v); got != want {
			t.Errorf("%s: %v", filters, got)
		}
	}
}

// What Docker's API package calls an action stays, whatever the version adds.
func TestDockersOwnActionsStay(t *testing.T) {
	for _, a := range []events.Action{
		events.ActionCreate, events.ActionDie, events.ActionExecCreate, events.ActionExecDie, events.ActionExtractToDir,
		events.ActionHealthStatus, events.ActionHealthStatusRunning, events.ActionHealthStatusHealthy, events.ActionHealthStatusUnhealthy,
	} {
		if got := BlankAction(string(a)); got != string(a) {
			t.Errorf("%s became %s", a, got)
		}
	}
}
