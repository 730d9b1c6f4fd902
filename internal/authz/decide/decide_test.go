package decide_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/attest"
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
		"a session":                        {yes, nil, "POST", "/session", "", 403, "rail-operation", ""},
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

func TestWhatReachesOurOwnContainerClosed(t *testing.T) {
	known := map[string][]string{
		"vitrine": {"container:vitrine", "container-id:" + own}, own[:12]: {"container:vitrine", "container-id:" + own},
		"web": {"container:web", "container-id:f00"},
	}
	for _, tc := range []struct {
		method, uri, body string
		allow             bool
	}{
		{"POST", "/containers/vitrine/stop", "", false},
		{"POST", "/containers/" + own[:12] + "/exec", `{"Cmd":["sh"]}`, false},
		{"DELETE", "/containers/vitrine?force=1", "", false},
		{"GET", "/containers/vitrine/archive?path=/", "", false},
		{"POST", "/containers/create?name=x", `{"Image":"a","HostConfig":{"PidMode":"container:vitrine"}}`, false},
		{"POST", "/containers/nobody-knows/stop", "", false},
		// "*": whatever it enters may be ours.
		{"POST", "/containers/create?name=x", `{"Image":"a","HostConfig":{"VolumesFrom":["nobody-knows"]}}`, false},
		// Reading is no harm, but for what it reads: our records, our files.
		{"GET", "/containers/vitrine/logs?stdout=1", "", false},
		{"GET", "/containers/vitrine/export", "", false},
		{"GET", "/containers/vitrine/top?ps_args=e", "", false},
		{"GET", "/containers/vitrine/json", "", true},
		{"POST", "/containers/web/stop", "", true},
	} {
		w := &world{containers: known, decision: policy.Decision{Allow: true}}
		o := w.options()
		o.OwnContainer = func() (string, error) { return own, nil }
		if v := w.ask(t, o, tc.method, tc.uri, tc.body); v.Allow != tc.allow {
			t.Errorf("%s %s: allow = %v (%s)", tc.method, tc.uri, v.Allow, v.Message)
		}
	}
}

// TestWhatReachesOurOwnServiceClosed: by whatever the swarm takes for a name of it.
func TestWhatReachesOurOwnServiceClosed(t *testing.T) {
	known := map[string][]string{
		own: {"container-id:" + own, "label:com.docker.swarm.service.id=x1y2z3", "label:com.docker.swarm.service.name=glass"},
	}
	for _, tc := range []struct {
		method, uri, body string
		allow             bool
	}{
		{"DELETE", "/services/glass", "", false},
		{"DELETE", "/services/x1y2z3", "", false},
		{"DELETE", "/services/x1", "", false},
		{"POST", "/services/glass/update?version=1", `{"Name":"glass"}`, false},
		{"DELETE", "/services/web", "", true},
		{"DELETE", "/services/x1y2z3a", "", true},
		{"GET", "/services/glass", "", true},
	} {
		w := &world{containers: known, decision: policy.Decision{Allow: true}}
		o := w.options()
		o.OwnContainer = func() (string, error) { return own, nil }
		if v := w.ask(t, o, tc.method, tc.uri, tc.body); v.Allow != tc.allow {
			t.Errorf("%s %s: allow = %v (%s)", tc.method, tc.uri, v.Allow, v.Message)
		}
		o.OwnContainer = func() (string, error) { return strings.Repeat("e", 64), nil } // of which nothing is known
		w.records = nil
		if v := w.ask(t, o, tc.method, tc.uri, tc.body); v.Allow != (tc.method == "GET") {
			t.Errorf("%s %s: allow = %v (%s)", tc.method, tc.uri, v.Allow, v.Message)
		}
	}
}

// TestOwnContainerThatIsNotKnownYetClosed: it may be known a moment later, as
// while another container ends; if not, the answer is no.
func TestOwnContainerThatIsNotKnownYetClosed(t *testing.T) {
	for after, allow := range map[time.Duration]bool{0: true, 300 * time.Millisecond: true, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{containers: map[string][]string{"web": {"container:web"}}, decision: policy.Decision{Allow: true}}
			start := time.Now()
			o := w.options()
			changed := make(chan struct{})
			time.AfterFunc(after, func() { close(changed) })
			o.OwnContainer = func() (string, error) {
				if time.Since(start) >= after {
					return own, nil
				}
				return "", fmt.Errorf("the containers are %w", attest.ErrNotYet)
			}
			o.Changed = func() <-chan struct{} { return changed }
			v := w.ask(t, o, "POST", "/containers/web/stop", "")
			if v.Allow != allow || time.Since(start) > time.Second || !allow && !strings.Contains(v.Message, "try again") {
				t.Errorf("known after %s: allow = %v after %s (%s)", after, v.Allow, time.Since(start), v.Message)
			}
		})
	}
}

