package decide_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

func (tenancy) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (tenancy) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

// platforms is a yard whose image has parts for platforms.
type platforms struct {
	*yard
	owns map[string]bool
}

func (p platforms) ImageConfig(_ context.Context, _, platform string) (operation.ImageConfig, error) {
	owns, has := p.owns[platform]
	if !has {
		return operation.ImageConfig{}, errors.New("no such part")
	}
	return operation.ImageConfig{Owns: owns}, nil
}

// TestImagesThatClaimForAPlatformClosed: an image whose part for another platform says whose its containers are is as one that says so itself, and
// which part it would be is as if it said so where that cannot be told. It is no burden.
func TestImagesThatClaimForAPlatformClosed(t *testing.T) {
	parts := platforms{newYard(0), map[string]bool{"": false, "linux/amd64": false, "linux/386": true}}
	for platform, says := range map[string]string{"": "", "linux/amd64": "", "linux/386": "sets the label", "linux/s390x": "sets the label"} {
		w, o := ciWorld(three, parts)
		v := w.ask(t, o, "POST", "/containers/create?platform="+url.QueryEscape(platform), creates)
		if v.Allow != (says == "") || !strings.Contains(v.Message, says) {
			t.Errorf("%q: %v %s", platform, v.Allow, v.Message)
		}
		if limits := slices.Contains(w.input.Operation.Hazards, operation.HazardLimits); limits != (platform == "linux/s390x") {
			t.Errorf("%q has the hazard limits: %v", platform, limits)
		}
	}
}

func (y tenancy) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, y.err }

// yard is a daemon with a number of somebody's containers.
type yard struct {
	tenancy
	mu   sync.Mutex
	has  int
	asks int
	err  error

	networks int
	volumes  []string
	image    operation.ImageConfig
	unknown  error // which volumes the image has
}

func (y *yard) Owned(_ context.Context, kind operation.Kind, owner string) (ids []string, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asks++
	n := y.has
	switch {
	case owner != "container:ci":
		return nil, fmt.Errorf("asked for %q", owner)
	case kind == operation.KindVolume:
		return y.volumes, y.err
	case kind == operation.KindNetwork:
		n = y.networks
	}
	for i := range n {
		ids = append(ids, fmt.Sprint(kind, i))
	}
	return ids, y.err
}

func (y *yard) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return y.image, y.unknown
}

var (
	ofCI  = map[string]string{operation.OwnerLabel: "container:ci"}
	three = policy.Decision{Allow: true, Where: ofCI, Stamp: ofCI, Shared: map[string][]string{"images": {"x"}}, Ceilings: operation.Ceilings{Memory: 1 << 20, Containers: 3, Networks: 2}}
)

const creates = `{"Image":"x"}`

func ciWorld(d policy.Decision, y decide.Objects) (*world, decide.Options) {
	w := &world{decision: d, who: &identity.Identity{Kind: identity.Container, Principals: []string{"container:ci"}, Door: "gateway"}}
	o := w.options()
	o.Objects = y
	return w, o
}

func newYard(has int) *yard {
	return &yard{tenancy: tenancy{labels: map[string]map[string]string{"x": {}}}, has: has}
}

// TestImagesThatBlankTheOwnerCount: as those do that are built by who sees only some objects.
func TestImagesThatBlankTheOwnerCount(t *testing.T) {
	blank := newYard(2)
	blank.labels = map[string]map[string]string{"x": {operation.OwnerLabel: ""}}
	w, o := ciWorld(three, blank)
	if v := w.ask(t, o, "POST", "/containers/create", creates); !v.Allow {
		t.Error(v.Message)
	}
}

func TestCeilingsAreSetAndRecorded(t *testing.T) {
	w, o := ciWorld(three, newYard(2))
	v := w.ask(t, o, "POST", "/containers/create", creates)
	if !v.Allow || !strings.Contains(string(v.Carried().Canonical), `"Memory":1048576`) {
		t.Fatalf("%s: %s", v.Message, v.Carried().Canonical)
	}
	if got := w.records[0].Changed; !slices.Contains(got, audit.Change{What: "ceiling", To: "HostConfig.Memory=1048576"}) {
		t.Errorf("changed %v", got)
	}
}

