package decide_test

import (
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

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/hostpath"
)

// readingAdmin is a Policy that reads what the request names, and lets an admin have it.
type readingAdmin struct{ reading }

func (p *readingAdmin) Decide(_ context.Context, in *policy.Input) policy.Decision {
	p.in = in
	in.Objects()
	return policy.Decision{Allow: true, Admin: true}
}

// TestClosedTargetOfAnAdminIsWhatWasRead: as of everybody, though all else is forwarded as it is written.
func TestClosedTargetOfAnAdminIsWhatWasRead(t *testing.T) {
	w := &world{containers: map[string][]string{"web": {"container-id:" + own}}}
	o := w.options()
	p := &readingAdmin{}
	p.reads = true
	o.Policy, o.OwnContainer = p, func() (string, error) { return "", nil }
	o.Objects = joining{list: []object.Object{{Role: operation.RoleTarget, Kind: operation.KindContainer, Ref: "web", Known: new(true), ID: own}}}
	if v := w.ask(t, o, "POST", "/containers/web/exec", `{"Cmd":["sh"]}`); !v.Allow || v.Carried().Path != "/containers/"+own+"/exec" {
		t.Errorf("%s, carried as %s", v.Message, v.Carried().Path)
	}
	if got := fmt.Sprint(w.records[0].Changed); got != "[{id /containers/web/exec /containers/"+own+"/exec}]" {
		t.Errorf("the record has %s", got)
	}
}

// TestClosedNetworkAndContainerOfOneName: each has its own id.
func TestClosedNetworkAndContainerOfOneName(t *testing.T) {
	network := strings.Repeat("ab", 32)
	w := &world{containers: map[string][]string{"web": {"container-id:" + own}}}
	o := w.options()
	o.Policy = &reading{reads: true}
	o.Objects = joining{list: []object.Object{
		{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "web", Known: new(true), ID: network},
		{Role: operation.RoleEnters, Kind: operation.KindContainer, Ref: "web", Known: new(true), ID: own},
	}}
	v := w.ask(t, o, "POST", "/networks/web/connect", `{"Container":"web"}`)
	if !v.Allow || v.Carried().Path != "/networks/"+network+"/connect" || string(v.Carried().Canonical) != `{"Container":"`+own+`"}` {
		t.Errorf("%s, carried as %s %s", v.Message, v.Carried().Path, v.Carried().Canonical)
	}
	if got := fmt.Sprint(w.records[0].Changed); !strings.Contains(got, "{container web "+own+"}") || !strings.Contains(got, "{id /networks/web/connect /networks/"+network+"/connect}") {
		t.Errorf("the record has %s", got)
	}
}

// TestClosedIDThatCannotStandForItsName: what was judged could not be asked for.
func TestClosedIDThatCannotStandForItsName(t *testing.T) {
	w := &world{decision: yes, containers: map[string][]string{"web": {"container-id:a/b"}}}
	if v := w.ask(t, w.options(), "POST", "/containers/web/exec", `{"Cmd":["sh"]}`); v.Allow || v.Code != "object" {
		t.Errorf("a container's: %v %s", v.Allow, v.Message)
	}
}

// TestClosedHiddenTargetStaysHidden: a request that stands for one of what is not there is given no id of what is.
func TestClosedHiddenTargetStaysHidden(t *testing.T) {
	w := &world{containers: map[string][]string{"theirs": {"container:theirs", "container-id:" + idOf("theirs")}}}
	w.decide = func(in *policy.Input) policy.Decision { // one that says yes only of what is entered
		return policy.Decision{Allow: len(in.Enters) > 0, Where: blueOnly}
	}
	o := w.options()
	o.Objects = objects
	v := w.ask(t, o, "POST", "/containers/theirs/exec", `{"Cmd":["sh"]}`)
	if !v.Allow || v.View == nil || !v.View.Nothing || strings.Contains(v.Carried().URI, idOf("theirs")) || strings.Contains(v.Carried().URI, "theirs") {
		t.Errorf("%v %s, carried as %s", v.Allow, v.Message, v.Carried().URI)
	}
}

// TestIDsAreNoChange: who writes ids itself is not told to have been given others.
func TestIDsAreNoChange(t *testing.T) {
	id := idOf("mine")
	w := &world{decide: func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Where: blueOnly} }, containers: map[string][]string{
		id: {"container:mine", "container-id:" + id},
	}}
	o := w.options()
	o.Objects = tenancy{labels: map[string]map[string]string{id: blueOnly, "mine": blueOnly}, ids: map[string]string{id: id}}
	if v := w.ask(t, o, "POST", "/networks/mine/connect", `{"Container":"`+id+`"}`); !v.Allow || len(w.records[0].Changed) != 1 || w.records[0].Changed[0].What != "id" {
		t.Errorf("%s, changed %v", v.Message, w.records[0].Changed)
	}
}

// TestEverybodyIsEnteredClosed: whatever goes by the name of everybody.
func TestEverybodyIsEnteredClosed(t *testing.T) {
	var links []string
	for i := range 300 {
		links = append(links, fmt.Sprintf(`"c%d:x%d"`, i, i))
	}
	w := &world{decision: yes, containers: map[string][]string{"*": {"container:star"}}}
	w.ask(t, w.options(), "POST", "/containers/create", `{"HostConfig":{"Links":[`+strings.Join(links, ",")+`]}}`)
	if !slices.Equal(w.input.Enters, []string{"*"}) {
		t.Errorf("%q", w.input.Enters)
	}
}

