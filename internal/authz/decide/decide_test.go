package decide_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/procfs"
)

const own = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// world is a fake of everything that Authorize asks.
type world struct {
	who        *identity.Identity
	containers map[string][]string
	unresolved error // of other containers; docker.ErrNotFound if nil
	decision   policy.Decision
	decide     func(*policy.Input) policy.Decision // instead of decision, if it is not nil
	input      *policy.Input
	delay      time.Duration
	boom       any
	records    []audit.Record
}

func (w *world) Identify(context.Context, *identity.Connection) *identity.Identity {
	if w.who != nil {
		return w.who
	}
	return &identity.Identity{Kind: identity.Container, Principals: []string{"container:web"}, Door: "gateway"}
}

func (w *world) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if p, ok := w.containers[ref]; ok {
		return p, nil
	}
	return nil, cmp.Or(w.unresolved, docker.ErrNotFound)
}

func (w *world) Decide(ctx context.Context, in *policy.Input) policy.Decision {
	if w.boom != nil {
		panic(w.boom)
	}
	w.input = in
	if w.decide != nil {
		return w.decide(in)
	}
	select {
	case <-time.After(w.delay):
		return w.decision
	case <-ctx.Done():
		return policy.Decision{Diagnostics: policy.Diagnostics{Failed: true, Reasons: []string{"the policy took too long"}}}
	}
}

func (w *world) options() decide.Options {
	return decide.Options{Identifier: w, Policy: w, Record: func(r audit.Record) { w.records = append(w.records, r) }}
}

func (w *world) ask(t *testing.T, o decide.Options, method, uri, body string) *decide.Verdict {
	t.Helper()
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	v := decide.New(o).Authorize(t.Context(), identity.NewLocal(), req)
	v.Finish(v.Status, false)
	v.Finish(v.Status, false)
	if len(w.records) != 1 {
		t.Fatalf("%d audit records for one request", len(w.records))
	}
	if w.records[0].Allow != v.Allow {
		t.Errorf("the record says allow=%v, the verdict %v", w.records[0].Allow, v.Allow)
	}
	return v
}

func TestAllowed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Revision: "r1"}, Redact: []string{"/Config/Env"}}}
	v := w.ask(t, w.options(), "GET", "/v1.41/containers/web/json", "")
	if !v.Allow || v.Status != 0 || v.Operation.ID != "ContainerInspect" {
		t.Fatalf("verdict = %+v", v)
	}
	r := w.records[0]
	if r.Operation != "ContainerInspect" || r.PolicyRevision != "r1" || r.URI != "/v1.41/containers/web/json" || r.Caller.Principals[0] != "container:web" {
		t.Errorf("record = %+v", r)
	}
}

// unhurried takes a second to find out which containers a request enters.
type unhurried struct{ *world }

func (unhurried) ContainerPrincipals(context.Context, string) ([]string, error) {
	time.Sleep(time.Second)
	return nil, context.DeadlineExceeded
}

// TestNoTimeToAskThePolicyIsToTryAgain: that passes, unlike a policy that is slow itself, or fails in time, one that has said no
// by then, and a rail, which stands whatever a policy says.
func TestNoTimeToAskThePolicyIsToTryAgain(t *testing.T) {
	late := policy.Decision{Diagnostics: policy.Diagnostics{Failed: true, Reasons: []string{"the policy gave no answer in time"}}}
	const exec, body = "/containers/web/exec", `{"Cmd":["sh"]}`
	for name, tc := range map[string]struct {
		uri, body string
		within    time.Duration
		takes     time.Duration
		answer    policy.Decision
		status    int
	}{
		"no time":            {exec, body, time.Second, 0, late, http.StatusServiceUnavailable},
		"time enough":        {exec, body, 2 * time.Second, 0, late, http.StatusForbidden},
		"a slow policy":      {"/volumes/prune", "", time.Second, time.Second, late, http.StatusForbidden},
		"no time, and a no":  {exec, body, time.Second, 0, policy.Decision{}, http.StatusForbidden},
		"no time, on a rail": {exec, body, time.Second, 0, late, http.StatusForbidden},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{decide: func(*policy.Input) policy.Decision {
				time.Sleep(tc.takes)
				return tc.answer
			}}
			o := w.options()
			o.Identifier, o.Timeout = unhurried{w}, tc.within
			if strings.HasSuffix(name, "rail") { // the container may be our own
				o.OwnContainer = func() (string, error) { return own, nil }
			}
			v := w.ask(t, o, "POST", tc.uri, tc.body)
			if v.Allow || v.Status != tc.status || strings.Contains(v.Message, "; try again [") != (tc.status == http.StatusServiceUnavailable) {
				t.Errorf("%s: %d %s", name, v.Status, v.Message)
			}
		})
	}
}

