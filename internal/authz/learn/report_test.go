package learn_test

import (
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// TestUnused says which words nobody had use for.
func TestUnused(t *testing.T) {
	long.Alone(t)
	e, dir := engine(t, base())
	store := record.New(record.Options{})
	for who, requests := range clients() {
		if who == "container:traefik" {
			continue
		}
		for _, a := range requests {
			ask(t, e, store, decide.Enforce, a)
		}
	}
	m, err := policy.ReadModel(policy.Options{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	unused, since := learn.Unused(m, linesOf(t, store))
	var got []string
	for _, g := range unused {
		got = append(got, g.Role+"/"+g.Key+"/"+g.Word)
	}
	want := "see/bindings/container:traefik blue/access/ping ci/access/stream see/operations/SystemEvents"
	if strings.Join(got, " ") != want || since.IsZero() {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
}

// TestReportIsForPeople.
func TestReportIsForPeople(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	r := &learn.Report{Requests: 15, Differences: []learn.Difference{{
		Change: "allow-deny", Caller: "container:traefik", Operation: "ContainerList", Requests: 14, Last: now.Add(-22 * time.Hour),
		Example: "GET /v1.41/containers/json", Reasons: []string{"no role"},
	}}}
	var b strings.Builder
	if err := r.Write(&b, now); err != nil {
		t.Fatal(err)
	}
	want := "would deny 14 requests of container:traefik (ContainerList; last: yesterday 14:00), e.g. GET /v1.41/containers/json\n    no role\n"
	if b.String() != want {
		t.Errorf("%s", &b)
	}
}

// TestReportDoesNothingToATerminalClosed, whatever a caller or a record's writer put into it.
func TestReportDoesNothingToATerminalClosed(t *testing.T) {
	const evil = "a\x1b]0;owned\a\u009b31m\u202e\r\nb"
	r := &learn.Report{Differences: []learn.Difference{{
		Change: "allow-deny", Caller: evil, Operation: evil, Example: evil, Reasons: []string{evil}, Uncertain: []string{evil},
	}}, Failed: []string{evil}}
	var b strings.Builder
	_ = r.Write(&b, time.Now())
	learnt := &learn.Role{Principal: evil, Refused: []learn.Refused{{Line: &record.Line{Shape: record.Shape{Operation: &operation.Outline{ID: evil, Method: evil, URI: evil}}}, Why: evil}}}
	for _, text := range []string{b.String(), learnt.Report(time.Now())} {
		if strings.ContainsAny(text, "\x1b\a\u009b\u202e\r") || strings.Contains(text, "\nb") {
			t.Errorf("%q", text)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 4 {
		t.Errorf("%d lines: %q", n, &b)
	}
}

// TestOnlyWhatWasNamedIsLearntClosed: names that mean more in a policy, and paths that own the host, are listed.
func TestOnlyWhatWasNamedIsLearntClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e, _ := engine(t, tree{"bindings": tree{"admin": []any{"unix:root", "local"}}})
	for bind, why := range map[string]string{
		"*": "more than its name", "v*": "more than its name", "/srv/$user": "more than its name", "/srv/a$b": "more than its name",
		"/usr": "--grant /usr", "/root/.ssh": "--grant", "/etc/cron.d": "--grant", "/var": "--grant", "/var/run/x": "--grant", "/home": "--grant", "/": "--grant",
		"/srv/app": "", "/home/ci/src": "", "data": "", "/var/lib/app": "",
	} {
		store := record.New(record.Options{})
		ask(t, e, store, decide.Audit, asked{"unix:ci", "POST", "/containers/create", `{"Image":"a","HostConfig":{"Binds":["` + bind + `:/x"]}}`})
		r, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci"}, linesOf(t, store))
		if err != nil {
			t.Fatalf("%s: %v", bind, err)
		}
		said := r.Report(time.Now())
		if why != "" && bind == "/" {
			why = "--grant engine-socket"
		}
		if granted := len(r.Granted) == 1; granted != (why == "") || !strings.Contains(said, why) {
			t.Errorf("%s: granted %t: %s", bind, granted, said)
		}
		if text, _, err := r.Cases(t.Context()); err != nil || why != "" && text != "" {
			t.Errorf("%s: %v %s", bind, err, text)
		}
	}
	store := record.New(record.Options{})
	for _, bind := range []string{"/usr/share/x", "/usr", "/etc/cron.d"} {
		ask(t, e, store, decide.Audit, asked{"unix:ci", "POST", "/containers/create", `{"Image":"a","HostConfig":{"Binds":["` + bind + `:/x"]}}`})
	}
	r, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci", Grant: []string{"/usr/share"}}, linesOf(t, store))
	if err != nil || len(r.Granted) != 1 || len(r.Refused) != 2 {
		t.Error(err, r)
	}
	secret := record.New(record.Options{})
	ask(t, e, secret, decide.Audit, asked{"unix:ci", "POST", "/volumes/create", `{"Name":"v","DriverOpts":{"type":"cifs","o":"password=/hunter2"}}`})
	r, err = learn.Learn(t.Context(), learn.Options{Principal: "unix:ci", Grant: []string{"volume-driver"}}, linesOf(t, secret))
	if err != nil || len(r.Granted) != 0 || !strings.Contains(r.Report(time.Now()), "not in the record") {
		t.Error(err, r.Report(time.Now()))
	}
}
