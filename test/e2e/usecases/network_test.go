package usecases

import (
	"fmt"
	"strings"
	"testing"

	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestTraefikSeesItsNetworkClosed: lists and a network's inspect show what is in it and no byte of others; what comes into it or leaves it is there, or
// is not.
func TestTraefikSeesItsNetworkClosed(t *testing.T) {
	e := shared.For(t)
	for _, image := range images {
		e.Docker("tag", "bb:1", image)
	}
	w := begin(t, e.For(t), useCases(t)["edge"])
	ask := func(uri string) vitrine.Answer { return w.ask("container:traefik", "GET", uri, "") }
	ask("/_ping")
	planted := []string{"claims", "shop", "blog", "inner", "team", w.inspect("claims")[:12], w.inspect("shop")[:12]}
	only := func(in bool) {
		t.Helper()
		for _, uri := range []string{"/containers/json?all=1", "/networks", "/networks/edge", "/containers/json?filters=%7B%22network%22%3A%5B%22inner%22%5D%7D", "/events?since=1&until=2"} {
			got := ask(uri)
			for _, secret := range planted {
				if strings.Contains(got.Body, secret) && !strings.Contains(uri, secret) {
					t.Errorf("%s shows %q: %s", uri, secret, got)
				}
			}
			if is := strings.Contains(got.Body, w.inspect("routed")); uri != "/networks" && !strings.Contains(uri, "inner") && !strings.HasPrefix(uri, "/events") && !is {
				t.Errorf("%s does not show what is in the network: %s", uri, got)
			}
			if is := strings.Contains(got.Body, w.inspect("db")); strings.HasPrefix(uri, "/containers/json?all") && is != in {
				t.Errorf("%s shows what comes and goes: %v, want %v", uri, is, in)
			}
		}
	}
	only(false)
	becomes := func(status int) {
		t.Helper()
		wait.Until(t, fmt.Sprint("db is answered ", status), func() bool { return ask("/containers/db/json").Status == status })
	}
	e.Docker("network", "connect", "edge", "db")
	becomes(200)
	only(true)
	e.Docker("network", "disconnect", "edge", "db")
	becomes(404)
	only(false)
	there := func(when string) {
		t.Helper()
		wait.Until(t, "routed is there "+when, func() bool { return ask("/containers/routed/json").Status == 200 })
	}
	e.Docker("restart", "--time", "0", "routed")
	there("when it was restarted")
	only(false)
	e.Docker("stop", "--time", "0", "routed")
	there("when it has stopped: it is in the network still, by its configuration")
	e.Docker("start", "routed")
}

// inspect is a container's full id.
func (w *world) inspect(name string) string {
	return strings.TrimSpace(w.e.Docker("inspect", "--format", "{{.Id}}", name))
}