// joining is an Objects.
type joining struct {
	view.Containers
	joins bool
	err   error
	list  []object.Object
}

func (j joining) HostNetworks(context.Context, *operation.Operation) ([]string, error) {
	if j.joins {
		return []string{"HostConfig.NetworkMode"}, j.err
	}
	return nil, j.err
}

func (j joining) Objects(context.Context, *operation.Operation) []object.Object { return j.list }

// reading is a Policy that reads what the request names, or not.
type reading struct {
	reads bool
	in    *policy.Input
}

func (p *reading) ReadsObjects() bool { return true }

func (p *reading) Decide(_ context.Context, in *policy.Input) policy.Decision {
	if p.in = in; p.reads {
		in.Objects()
	}
	return policy.Decision{Allow: true}
}

// TestClosedWhatWasJudgedIsCarried: the daemon is given the id of what a decision was made on.
func TestClosedWhatWasJudgedIsCarried(t *testing.T) {
	yes := true
	web := object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "web", Known: &yes, ID: own, Name: "web"}
	for _, tc := range []struct {
		uri    string
		object object.Object
		reads  bool
		want   string
	}{
		{"/v1.41/containers/web/json?size=1", web, true, "/v1.41/containers/" + own + "/json?size=1"},
		{"/v1.41/containers/web/json", web, false, "/v1.41/containers/web/json"},
		{"/v1.41/containers/web/json", object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "web"}, true, "/v1.41/containers/web/json"},
		{"/v1.41/networks/web", object.Object{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/networks/" + own},
		{"/v1.41/networks/bridge", object.Object{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "bridge", Known: &yes, ID: own}, true, "/v1.41/networks/bridge"},
		{"/v1.41/images/web/json", object.Object{Role: operation.RoleTarget, Kind: operation.KindImage, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/images/web/json"},
		{"/v1.41/containers/json?filters=%7B%22before%22%3A%5B%22web%22%5D%7D", object.Object{Role: operation.RoleUses, Kind: operation.KindContainer, Ref: "web", Known: &yes, ID: own}, true, "/v1.41/containers/json?filters=%7B%22before%22%3A%5B%22web%22%5D%7D"},
	} {
		w := &world{}
		o := w.options()
		p := &reading{reads: tc.reads}
		o.Objects, o.Policy = joining{list: []object.Object{tc.object}}, p
		v := w.ask(t, o, "GET", tc.uri, "")
		if !v.Allow || v.Carried().URI != tc.want || v.Operation.URI != tc.uri {
			t.Errorf("%s: %v, carried as %s, judged as %s; want %s", tc.uri, v.Allow, v.Carried().URI, v.Operation.URI, tc.want)
		}
		if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil || v.Carried().URI != tc.want {
			t.Errorf("%s: then %v, %s", tc.uri, err, v.Carried().URI)
		}
	}
}

// TestClosedContainersThatWereJudgedAreCarried: the daemon is given the ids of containers that a request
// enters, or that might have been our own, under any policy, and each is looked up once: a name
// that means another container at the next moment changes nothing.
func TestClosedContainersThatWereJudgedAreCarried(t *testing.T) {
	const db = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	for _, tc := range []struct{ method, uri, body, want, wantBody string }{
		{"POST", "/containers/db/exec", `{"Cmd":["sh"]}`, "/containers/" + db + "/exec", `{"Cmd":["sh"]}`},
		{"POST", "/containers/db/stop?t=1", "", "/containers/" + db + "/stop?t=1", ""},
		{"DELETE", "/containers/db", "", "/containers/" + db, ""},
		{"GET", "/containers/db/json", "", "/containers/db/json", ""}, // no more than a look
		{"POST", "/commit?container=db&repo=x", "", "/commit?container=" + db + "&repo=x", ""},
		{"POST", "/networks/n/connect", `{"Container":"db"}`, "/networks/n/connect", `{"Container":"` + db + `"}`},
		{"POST", "/containers/create", `{"HostConfig":{"PidMode":"container:db","VolumesFrom":["db:ro"]}}`, "/containers/create", `{"HostConfig":{"PidMode":"container:` + db + `","VolumesFrom":["` + db + `:ro"]}}`},
		{"POST", "/containers/create", `{"HostConfig":{"VolumesFrom":["gone"]}}`, "/containers/create", `{"HostConfig":{"VolumesFrom":["gone"]}}`},
	} {
		for _, admin := range []bool{false, true} {
			w := &world{decision: policy.Decision{Allow: true, Admin: admin}}
			o := w.options()
			o.OwnContainer = func() (string, error) { return own, nil }
			lookups := 0
			o.Identifier = identifying{w, func(ref string) ([]string, bool) {
				if lookups++; lookups == 1 && ref == "db" {
					return []string{"container:db", "container-id:" + db, "label:container-id:=x"}, true
				}
				if lookups > 1 && ref == db { // once more, later
					return []string{"container:old-db", "container-id:" + db}, true
				}
				return nil, false
			}}
			v := w.ask(t, o, tc.method, tc.uri, tc.body)
			want, wantBody := tc.want, tc.wantBody
			if admin {
				want, wantBody = tc.uri, tc.body
			}
			if strings.Contains(tc.body, "gone") && !admin {
				if v.Allow {
					t.Errorf("%s: allowed", tc.body)
				}
				continue
			}
			if !v.Allow || v.Carried().URI != want || string(v.Carried().Canonical) != wantBody || v.Operation.URI != tc.uri {
				t.Errorf("%s, admin %v: %v (%s), carried as %s %s", tc.uri, admin, v.Allow, v.Message, v.Carried().URI, v.Carried().Canonical)
			}
			if changed := w.records[0].Changed; (len(changed) == 1) != (want != tc.uri || wantBody != tc.body) || len(changed) == 1 && (changed[0] != audit.Change{What: "container", From: "db", To: db}) {
				t.Errorf("%s, admin %v: the record has %v", tc.uri, admin, changed)
			}
			if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err != nil {
				t.Errorf("%s, admin %v: then %v", tc.uri, admin, err)
			}
		}
	}
}

// identifying is an Identifier whose containers are looked up by a function.
type identifying struct {
	*world
	lookUp func(ref string) ([]string, bool)
}

func (i identifying) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if principals, ok := i.lookUp(ref); ok {
		return principals, nil
	}
	return nil, docker.ErrNotFound
}

// joinedTo is an Identifier whose containers are joined to others; "?" cannot be told.
type joinedTo struct {
	*world
	to map[string][]string
}

func (j joinedTo) Joined(_ context.Context, ref string) ([]string, error) {
	if ref == "?" {
		return nil, errors.New("no answer")
	}
	return j.to[ref], nil
}

// TestContainerThatIsJoinedToAnotherIsEnteredTooClosed: whoever gets into a container that shares another's
// processes or volumes is in that one as well, however many lie between.
func TestContainerThatIsJoinedToAnotherIsEnteredTooClosed(t *testing.T) {
	many := map[string][]string{}
	for i := range 100 {
		many[fmt.Sprint("c", i)] = []string{fmt.Sprint("c", i+1)}
	}
	for name, tc := range map[string]struct {
		to   map[string][]string
		want string
	}{
		"alone":                    {nil, "container-id:" + own + " container:debug"},
		"a sidecar":                {map[string][]string{own: {"monitor"}}, "container-id:" + own + " container:debug container:monitor"},
		"a sidecar's sidecar":      {map[string][]string{own: {"web"}, "web": {"monitor"}}, "container-id:" + own + " container:debug container:monitor container:web"},
		"each other's":             {map[string][]string{own: {"web"}, "web": {own}}, "container-id:" + own + " container:debug container:web"},
		"of one that is gone":      {map[string][]string{own: {"gone"}}, "container-id:" + own + " container:debug"},
		"of one that nobody knows": {map[string][]string{own: {"?"}}, "*"},
		"a chain without end":      {func() map[string][]string { many[own] = []string{"c0"}; return many }(), "*"},
	} {
		w := &world{decision: policy.Decision{Allow: true}, containers: map[string][]string{
			"debug": {"container:debug", "container-id:" + own}, "web": {"container:web"}, "monitor": {"container:monitor"},
		}}
		o := w.options()
		o.Identifier = joinedTo{w, tc.to}
		v := w.ask(t, o, "POST", "/containers/debug/exec", `{"Cmd":["sh"]}`)
		if got := strings.Join(v.Enters, " "); got != tc.want {
			t.Errorf("%s: enters %q, want %q", name, got, tc.want)
		}
	}
}

// TestExecThatAnotherHasMadeIsAnybodysClosed: as which user it acts, its maker has chosen.
func TestExecThatAnotherHasMadeIsAnybodysClosed(t *testing.T) {
	uid := uint32(1000)
	w := &world{
		who:        &identity.Identity{Kind: identity.Host, UID: &uid},
		containers: map[string][]string{"exec:mine": {"container:web"}, "exec:other": {"container:web"}, "web": {"container:web"}},
		decision:   policy.Decision{Allow: true},
	}
	steps := decide.New(w.options())
	ask := func(uri, body string) *decide.Verdict {
		req := &operation.Request{
			Method: "POST", URI: uri, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
		}
		return steps.Authorize(t.Context(), identity.NewLocal(), req)
	}
	ask("/containers/web/exec", `{"User":"1000"}`).MadeExec("mine")
	for id, anybodys := range map[string]bool{"mine": false, "other": true} {
		v := ask("/exec/"+id+"/start", `{}`)
		if got := slices.Contains(v.Enters, "container-uid:*") && slices.Contains(w.input.Enters, "container-gid:*"); got != anybodys || !slices.Contains(v.Enters, "container:web") {
			t.Errorf("%s: enters %v", id, v.Enters)
		}
	}
}

// TestClosedTargetThatChangesMeanwhile: what the policy read and what was looked at otherwise
// must be one container.
func TestClosedTargetThatChangesMeanwhile(t *testing.T) {
	const db = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	yes := true
	for _, id := range []string{db, own} {
		w := &world{containers: map[string][]string{"db": {"container-id:" + db}}}
		o := w.options()
		o.Objects = joining{list: []object.Object{{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "db", Known: &yes, ID: id}}}
		o.Policy = &reading{reads: true}
		v := w.ask(t, o, "POST", "/containers/db/exec", `{"Cmd":["sh"]}`)
		if v.Allow != (id == db) || v.Allow && v.Carried().URI != "/containers/"+db+"/exec" || !v.Allow && !strings.Contains(v.Message, "another container") {
			t.Errorf("%s: %v, %s", id, v.Allow, v.Message)
		}
	}
}

// TestNetworkThatMayBeTheHostsIsAHazardClosed, which the policy sees and the verdict has.
func TestNetworkThatMayBeTheHostsIsAHazardClosed(t *testing.T) {
	for _, tc := range []struct {
		objects joining
		hazard  bool
		why     string
	}{
		{joining{}, false, ""},
		{joining{joins: true}, true, ""},
		{joining{joins: true, err: errors.New("the moon is new")}, true, "the moon is new"},
		{joining{err: errors.New("the moon is new")}, true, "the moon is new"},
	} {
		w := &world{decision: policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"no"}}}}
		o := w.options()
		o.Objects = tc.objects
		v := w.ask(t, o, "POST", "/containers/create", `{"HostConfig":{"NetworkMode":"0f"}}`)
		for what, has := range map[string][]operation.Hazard{"the policy": w.input.Operation.Hazards, "the verdict": v.Operation.Hazards} {
			fields := v.Operation.HazardFields[operation.HazardHostNamespace]
			if slices.Contains(has, operation.HazardHostNamespace) != tc.hazard || (len(fields) > 0) != tc.objects.joins {
				t.Errorf("%+v: %s has %v", tc.objects, what, has)
			}
		}
		if !strings.Contains(v.Message, tc.why) || !strings.Contains(v.Message, "no") {
			t.Errorf("%+v: %s", tc.objects, v.Message)
		}
	}
}

