package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/internal/authz/admin"
	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/peercred"
	"vitrine/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type who struct{ principals []string }

func (w who) Identify(context.Context, *identity.Connection) *identity.Identity {
	return &identity.Identity{Kind: identity.Host, Principals: w.principals}
}

// world is an admin socket with its log and a health that can be broken.
type world struct {
	client *http.Client
	log    *audit.Log
	m      *admin.Metrics
	broken error
	status policy.Status
}

func serve(t *testing.T, principals ...string) *world {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	w := &world{log: audit.NewLog(io.Discard, audit.JSON, quiet), status: policy.Status{Revision: "abc", Source: "built-in", LoadedAt: time.Unix(1000, 0)}}
	w.m = admin.NewMetrics(admin.Sources{
		Policy: func() policy.Status { return w.status }, Lost: w.log.Lost,
		Gauges: []admin.Gauge{{Name: "vitrine_containers", Help: "Running containers.", Value: func() float64 { return 3 }}},
	})
	srv := admin.New(admin.Options{
		Identifier: who{principals}, Allow: []string{"unix:root", "container:monitor"}, Log: w.log, Shapes: strings.NewReader("{\"vitrine_record\":1}\n"), Metrics: w.m, Logger: quiet,
		Checks: []admin.Check{{Name: "policy", Run: func() error { return w.broken }}, {Name: "audit", Run: w.log.Health}},
		Status: func() admin.Status { return admin.Status{Version: "v1", Policy: admin.Policy{Revision: "abc"}} },
	})
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = w.log.Run(ctx); done <- struct{}{} }()
	go func() {
		if err := srv.Serve(ctx, peercred.NewListener(ln, slog.New(slog.DiscardHandler))); err != nil {
			t.Error(err)
		}
		done <- struct{}{}
	}()
	w.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(func() { w.client.CloseIdleConnections(); cancel(); <-done; <-done })
	return w
}

func (w *world) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := w.client.Get("http://vitrine" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (w *world) decide(op string, allow bool, mode string) {
	r := audit.New("x", time.Now(), &identity.Identity{Kind: identity.Container, Principals: []string{"container:web"}}, "GET", "/x", &operation.Operation{ID: op}, policy.Decision{})
	r.Allow, r.Mode, r.Duration = allow, mode, 30*time.Microsecond
	w.log.Add(r)
	w.m.Observe(r)
}

func TestOnlyTheConfiguredPrincipalsMayReadClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		principals []string
		status     int
	}{
		"root":                     {[]string{"unix:root", "uid:0"}, 200},
		"the monitor's container":  {[]string{"container:monitor"}, 200},
		"another user":             {[]string{"unix:joe", "uid:1000"}, 403},
		"an unknown caller":        {nil, 403},
		"a name with another kind": {[]string{"tls:root", "peer-uid:0"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, tc.principals...)
			for _, path := range []string{"/metrics", "/healthz", "/decisions", "/decisions?follow=1&n=0", "/status"} {
				if tc.status == 200 && strings.Contains(path, "follow") {
					continue
				}
				if status, body := w.get(t, path); status != tc.status {
					t.Errorf("%s: status %d: %s", path, status, body)
				}
			}
		})
	}
}