func TestEveryDoubtClosed(t *testing.T) {
	yes := policy.Decision{Allow: true}
	for name, tc := range map[string]struct {
		decision     policy.Decision
		boom         any
		method, uri  string
		body         string
		status       int
		code, reason string
	}{
		"the zero decision":                {policy.Decision{}, nil, "GET", "/_ping", "", 403, "policy", "no reason"},
		"the policy's no, with its reason": {policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"role look allows ping"}}}, nil, "POST", "/containers/x/kill", "", 403, "policy", "vitrine: container:web may not ContainerKill (POST /containers/x/kill): role look allows ping"},
		"allow along with a failure":       {policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Failed: true}}, nil, "GET", "/_ping", "", 403, "policy", ""},
		"a panic":                          {yes, errors.New("boom"), "GET", "/_ping", "", 403, "internal-error", "boom"},
		"an unknown route":                 {yes, nil, "GET", "/nope", "", 403, "unknown-route", ""},
		"a path that is not canonical":     {yes, nil, "GET", "/v1.41/../containers/json", "", 400, "", ""},
		"a rail":                           {yes, nil, "POST", "/plugins/vitrine/disable", "", 403, "rail-operation", ""},
		"gRPC":                             {yes, nil, "POST", "/grpc", "", 403, "rail-operation", ""},
		"an API older than 1.24":           {yes, nil, "GET", "/v1.23/containers/json", "", 403, "rail-operation", ""},
		"a body on start":                  {yes, nil, "POST", "/v1.41/containers/x/start", `{"Privileged":true}`, 403, "rail-operation", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []decide.Mode{decide.Enforce, decide.Audit} {
				w := &world{decision: tc.decision, boom: tc.boom}
				o := w.options()
				o.Mode = mode
				v := w.ask(t, o, tc.method, tc.uri, tc.body)
				lifted := mode == decide.Audit && tc.code == "policy"
				if v.Allow != lifted {
					t.Fatalf("mode %s: allow = %v (%s)", mode, v.Allow, v.Message)
				}
				if lifted {
					if w.records[0].Mode != "audit" || w.records[0].Code == "" {
						t.Errorf("a lifted denial is not marked: %+v", w.records[0])
					}
					continue
				}
				if !strings.HasSuffix(v.Message, " ["+v.Code+"]") || w.records[0].Code != v.Code {
					t.Errorf("code %q, recorded as %q, message %q", v.Code, w.records[0].Code, v.Message)
				}
				if v.Status != tc.status || (tc.code != "" && v.Code != tc.code) || !strings.Contains(v.Message, tc.reason) {
					t.Errorf("status %d code %q message %q", v.Status, v.Code, v.Message)
				}
			}
		})
	}
}