// TestOwnContainerThatCanNeverBeKnownClosed: there is nothing to wait for, and it says why.
func TestOwnContainerThatCanNeverBeKnownClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{containers: map[string][]string{"web": {"container:web"}}, decision: policy.Decision{Allow: true}}
		o := w.options()
		o.OwnContainer = func() (string, error) { return "", errors.New("the moon is not full; set own_container") }
		o.Changed = func() <-chan struct{} { return nil }
		start := time.Now()
		v := w.ask(t, o, "POST", "/containers/web/stop", "")
		if v.Allow || time.Since(start) > 0 || !strings.Contains(v.Message, "the moon is not full; set own_container") || strings.Contains(v.Message, "try again") {
			t.Errorf("allow = %v after %s (%s)", v.Allow, time.Since(start), v.Message)
		}
		w.records = nil
		if v := w.ask(t, o, "GET", "/containers/web/json", ""); !v.Allow {
			t.Errorf("a look is refused: %s", v.Message)
		}
	})
}

// TestWaitingForOurOwnContainerHoldsNoPlace: others decide meanwhile.
func TestWaitingForOurOwnContainerHoldsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{containers: map[string][]string{"web": {"container:web"}}, decision: policy.Decision{Allow: true}}
		o := w.options()
		o.OwnContainer = func() (string, error) { return "", attest.ErrNotYet }
		o.Changed = func() <-chan struct{} { return nil }
		steps := decide.New(o)
		steps.Authorize(t.Context(), of("another"), ping()).Finish(0, false)
		for range 8 {
			go steps.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "POST", URI: "/containers/web/stop"})
			synctest.Wait()
		}
		start := time.Now()
		v := steps.Authorize(t.Context(), identity.NewLocal(), &operation.Request{Method: "GET", URI: "/_ping"})
		v.Release()
		if !v.Allow || time.Since(start) > 0 {
			t.Errorf("allow = %v after %s: %s", v.Allow, time.Since(start), v.Message)
		}
		time.Sleep(time.Second)
	})
}