func TestMetricsCountDecisions(t *testing.T) {
	w := serve(t, "unix:root")
	w.decide("ContainerList", true, "")
	w.decide("ContainerList", true, "")
	w.decide("ContainerExec", false, "")
	w.decide("ContainerExec", true, "audit")
	_, text := w.get(t, "/metrics")
	for _, want := range []string{
		`vitrine_decisions_total{caller_kind="container",operation="ContainerList",verdict="allow"} 2`,
		`vitrine_decisions_total{caller_kind="container",operation="ContainerExec",verdict="deny"} 1`,
		`vitrine_decisions_total{caller_kind="container",operation="ContainerExec",verdict="would-deny"} 1`,
		`vitrine_decision_duration_seconds_bucket{le="5e-05"} 4`,
		`vitrine_policy_info{revision="abc",source="built-in"} 1`, `vitrine_build_info{goversion="go`,
		`vitrine_policy_last_load_success 1`,
		`vitrine_containers 3`,
		`vitrine_audit_records_lost_total 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	w.status = policy.Status{LastError: "typo"}
	if _, text = w.get(t, "/metrics"); strings.Contains(text, "vitrine_policy_info{") || !strings.Contains(text, "vitrine_policy_last_load_success 0") {
		t.Error("a policy that does not exist is shown as loaded")
	}
}

func TestHealthNamesWhatIsWrong(t *testing.T) {
	w := serve(t, "unix:root")
	if status, body := w.get(t, "/healthz"); status != 200 || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("healthy: %d %s", status, body)
	}
	w.broken = errors.New("authz.rego:3: no such field")
	if status, body := w.get(t, "/healthz"); status != 503 || !strings.Contains(body, "no such field") {
		t.Errorf("broken: %d %s", status, body)
	}
}

func TestStatus(t *testing.T) {
	w := serve(t, "unix:root")
	w.decide("ContainerList", true, "")
	w.decide("ContainerExec", false, "")
	w.decide("ContainerExec", true, "audit")
	w.broken = errors.New("typo")
	code, body := w.get(t, "/status")
	var s admin.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 {
		t.Fatal(code, err)
	}
	if s.Version != "v1" || s.Policy.Revision != "abc" || s.LastHour != (admin.Tally{Allowed: 1, Denied: 1, WouldDeny: 1}) || s.Checks["policy"] != "typo" || s.Checks["audit"] != "ok" {
		t.Errorf("got %s", body)
	}
}

func TestDecisionsAreFiltered(t *testing.T) {
	w := serve(t, "unix:root")
	w.decide("A", false, "")
	w.decide("B", true, "audit")
	for range 5 {
		w.decide("C", true, "")
	}
	for uri, want := range map[string]string{
		"/decisions?n=2": "CC", "/decisions?denied=1": "AB", "/decisions?denied=1&n=1": "B", "/decisions?as=container:web&n=1": "C",
		"/decisions?as=container:web&as=unix:joe": "", "/decisions?as=container:we": "",
	} {
		_, body := w.get(t, uri)
		got := ""
		for line := range strings.Lines(body) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			got += r.Operation
		}
		if got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestDecisionsFollowLive(t *testing.T) {
	w := serve(t, "unix:root")
	w.decide("A", true, "")
	w.decide("B", true, "")
	if _, body := w.get(t, "/decisions?n=1"); strings.Count(body, "\n") != 1 || !strings.Contains(body, `"operation":"B"`) {
		t.Errorf("the last decision: %s", body)
	}
	if status, _ := w.get(t, "/decisions?n=x"); status != 400 {
		t.Errorf("n=x: status %d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vitrine/decisions?follow=1&n=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (r audit.Record) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the stream ended: ", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := next(); r.Operation != "B" {
		t.Errorf("first of the stream: %s", r.Operation)
	}
	w.decide("C", false, "")
	if r := next(); r.Operation != "C" {
		t.Errorf("next of the stream: %s", r.Operation)
	}
	cancel()
}

// TestShapesAreShownToWhoMayReadClosed.
func TestShapesAreShownToWhoMayReadClosed(t *testing.T) {
	if code, body := serve(t, "unix:root").get(t, "/shapes"); code != 200 || body != "{\"vitrine_record\":1}\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := serve(t, "container:web").get(t, "/shapes"); code != 403 {
		t.Errorf("somebody else is answered with %d", code)
	}
}

// TestCandidateIsThereIfThereIsOne.
func TestCandidateIsThereIfThereIsOne(t *testing.T) {
	if code, body := serve(t, "unix:root").get(t, "/candidate"); code != 404 || !strings.Contains(body, "key candidate") {
		t.Errorf("%d %s", code, body)
	}
}

// TestConnectionsOfOneUserClosed: whoever may open the socket, and may read nothing there, leaves the process its descriptors, and others
// room to ask.
func TestConnectionsOfOneUserClosed(t *testing.T) {
	w := serve(t, "unix:root")
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	dial := w.client.Transport.(*http.Transport).DialContext
	answered := func() bool {
		c, err := dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		_ = c.SetDeadline(time.Now().Add(wait.Patience(5 * time.Second)))
		_, err = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, errRead := bufio.NewReader(c).ReadString('\n')
		return err == nil && errRead == nil
	}
	n := 0
	for n < 100 && answered() {
		n++
	}
	if n != 32 { // half of 64, which leaves as many to others
		t.Errorf("one user has %d connections", n)
	}
	_ = open[0].Close()
	wait.Until(t, "there is room again for one who leaves", answered)
}