// TestExecsOfOthersAreTheirUsersToStart: who looks at one is nobody else for that.
func TestExecsOfOthersAreTheirUsersToStart(t *testing.T) {
	for _, tc := range []struct{ method, uri, body, want string }{
		{"GET", "/exec/e1/json", "", "[container:web]"},
		{"POST", "/exec/e1/start", `{}`, "[container:web container-gid:* container-uid:*]"},
	} {
		w := &world{decision: yes, containers: map[string][]string{"exec:e1": {"container:web"}}}
		if w.ask(t, w.options(), tc.method, tc.uri, tc.body); fmt.Sprint(w.input.Enters) != tc.want {
			t.Errorf("%s: %s, want %s", tc.uri, w.input.Enters, tc.want)
		}
	}
}

// TestAllowedIsNotExplained: that a container could not be told is why one is denied, and no reason of what is allowed.
func TestAllowedIsNotExplained(t *testing.T) {
	w := &world{decision: yes}
	if v := w.ask(t, w.options(), "POST", "/containers/web/exec", `{"Cmd":["sh"]}`); !v.Allow || len(w.records[0].Reasons) > 0 {
		t.Errorf("%v: %q", v.Allow, w.records[0].Reasons)
	}
}

// TestExhaustedDoesNotHideAnotherCause: what is busy is said to be.
func TestExhaustedDoesNotHideAnotherCause(t *testing.T) {
	w := &world{decision: yes, who: &identity.Identity{Kind: identity.Unknown, Err: fmt.Errorf("no %w", syscall.EMFILE)}}
	o := w.options()
	o.HostPaths = &host{errs: map[string]error{"/srv": hostpath.ErrBusy}}
	if v := w.ask(t, o, "POST", "/containers/create", bind("/srv")); v.Code != "busy" || v.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %s: %s", v.Status, v.Code, v.Message)
	}
}

// TestPolicyDeniesItsOwnLabels: then its reason is said, and nothing of labels that it wants otherwise.
func TestPolicyDeniesItsOwnLabels(t *testing.T) {
	w := &world{decide: func(in *policy.Input) policy.Decision {
		if len(in.Operation.GivenLabel("team")) > 0 {
			return policy.Decision{Diagnostics: policy.Diagnostics{Reasons: []string{"somebody is bound by it"}}}
		}
		return policy.Decision{Allow: true, Stamp: blueOnly}
	}}
	if v := w.ask(t, w.options(), "POST", "/containers/create", `{"Image":"x"}`); v.Allow || v.Code == "stamp" || !strings.Contains(v.Message, "somebody is bound by it") {
		t.Errorf("%v %s", v.Allow, v.Message)
	}
}

// TestWhatCannotBeLimitedIsSaid: though nobody can tell which objects there are.
func TestWhatCannotBeLimitedIsSaidClosed(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Where: blueOnly}}
	if v := w.ask(t, w.options(), "GET", "/plugins", ""); v.Allow || v.Status != http.StatusForbidden {
		t.Errorf("%d %s", v.Status, v.Message)
	}
}

// TestClosedWhatWasBlankedWithoutAPointer covers nothing.
func TestClosedWhatWasBlankedWithoutAPointer(t *testing.T) {
	w := &world{decision: policy.Decision{Allow: true, Redact: []string{"no pointer"}}}
	o := w.options()
	v := w.ask(t, o, "GET", "/containers/json", "")
	w.decision.Redact = []string{"/Args"}
	if err := decide.New(o).StillAllowed(t.Context(), identity.NewLocal(), v); err == nil {
		t.Error("it is still allowed")
	}
}

// TestNothingIsAskedBehindADenial: the question for what would be allowed instead ends with the denial.
func TestNothingIsAskedBehindADenial(t *testing.T) {
	c := &contexts{world: &world{decide: func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: in.Operation.Access == operation.Inspect}
	}}}
	o := c.options()
	o.Identifier, o.Policy = c, c
	c.ask(t, o, "GET", "/containers/x/stats", "")
	for i, ctx := range c.all {
		if ctx.Err() == nil {
			t.Errorf("question %d of %d goes on", i, len(c.all))
		}
	}
}

// TestWhatTurnsCostClosed: while the Engine works a caller pays little, for the size of its bodies it pays.
func TestWhatTurnsCostClosed(t *testing.T) {
	const engines = 500 * time.Millisecond
	large := make([]byte, 256<<20)
	for name, tc := range map[string]struct {
		req         *operation.Request
		least, most time.Duration
	}{
		"the Engine's work": {ping(), engines, engines + 100*time.Millisecond},
		"a body": {&operation.Request{
			Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(large)), ReadBody: func() ([]byte, error) { return large, nil },
		}, 300 * time.Millisecond, time.Second},
		"a body that has arrived": {&operation.Request{
			Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}}, Arrived: true,
			ContentLength: int64(len(large)), ReadBody: func() ([]byte, error) { return large, nil },
		}, 200 * time.Millisecond, time.Second},
		"a body that breaks off": {&operation.Request{
			Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(large)), ReadBody: func() ([]byte, error) { return nil, errors.New("gone") },
		}, 0, 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{decision: yes}
			steps := decide.New(w.options())
			steps.Authorize(t.Context(), of("other"), ping()).Finish(0, false)
			from := time.Now()
			v := steps.Authorize(t.Context(), of("a"), tc.req)
			if v.Allow {
				v.HandOver()
				time.Sleep(engines)
			}
			v.Finish(0, false)
			v = steps.Authorize(t.Context(), of("a"), ping())
			if v.Finish(0, false); time.Since(from) < tc.least || time.Since(from) > tc.most {
				t.Errorf("%s: with it the next one has waited %s", name, time.Since(from))
			}
		})
	}
}