// TestCeilingsClosed: what is over is denied at each door, and told what would be allowed.
func TestCeilingsClosed(t *testing.T) {
	claims := newYard(0)
	claims.labels = map[string]map[string]string{"x": ofCI}
	for name, tc := range map[string]struct {
		d      policy.Decision
		y      decide.Objects
		body   string
		status int
		says   string
	}{
		"memory":               {three, newYard(0), `{"Image":"x","HostConfig":{"Memory":2097152}}`, http.StatusForbidden, "2MiB of memory is asked for, and 1MiB is allowed"},
		"one too many":         {three, newYard(3), creates, http.StatusForbidden, "it has 3 containers, and 3 are allowed"},
		"an image that claims": {three, claims, creates, http.StatusForbidden, "sets the label vitrine.owner itself"},
		"no answer":            {three, &yard{tenancy: newYard(0).tenancy, err: errors.New("no answer")}, creates, http.StatusServiceUnavailable, "cannot be told now"},
		"nobody's":             {policy.Decision{Allow: true, Ceilings: three.Ceilings}, newYard(0), creates, http.StatusForbidden, "which are its own"},
		"nobody can say":       {policy.Decision{Allow: true, Stamp: ofCI, Ceilings: three.Ceilings}, nil, creates, http.StatusForbidden, "which are its own"},
		"other limits for it":  {policy.Decision{}, newYard(0), creates, http.StatusForbidden, "other limits"},
	} {
		w, o := ciWorld(tc.d, tc.y)
		if name == "other limits for it" {
			w.decide = func(in *policy.Input) policy.Decision {
				d := three
				d.Ceilings.Memory = int64(1024 * (1 + len(in.Operation.Set)))
				return d
			}
		}
		v := w.ask(t, o, "POST", "/containers/create", tc.body)
		if v.Allow || v.Status != tc.status || !strings.Contains(v.Message, tc.says) || tc.status == http.StatusForbidden && v.Code != "ceiling" {
			t.Errorf("%s: %v %d %s", name, v.Allow, v.Status, v.Message)
		}
	}
	w, o := ciWorld(policy.Decision{Allow: true, Ceilings: three.Ceilings}, newYard(0))
	w.who.Door = "plugin"
	if v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","HostConfig":{"Memory":2097152}}`); v.Allow {
		t.Error("the plugin's door lets through what is over")
	}
	w, o = ciWorld(policy.Decision{Allow: true, Ceilings: operation.Ceilings{Memory: 1 << 20}}, newYard(0))
	w.who.Door = "plugin"
	if v := w.ask(t, o, "POST", "/containers/create", creates); len(v.Operation.Set) > 0 { // that would be what the door says it does
		t.Errorf("the plugin's door takes %v for set", v.Operation.Set)
	}
}

// TestClosedNetworksAreCounted, beside those that are about to be made; containers are others.
func TestClosedNetworksAreCounted(t *testing.T) {
	y := newYard(3)
	y.networks = 1
	const named = `{"Name":"n"}`
	_, o := ciWorld(three, y)
	s := decide.New(o)
	ask := func() *decide.Verdict {
		req := creating()
		req.URI, req.ContentLength = "/networks/create", int64(len(named))
		req.ReadBody = func() ([]byte, error) { return []byte(named), nil }
		return s.Authorize(t.Context(), identity.NewLocal(), req)
	}
	first, second := ask(), ask()
	if !first.Allow || second.Allow || second.Code != "ceiling" || !strings.Contains(second.Message, "it has 2 networks, and 2 are allowed") {
		t.Errorf("%v %s, then %v %s", first.Allow, first.Message, second.Allow, second.Message)
	}
	first.Finish(http.StatusCreated, false)
	if v := ask(); !v.Allow {
		t.Errorf("after the daemon's answer: %s", v.Message)
	}
}

// TestLimitsAllowNothingClosed: who may not do it as it is written may not do it with limits, and what the policy says of the limited one counts.
func TestLimitsAllowNothingClosed(t *testing.T) {
	memory := operation.Ceilings{Memory: 1 << 20}
	no := policy.Diagnostics{Reasons: []string{"no limits for you"}}
	for name, tc := range map[string]struct {
		typed, limited policy.Decision
		allow          bool
		code           string
	}{
		"denied as it is written":     {policy.Decision{Ceilings: memory}, policy.Decision{Allow: true, Ceilings: memory}, false, "policy"},
		"denied with its limits":      {policy.Decision{Allow: true, Ceilings: memory}, policy.Decision{Diagnostics: no}, false, "policy"},
		"an admin, denied with them":  {policy.Decision{Allow: true, Admin: true, Ceilings: memory}, policy.Decision{Diagnostics: no}, true, ""},
		"allowed, with the same ones": {policy.Decision{Allow: true, Ceilings: memory}, policy.Decision{Allow: true, Ceilings: memory}, true, ""},
	} {
		w, o := ciWorld(policy.Decision{}, newYard(0))
		w.decide = func(in *policy.Input) policy.Decision {
			if len(in.Operation.Set) > 0 {
				return tc.limited
			}
			return tc.typed
		}
		if v := w.ask(t, o, "POST", "/containers/create", creates); v.Allow != tc.allow || v.Code != tc.code || tc.code != "" && strings.Contains(v.Message, "other limits") {
			t.Errorf("%s: %v %s", name, v.Allow, v.Message)
		}
	}
}

