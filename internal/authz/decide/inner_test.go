package decide

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// TestUnknownClassIsNotHarmlessClosed: neither the zero class nor one that somebody adds later.
func TestUnknownClassIsNotHarmlessClosed(t *testing.T) {
	for _, a := range []operation.Access{"", "teleport"} {
		if a.Reads() {
			t.Errorf("%q is", a)
		}
	}
}

// TestExecsOfNobodyAreForgotten, and who has none any longer.
func TestExecsOfNobodyAreForgotten(t *testing.T) {
	var x ownExecs
	x.add("", "e")
	x.add("o", "")
	if len(x.owner) > 0 || x.has("", "e") || x.has("o", "") {
		t.Errorf("%v", x.owner)
	}
	x.add("o", "e")
	x.forgetOldest("o")
	if len(x.owner) > 0 || len(x.made) > 0 {
		t.Errorf("%v, %v", x.owner, x.made)
	}
}

// TestDeadlineOfTheParentIsSooner, or ours is.
func TestDeadlineOfTheParentIsSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for ours, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: time.Minute} {
			d := withDeadline(parent, ours)
			if at, ok := d.Deadline(); !ok || time.Until(at) != want {
				t.Errorf("%s, %v, want %s", time.Until(at), ok, want)
			}
			d.stop()
		}
		if at, ok := withDeadline(context.Background(), time.Second).Deadline(); !ok || time.Until(at) != time.Second {
			t.Errorf("in %s, %v", time.Until(at), ok)
		}
		stopped := withDeadline(parent, time.Hour)
		stopped.stop()
		select {
		case <-stopped.Done():
		default:
			t.Error("it was stopped before anybody waited, and goes on")
		}
	})
}

// TestClosedCodeOfWhoIsUnknown: the policy's no is then of that, but for what it says of the request.
func TestClosedCodeOfWhoIsUnknown(t *testing.T) {
	for code, want := range map[string]string{"no-role": "unknown-caller", "policy": "unknown-caller", "": "unknown-caller", "hazard": "hazard"} {
		for kind, want := range map[identity.Kind]string{identity.Unknown: want, identity.Host: cmp.Or(code, "policy")} {
			v := &Verdict{Caller: &identity.Identity{Kind: kind}}
			if code != "" {
				v.Decision.Codes = []string{code}
			}
			if got := v.policyCode(); got != want {
				t.Errorf("%s, to one who is %s: %s, want %s", code, kind, got, want)
			}
		}
	}
}

// TestClosedBodyThatADoorFindsInvalid is a rail of its own: the parser has not refused it.
func TestClosedBodyThatADoorFindsInvalid(t *testing.T) {
	s := New(Options{})
	op := &operation.Operation{BodyState: operation.BodyInvalid}
	if code, why := s.rail(t.Context(), &Verdict{}, &policy.Input{Operation: op}, op); code != "rail-body" || why == "" {
		t.Errorf("%s: %s", code, why)
	}
}

// both answers with principals along with an error, or without one.
type both struct{ err error }

func (both) Identify(context.Context, *identity.Connection) *identity.Identity { return nil }
func (b both) ContainerPrincipals(context.Context, string) ([]string, error) {
	return []string{"container-id:c0ffee"}, b.err
}

// TestClosedContainersThatWereLookedAt: of what could not be told there is no id, and an exec has its container's for nobody.
func TestClosedContainersThatWereLookedAt(t *testing.T) {
	for _, tc := range []struct {
		ref string
		err error
		id  string
	}{{"web", nil, "c0ffee"}, {"exec:e1", nil, ""}, {"web", errors.New("no answer"), ""}} {
		v, s := &Verdict{}, New(Options{Identifier: both{tc.err}})
		principals, err := s.principalsOf(t.Context(), v, tc.ref)
		if (len(principals) > 0) != (tc.err == nil) || !errors.Is(err, tc.err) || v.containers.ids[tc.ref] != tc.id {
			t.Errorf("%s: %q, %v, ids %v", tc.ref, principals, err, v.containers.ids)
		}
	}
}

