package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/admin"
	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/grant"
	"vitrine/internal/caller/identity"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func healthy() admin.Status {
	yes, since := true, noon.Add(-time.Hour)
	return admin.Status{
		Version: "authz-plugin v1", Time: noon, Mode: "enforce", Plugin: admin.Plugin{Socket: "/p.sock", Asked: &yes},
		Listeners: []admin.Listener{{Name: "agents", Address: "unix:///a.sock"}},
		Policy:    admin.Policy{Revision: "abc", Source: "/etc/docker/vitrine", Since: &since, Roles: 4, Bindings: 7},
		Holding: []grant.Grant{
			{ID: "g-1", Role: "ops", To: []string{"tls:alice"}, From: noon, Until: noon.Add(30 * time.Minute), By: "root", Reason: "roll back"},
			{ID: "policy-1", Role: "ci", To: []string{"uid:7"}, Until: noon.Add(time.Hour), By: "data.yaml:9"},
		},
		Candidate: map[string]uint64{"allow-deny": 2, "error": 1},
		LastHour:  admin.Tally{Allowed: 10, Denied: 3, WouldDeny: 2}, Checks: map[string]string{"policy": "ok", "plugin": "ok"},
	}
}

func TestStatusIsOneScreen(t *testing.T) {
	var out bytes.Buffer
	s := healthy()
	if err := writeStatus(&out, &s, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"dockerd            asks\n", "policy             abc from /etc/docker/vitrine since ", "4 roles, 7 entries of bindings", "listener           agents unix:///a.sock\n",
		"grant g-1          ops to tls:alice, ends in 30m0s (roll back; by root)", "binding that ends  ci to uid:7, ends in 1h0m0s (no reason; by data.yaml:9)",
		"candidate          would answer otherwise: 2 allow-deny, 1 error\n",
		"last hour          10 allowed, 3 denied, 2 would be denied",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "wrong") || strings.Count(out.String(), "\n") > 24 {
		t.Errorf("got\n%s", out.String())
	}
}

// TestStatusSaysWhatIsWrongClosed: each of these is said, and is exit 1.
func TestStatusSaysWhatIsWrongClosed(t *testing.T) {
	if s := healthy(); !well(&s) {
		t.Error("a healthy one is not well")
	}
	for want, spoil := range map[string]func(*admin.Status){
		"does not ask":                         func(s *admin.Status) { no := false; s.Plugin.Asked, s.Checks["plugin"] = &no, "dockerd does not ask" },
		"wrong: policy      authz.rego:3 ?[2J": func(s *admin.Status) { s.Checks["policy"] = "authz.rego:3 \x1b[2J" },
		"none: everything is denied":           func(s *admin.Status) { s.Policy.Revision = "" },
		"refused: role ops is not lent": func(s *admin.Status) {
			s.Refused = []grant.Refused{{Grant: s.Holding[0], Why: "role ops is not lent"}}
		},
	} {
		s := healthy()
		spoil(&s)
		var out bytes.Buffer
		if err := writeStatus(&out, &s, false); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
		if well(&s) {
			t.Errorf("%s: is well", want)
		}
		out.Reset()
		if err := writeStatus(&out, &s, true); err != nil || !strings.Contains(out.String(), "\x1b[31m") {
			t.Errorf("%s: not in red on a terminal:\n%q", want, out.String())
		}
	}
}

func TestDecisionsAreReadable(t *testing.T) {
	caller := func(principals ...string) audit.Caller {
		return audit.Caller{Kind: identity.Container, Principals: principals}
	}
	ci := caller("container:ci", "container-id:0f", "image:x")
	records := []audit.Record{
		{Operation: "ContainerList", Method: "GET", URI: "/v1.41/containers/json", Caller: ci, Allow: true},
		{Operation: "ContainerList", Method: "GET", URI: "/v1.41/containers/json?all=1", Caller: ci, Allow: true},
		{Operation: "ContainerStop", Method: "POST", URI: "/v1.41/containers/web/stop", Caller: ci, Code: "not-granted", Reasons: []string{"role ci allows list"}},
		{Operation: "ContainerStop", Method: "POST", URI: "/v1.41/containers/web/stop", Caller: ci, Allow: true, Mode: "audit", Reasons: []string{"role ci allows list"}},
		{Operation: "ContainerCreate", Method: "POST", URI: "/v1.41/containers/create?name=job", Caller: caller("unix:joe", "uid:1"), Allow: true},
		{Operation: "ContainerExec", Method: "POST", URI: "/v1.41/containers/job/exec", Caller: caller("unix:joe", "uid:1"), Allow: true},
		{Method: "GET", URI: "/x\x1b[2J", Caller: audit.Caller{Kind: identity.Unknown, Why: "the process has exited"}, Reasons: []string{"no\nroute"}},
		{Event: "grant-end", ID: "g-1", Allow: true, Reasons: []string{"its time is over"}, Grant: &grant.Grant{ID: "g-1", Role: "ops", To: []string{"tls:a"}}},
	}
	var log bytes.Buffer
	for _, r := range records {
		r.Time = noon
		if err := json.NewEncoder(&log).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	at := noon.Local().Format(time.TimeOnly)
	want := strings.Join([]string{
		at + "  allow       container:ci           ContainerList  × 2",
		at + "  deny        container:ci           ContainerStop web  [not-granted] role ci allows list",
		at + "  would-deny  container:ci           ContainerStop web  role ci allows list",
		at + "  allow       unix:joe               ContainerCreate job",
		at + "  allow       unix:joe               ContainerExec job",
		at + "  deny        unknown (the process has exited) GET /x?[2J  no route",
		at + "  grant-end   tls:a                  role ops g-1  its time is over",
	}, "\n") + "\n"
	var out bytes.Buffer
	if err := writeDecisions(&out, bytes.NewReader(log.Bytes()), false, false); err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
	out.Reset()
	followed := strings.Replace(want, "  × 2\n", "\n          × 1 more\n", 1)
	if err := writeDecisions(&out, bytes.NewReader(log.Bytes()), true, false); err != nil || out.String() != followed {
		t.Errorf("%v, followed\n%s\nwant\n%s", err, out.String(), followed)
	}
	if err := writeDecisions(&out, strings.NewReader("no record\n"), false, false); err == nil {
		t.Error("what is no record is shown")
	}
}