// TestWhatCountsNoContainer: neither what audit mode lets through, nor a network that somebody owns.
func TestWhatCountsNoContainer(t *testing.T) {
	y := newYard(0)
	y.labels["net"] = ofCI
	w, o := ciWorld(three, y)
	if v := w.ask(t, o, "POST", "/containers/create", `{"Image":"x","HostConfig":{"NetworkMode":"net"}}`); !v.Allow || y.asks != 1 {
		t.Errorf("on a network of its own: %s", v.Message)
	}
	denied := three
	denied.Allow = false
	w, o = ciWorld(denied, &yard{err: errors.New("nobody is to be asked")})
	o.Mode = decide.Audit
	if v := w.ask(t, o, "POST", "/containers/create", creates); !v.Allow {
		t.Errorf("in audit mode: %s", v.Message)
	}
}

func TestCeilingsOfWhoHasNone(t *testing.T) {
	for name, d := range map[string]policy.Decision{
		"an admin":  {Allow: true, Admin: true, Ceilings: three.Ceilings},
		"no number": {Allow: true, Ceilings: operation.Ceilings{Memory: 1 << 20}},
	} {
		w, o := ciWorld(d, &yard{err: errors.New("nobody is to be asked")})
		if v := w.ask(t, o, "POST", "/containers/create", creates); !v.Allow || d.Admin && strings.Contains(string(v.Carried().Canonical), "Memory") {
			t.Errorf("%s: %s", name, v.Message)
		}
	}
	w, o := ciWorld(three, &yard{tenancy: objects, err: errors.New("nobody is to be asked")})
	if v := w.ask(t, o, "GET", "/containers/json", ""); !v.Allow {
		t.Error(v.Message)
	}
}

func creating() *operation.Request {
	return &operation.Request{
		Method: "POST", URI: "/containers/create", Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(creates)), ReadBody: func() ([]byte, error) { return []byte(creates), nil },
	}
}

// TestRacedCreatesClosed: those that are about to make a container count, until the daemon has answered, and where that was not
// waited for, a minute longer.
func TestRacedCreatesClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(1)
		_, o := ciWorld(three, y)
		steps := decide.New(o)
		ask := func() *decide.Verdict {
			return steps.Authorize(t.Context(), identity.NewLocal(), creating())
		}
		first, second := ask(), ask()
		if !first.Allow || !second.Allow {
			t.Fatal(first.Message, second.Message)
		}
		if third := ask(); third.Allow || third.Code != "ceiling" {
			t.Errorf("a third one at once: %s", third.Message)
		}
		if err := steps.StillAllowed(t.Context(), identity.NewLocal(), second); err != nil {
			t.Errorf("what is being carried counts against itself: %v", err)
		}
		y.has++ // the daemon has made the first one
		first.Finish(http.StatusCreated, false)
		if v := ask(); v.Allow {
			t.Error("one more than there may be")
		}
		second.Finish(http.StatusNotFound, false) // no such image
		again := ask()
		if !again.Allow {
			t.Errorf("a create that failed still counts: %s", again.Message)
		}
		again.Finish(0, false) // its client has left, and the daemon may go on
		if v := ask(); v.Allow {
			t.Error("what the daemon may be making does not count")
		}
		time.Sleep(61 * time.Second)
		if v := ask(); !v.Allow {
			t.Errorf("a minute later: %s", v.Message)
		} else {
			v.Deny(http.StatusServiceUnavailable, "limit", "the door has no room")
			v.Finish(http.StatusServiceUnavailable, false)
		}
		failed := ask()
		if !failed.Allow {
			t.Fatalf("after a denial: %s", failed.Message)
		}
		failed.Finish(http.StatusInternalServerError, false) // the daemon's own word
		broken := ask()
		if !broken.Allow {
			t.Fatalf("after the daemon could not: %s", broken.Message)
		}
		broken.Finish(http.StatusBadGateway, false) // it broke off, and may have made it
		if v := ask(); v.Allow {
			t.Error("what the daemon broke off does not count")
		}
	})
}

func (joining) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, nil }

func (*counting) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, nil }

func (joining) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (joining) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

func (*counting) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (*counting) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}
