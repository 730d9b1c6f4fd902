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

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// joinedTo is an identifier whose containers are joined to others; "?" cannot be told.
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
	ask("/containers/web/exec", `{"User":"1000"}`).Made("mine")
	for id, anybodys := range map[string]bool{"mine": false, "other": true} {
		v := ask("/exec/"+id+"/start", `{}`)
		if got := slices.Contains(v.Enters, "container-uid:*") && slices.Contains(w.input.Enters, "container-gid:*"); got != anybodys || !slices.Contains(v.Enters, "container:web") {
			t.Errorf("%s: enters %v", id, v.Enters)
		}
	}
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
