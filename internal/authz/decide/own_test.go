package decide_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/attest"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

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