func TestEntersAreResolvedAndUnknownOnesAreEverybodyClosed(t *testing.T) {
	w := &world{containers: map[string][]string{"web": {"container:web", "label:team=sre"}}, decision: policy.Decision{Allow: true}}
	w.ask(t, w.options(), "POST", "/containers/web/exec", `{"Cmd":["sh"]}`)
	if got := strings.Join(w.input.Enters, " "); got != "container:web label:team=sre" {
		t.Errorf("enters = %q", got)
	}
	w = &world{decision: policy.Decision{Allow: true}}
	w.ask(t, w.options(), "POST", "/exec/abcdef/start", `{"Detach":false}`)
	if got := strings.Join(w.input.Enters, " "); got != "*" {
		t.Errorf("enters of an unknown exec = %q, want *", got)
	}
}

// TestUnresolvedContainerIsSaidClosed: why a container counts as any is in the record, and is said to the caller in words
// that name the cause, if nothing else stands in its way.
func TestUnresolvedContainerIsSaidClosed(t *testing.T) {
	for says, err := range map[string]error{
		"there is none of that name":               docker.ErrNotFound,
		"Docker does not answer about it in time":  fmt.Errorf("inspect: %w", context.DeadlineExceeded),
		"no descriptor is left to ask Docker with": fmt.Errorf("dial: %w", syscall.EMFILE),
		"we may not ask Docker":                    fmt.Errorf("dial: %w", syscall.EACCES),
		"Docker does not say which one is meant":   errors.New("400: multiple IDs found"),
	} {
		for _, mayEnterOthers := range []bool{true, false} {
			w := &world{unresolved: err, decide: func(in *policy.Input) policy.Decision {
				return policy.Decision{Allow: mayEnterOthers && len(in.Enters) == 0, Diagnostics: policy.Diagnostics{Reasons: []string{"no"}}}
			}}
			v := w.ask(t, w.options(), "POST", "/containers/web/exec", `{"Cmd":["sh"]}`)
			if v.Finish(v.Status, false); v.Allow || strings.Contains(v.Message, says) != mayEnterOthers {
				t.Errorf("%v: %s", err, v.Message)
			}
			if said := strings.Join(w.records[0].Reasons, "; "); !strings.Contains(said, "web counts as any container") || !strings.Contains(said, err.Error()) {
				t.Errorf("%v is not in the record: %s", err, said)
			}
		}
	}
	for _, allowed := range []bool{true, false} {
		w := &world{unresolved: fmt.Errorf("dial: %w", syscall.EMFILE), decision: policy.Decision{Allow: allowed}}
		o := w.options()
		o.OwnContainer = func() (string, error) { return own, nil }
		v := w.ask(t, o, "POST", "/containers/web/stop", "")
		if v.Finish(v.Status, false); v.Allow || strings.Contains(v.Message, "no descriptor is left") != allowed {
			t.Errorf("the container is perhaps our own, and the policy allows %t: %s", allowed, v.Message)
		}
		if said := strings.Join(w.records[0].Reasons, "; "); !strings.Contains(said, syscall.EMFILE.Error()) {
			t.Errorf("the cause is not in the record: %s", said)
		}
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