// TestModeOfOneListenerOrRoleClosed: each is narrower than mode audit of all, and no rail or parser minds any of them.
func TestModeOfOneListenerOrRoleClosed(t *testing.T) {
	no, audited := policy.Decision{}, policy.Decision{Audit: true}
	failed := policy.Decision{Audit: true, Diagnostics: policy.Diagnostics{Failed: true}}
	modes := map[string]decide.Mode{"learning": decide.Audit, "strict": decide.Enforce}
	for name, tc := range map[string]struct {
		decision       policy.Decision
		mode           decide.Mode
		door, listener string
		lifted         bool
	}{
		"a listener in audit":                            {no, decide.Enforce, "gateway", "learning", true},
		"another listener":                               {no, decide.Enforce, "gateway", "agents", false},
		"no listener":                                    {no, decide.Enforce, "gateway", "", false},
		"its name at the plugin's door":                  {no, decide.Enforce, "plugin", "learning", false},
		"a listener that enforces":                       {no, decide.Audit, "gateway", "strict", false},
		"its name at the plugin's door, in audit":        {no, decide.Audit, "plugin", "strict", true},
		"a role in audit":                                {audited, decide.Enforce, "gateway", "agents", true},
		"a role in audit at the plugin's door":           {audited, decide.Enforce, "plugin", "", true},
		"a role in audit, where the listener enforces":   {audited, decide.Audit, "gateway", "strict", false},
		"a role in audit, of a policy that failed":       {failed, decide.Enforce, "gateway", "agents", false},
		"a listener in audit, with a policy that failed": {failed, decide.Enforce, "gateway", "learning", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{decision: tc.decision, who: &identity.Identity{Kind: identity.Container, Principals: []string{"container:web"}, Door: tc.door, Listener: tc.listener}}
			o := w.options()
			o.Mode, o.Modes = tc.mode, modes
			v := w.ask(t, o, "POST", "/containers/x/kill", "")
			if v.Allow != tc.lifted || (w.records[0].Mode == "audit") != tc.lifted {
				t.Errorf("allow %v, recorded %+v", v.Allow, w.records[0])
			}
			for _, rail := range []string{"/plugins/vitrine/disable", "/nope"} {
				w.records = nil
				if v := w.ask(t, o, "POST", rail, ""); v.Allow {
					t.Errorf("%s is let through", rail)
				}
			}
		})
	}
}

// TestStillAllowedClosed: what was allowed is decided once more; without a record,
// as it is no other request.
func TestStillAllowedClosed(t *testing.T) {
	yes := policy.Decision{Allow: true, Redact: []string{"/Config/Env"}, KeepEnv: []string{"A"}}
	for name, tc := range map[string]struct {
		change func(w *world, o *decide.Options)
		want   bool
	}{
		"nothing changed":                  {func(*world, *decide.Options) {}, true},
		"another revision":                 {func(w *world, _ *decide.Options) { w.decision.Revision = "r2" }, true},
		"denied":                           {func(w *world, _ *decide.Options) { w.decision = policy.Decision{} }, false},
		"denied, in audit mode":            {func(w *world, o *decide.Options) { w.decision, o.Mode = policy.Decision{}, decide.Audit }, true},
		"cannot be decided":                {func(w *world, _ *decide.Options) { w.decision.Failed = true }, false},
		"a panic":                          {func(w *world, _ *decide.Options) { w.boom = "boom" }, false},
		"more is to be blanked":            {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"/Config/Env", "/Args"} }, false},
		"the same in other words":          {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"/config/env"} }, true},
		"a part of it":                     {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"/Config/Env/*"} }, true},
		"a part of it, of something else":  {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"/*/Env/*"} }, false},
		"all that it is in":                {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"/Config"} }, false},
		"what cannot be told (no pointer)": {func(w *world, _ *decide.Options) { w.decision.Redact = []string{"Config/Env"} }, false},
		"less is to be kept":               {func(w *world, _ *decide.Options) { w.decision.KeepEnv = nil }, false},
		"nothing to be blanked":            {func(w *world, _ *decide.Options) { w.decision.Redact, w.decision.KeepEnv = nil, nil }, true},
		"some objects only":                {func(w *world, _ *decide.Options) { w.decision.Where = map[string]string{"a": "b"} }, false},
		"our own, without policy": {func(w *world, _ *decide.Options) {
			w.who, w.decision = &identity.Identity{Kind: identity.Self}, policy.Decision{}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{decision: yes}
			if strings.HasPrefix(name, "our own") {
				w.who = &identity.Identity{Kind: identity.Self}
			}
			o := w.options()
			v := w.ask(t, o, "GET", "/v1.41/containers/json", "")
			if !v.Allow {
				t.Fatal(v.Message)
			}
			tc.change(w, &o)
			if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); (err == nil) != tc.want || err != nil && err.Error() == "" {
				t.Errorf("not allowed any longer: %v", err)
			}
			if len(w.records) != 1 {
				t.Errorf("%d records", len(w.records))
			}
		})
	}
}