// TestClosedObjectWithoutAnID leaves what is known of its container.
func TestClosedObjectWithoutAnID(t *testing.T) {
	n := &named{ask: func() []object.Object { return []object.Object{{Kind: operation.KindContainer, Ref: "web"}} }}
	if all, ok := n.containers(map[string]string{"web": "c0ffee"}); !ok || len(all) != 1 || all.ID("web") != "c0ffee" {
		t.Errorf("%v, %v", all, ok)
	}
}

// chain is an identifier of containers that are each joined to the next.
type chain struct{ both }

func (chain) Joined(_ context.Context, ref string) ([]string, error) {
	n, err := strconv.Atoi(ref)
	if err != nil || n == 0 {
		return nil, err
	}
	return []string{strconv.Itoa(n - 1)}, nil
}

// TestClosedManyThatAreJoined: beside what is entered there are so many, and not one more.
func TestClosedManyThatAreJoined(t *testing.T) {
	s := New(Options{Identifier: chain{}})
	for n, known := range map[int]bool{32: true, 33: false} {
		if out, why := s.behind(t.Context(), []string{strconv.Itoa(n)}); (why == nil) != known || known && len(out) != n {
			t.Errorf("%d: %d, %v", n, len(out), why)
		}
	}
}

// TestClosedTargetThatCannotBeReplaced: then nothing is forwarded.
func TestClosedTargetThatCannotBeReplaced(t *testing.T) {
	n := &named{ask: func() []object.Object {
		return []object.Object{{Role: operation.RoleTarget, Kind: operation.KindNetwork, Ref: "web", ID: "c0ffee"}}
	}}
	n.get()
	v := &Verdict{Operation: &operation.Operation{Method: "GET", Path: "/nowhere/web", Target: "web"}}
	if why := v.pin(n); !strings.Contains(why, "cannot be put in its place") || v.carried != nil {
		t.Errorf("%q, carried as %v", why, v.carried)
	}
}

// TestIDsAreToldInTheOrderOfTheirNames, in the audit record's changes.
func TestIDsAreToldInTheOrderOfTheirNames(t *testing.T) {
	ids, names := map[string]string{}, []string{"a", "b", "c", "d", "e", "f", "g"}
	for _, name := range names {
		ids[name] = "c0ffee" + name
	}
	body := `{"Image":"x","HostConfig":{"VolumesFrom":["` + strings.Join(names, `","`) + `"]}}`
	op, err := operation.Parse(&operation.Request{
		Method: "POST", URI: "/containers/create", Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	v := &Verdict{Operation: op, containers: containers{ids: ids}}
	if why := v.pin(nil); why != "" {
		t.Fatal(why)
	}
	var told []string
	for _, change := range audit.Changes(op, v.pinned) {
		told = append(told, change.From)
	}
	if !slices.Equal(told, names) {
		t.Errorf("changes of %q", told)
	}
}

// TestWaitingExecsAreKeptOnce: each for who made it, and nothing of whom none waits.
func TestWaitingExecsAreKeptOnce(t *testing.T) {
	var w waitingExecs
	w.remove("1")
	for _, id := range []string{"1", "2", "1", ""} {
		w.add("a", id)
	}
	w.add("b", "1")
	w.add("", "4")
	if n, ids := w.count("a"), w.turn("a", true); n != 2 || !slices.Equal(ids, []string{"1", "2"}) {
		t.Errorf("%d, %q", n, ids)
	}
	w.remove("3")
	if len(w.by) != 1 || len(w.of) != 2 {
		t.Errorf("%v, %v", w.by, w.of)
	}
	w.remove("1")
	w.remove("2")
	if len(w.by) > 0 || len(w.of) > 0 {
		t.Errorf("%v, %v", w.by, w.of)
	}
}