// TestBodyThatNobodySawIsForAdminsClosed: a policy that says yes to everything is not asked about what it cannot see.
func TestBodyThatNobodySawIsForAdminsClosed(t *testing.T) {
	for _, admin := range []bool{false, true} {
		w := &world{decision: policy.Decision{Allow: true, Admin: admin}}
		req := &operation.Request{Method: "POST", URI: "/containers/create", Header: http.Header{}, ContentLength: 2 << 20, Withheld: true}
		v := decide.New(w.options()).Authorize(t.Context(), identity.NewLocal(), req)
		if v.Allow != admin || !admin && (v.Code != "rail-body" || !strings.Contains(v.Message, "send it to the gateway's socket")) {
			t.Errorf("admin %v: allow %v, %s: %s", admin, v.Allow, v.Code, v.Message)
		}
	}
}

func TestAdminPassesTheRails(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Admin: true}}
	if v := w.ask(t, w.options(), "POST", "/plugins/vitrine/disable", ""); !v.Allow {
		t.Errorf("an admin was stopped by a rail: %s", v.Message)
	}
	w = &world{decision: policy.Decision{Allow: true, Admin: true}}
	if v := w.ask(t, w.options(), "GET", "/v1.41/../containers/json", ""); v.Allow {
		t.Error("an admin's request was let through although nobody understands it")
	}
}

// TestOutOfDescriptorsIsTryAgainClosed: a caller that could not be looked at is unknown, which
// means no; and that it is our fault is said, whatever stands in its way.
func TestOutOfDescriptorsIsTryAgainClosed(t *testing.T) {
	emfile := fmt.Errorf("pin pid 7: %w", syscall.EMFILE)
	for name, tc := range map[string]struct {
		cause     error
		decision  policy.Decision
		uri, code string
		status    int
	}{
		"no descriptor here":         {emfile, policy.Decision{}, "/info", "exhausted", 503},
		"no descriptor anywhere":     {syscall.ENFILE, policy.Decision{}, "/info", "exhausted", 503},
		"in front of a rail":         {emfile, policy.Decision{Allow: true}, "/debug/vars", "exhausted", 503},
		"what is not understood":     {emfile, policy.Decision{Allow: true}, "/nope", "unknown-route", 403},
		"what anybody may":           {emfile, policy.Decision{Allow: true}, "/_ping", "", 0},
		"another cause":              {procfs.ErrDead, policy.Decision{}, "/info", "unknown-caller", 403},
		"no permission to look":      {syscall.EACCES, policy.Decision{}, "/info", "unknown-caller", 403},
		"a caller that is not known": {nil, policy.Decision{}, "/info", "unknown-caller", 403},
	} {
		w := &world{who: &identity.Identity{Kind: identity.Unknown, Door: "gateway", Err: tc.cause}, decision: tc.decision}
		v := w.ask(t, w.options(), "GET", tc.uri, "")
		if v.Allow != (tc.status == 0) || v.Status != tc.status || v.Code != tc.code {
			t.Errorf("%s: %d %s: %s", name, v.Status, v.Code, v.Message)
		}
		if r := w.records[0]; tc.cause != nil && (r.Caller.Why != tc.cause.Error() || !v.Allow && !strings.Contains(v.Message, r.Caller.Why)) {
			t.Errorf("%s: the record says %q, the message %q", name, r.Caller.Why, v.Message)
		}
	}
}

func TestAHungPolicyIsADenialInTwoSecondsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{decision: policy.Decision{Allow: true}, delay: time.Hour}
		start := time.Now()
		v := w.ask(t, w.options(), "GET", "/_ping", "")
		if v.Allow || time.Since(start) > 2*time.Second {
			t.Errorf("allow = %v after %s", v.Allow, time.Since(start))
		}
	})
}

func TestABodyThatComesSlowlyIsNotTheDecisionsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{decision: policy.Decision{Allow: true}}
		body := `{"Image":"a"}`
		req := &operation.Request{
			Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
			ReadBody: func() ([]byte, error) { time.Sleep(30 * time.Second); return []byte(body), nil },
		}
		v := decide.New(w.options()).Authorize(t.Context(), identity.NewLocal(), req)
		v.Finish(201, false)
		if !v.Allow || w.records[0].Duration > time.Second {
			t.Errorf("allow = %v, duration = %s", v.Allow, w.records[0].Duration)
		}
	})
}

func TestOurOwnCallsAreAFixedListOfReads(t *testing.T) {
	for _, tc := range []struct {
		method, uri string
		allow       bool
	}{
		{"GET", "/_ping", true},
		{"GET", "/containers/json", true},
		{"GET", "/containers/web/json", true},
		{"GET", "/containers/web/logs", false},
		{"POST", "/containers/create", false},
		{"GET", "/containers/web/archive?path=/", false},
	} {
		w := &world{who: &identity.Identity{Kind: identity.Self, Door: "plugin"}, decision: policy.Decision{Allow: true, Admin: true}}
		if v := w.ask(t, w.options(), tc.method, tc.uri, ""); v.Allow != tc.allow {
			t.Errorf("%s %s: allow = %v (%s)", tc.method, tc.uri, v.Allow, v.Message)
		}
		if w.input != nil {
			t.Errorf("%s %s: the policy was asked about our own call", tc.method, tc.uri)
		}
	}
}

// TestStreamOfStatisticsNamesItsAlternative: only if that would be allowed, at that door.
func TestStreamOfStatisticsNamesItsAlternative(t *testing.T) {
	const hint = "with stream=false it would be allowed"
	once := func(d policy.Decision) func(*policy.Input) policy.Decision {
		return func(in *policy.Input) policy.Decision {
			if in.Operation.Access == operation.Inspect {
				return d
			}
			return policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"no streams"}}}
		}
	}
	for name, tc := range map[string]struct {
		door   string
		uri    string
		decide func(*policy.Input) policy.Decision
		says   bool
	}{
		"it would":                            {"gateway", "/containers/x/stats", once(policy.Decision{Allow: true}), true},
		"with other parameters":               {"gateway", "/v1.41/containers/x/stats?stream=1", once(policy.Decision{Allow: true}), true},
		"it would, blanked":                   {"gateway", "/containers/x/stats", once(policy.Decision{Allow: true, Redact: []string{"/name"}}), true},
		"it would not, as nobody blanks it":   {"plugin", "/containers/x/stats", once(policy.Decision{Allow: true, Redact: []string{"/name"}}), false},
		"it would not":                        {"gateway", "/containers/x/stats", once(policy.Decision{}), false},
		"it could not be told":                {"gateway", "/containers/x/stats", once(policy.Decision{Allow: true, Diagnostics: policy.Diagnostics{Failed: true}}), false},
		"it is asked for once already":        {"gateway", "/containers/x/stats?stream=false", func(*policy.Input) policy.Decision { return policy.Decision{} }, false},
		"another stream has no such relative": {"gateway", "/events", func(*policy.Input) policy.Decision { return policy.Decision{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{who: &identity.Identity{Kind: identity.Container, Principals: []string{"container:web"}, Door: tc.door}, decide: tc.decide}
			if v := w.ask(t, w.options(), "GET", tc.uri, ""); v.Allow || strings.Contains(v.Message, hint) != tc.says {
				t.Errorf("allow %v: %s", v.Allow, v.Message)
			}
		})
	}
	// A door that cannot blank the stream says it too.
	w := &world{decide: func(*policy.Input) policy.Decision {
		return policy.Decision{Allow: true, Redact: []string{"/name"}}
	}}
	v := decide.New(w.options()).Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "GET", URI: "/containers/x/stats", Header: http.Header{}})
	v.Deny(http.StatusForbidden, "obligation", "this stream cannot be redacted")
	if !strings.Contains(v.Message, hint) {
		t.Error(v.Message)
	}
}
