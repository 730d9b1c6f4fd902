package policy

import (
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// TestBuiltinRoles asks the built-in policy about real requests, as the doors do.
func TestBuiltinRoles(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e := builtin()
	look, monitor := []string{"container:x", "label:vitrine.role=look"}, []string{"container:monitor"}
	root, local := []string{"unix:root", "uid:0"}, []string{"local"}
	tests := []struct {
		request string // METHOD URI [body]
		who     string // l look, m monitor, r root and local
	}{
		{"HEAD /_ping", "lmr"},
		{"GET /_ping", "lmr"},
		{"GET /version", "lr"},
		{"GET /info", "lr"},
		{"GET /events", "lmr"},
		{"GET /v1.41/containers/json?all=1", "lmr"},
		{"GET /v1.24/containers/web/json", "lmr"},
		{"GET /containers/web/stats?stream=false", "lr"},
		{"GET /containers/web/stats", "r"},
		{"GET /images/json", "lmr"},
		{"GET /images/nginx:1/json", "lmr"},
		{"GET /images/nginx:1/history", "lr"},
		{"GET /volumes", "lmr"},
		{"GET /volumes/data", "lr"},
		{"GET /networks", "lmr"},
		{"GET /networks/bridge", "lr"},
		{"GET /system/df", "lr"},
		{"GET /containers/web/top", "r"},
		{"GET /containers/web/top?ps_args=axewww", "r"},
		{"GET /containers/web/logs?stdout=1", "r"},
		{"GET /containers/web/archive?path=/", "r"},
		{"GET /containers/web/export", "r"},
		{"GET /containers/web/attach/ws?stdin=1", "r"},
		{"GET /containers/web/changes", "r"},
		{"GET /images/get?names=a", "r"},
		{"GET /images/search?term=x", "r"},
		{"GET /distribution/x/json", "r"},
		{"GET /plugins", "r"},
		{"GET /secrets", "r"},
		{"GET /services", "r"},
		{"GET /swarm", "r"},
		{"GET /swarm/unlockkey", "r"},
		{"GET /exec/abc/json", "r"},
		{`POST /containers/create {"Image":"x"}`, "r"},
		{`POST /containers/create {"Image":"x","HostConfig":{"Privileged":true}}`, "r"},
		{`POST /containers/web/exec {"Cmd":["sh"]}`, "r"},
		{"POST /containers/web/start", "r"},
		{"DELETE /containers/web", "r"},
		{"POST /containers/web/rename?name=monitor", "r"},
		{"GET /containers/json?unheard=1", "r"},
	}
	for _, test := range tests {
		t.Run(test.request, func(t *testing.T) {
			parts := strings.SplitN(test.request, " ", 3)
			body := ""
			if len(parts) == 3 {
				body = parts[2]
			}
			for _, who := range []struct {
				letter     string
				principals []string
			}{{"l", look}, {"m", monitor}, {"r", root}, {"r", local}, {"-", []string{"container:x"}}, {"-", nil}} {
				in := ask(t, who.principals, parts[0], parts[1], body)
				d := e.Decide(t.Context(), in)
				if want := strings.Contains(test.who, who.letter); d.Allow != want || d.Failed || d.Admin != (who.letter == "r") {
					t.Errorf("%v: %+v, want %v", who.principals, d, want)
				}
				if len(d.Reasons) == 0 {
					t.Errorf("%v: no reason", who.principals)
				}
			}
		})
	}
}

// TestBuiltinRedaction: every answer with secrets that look and monitor may have
// is blanked, and root's is not.
func TestBuiltinRedaction(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e := builtin()
	for uri, want := range map[string]string{
		"/containers/web/json": "/Config/Env/*",
		"/images/x/json":       "/Config/Env/*",
		"/images/x/history":    "/*/CreatedBy",
		"/volumes":             "/Volumes/*/Options/*",
		"/volumes/x":           "/Options/*",
		"/system/df":           "/Volumes/*/Options/*",
		"/info":                "/HttpProxy",
		"/events":              "/Action",
	} {
		d := e.Decide(t.Context(), ask(t, []string{"label:vitrine.role=look"}, "GET", uri, ""))
		if !slices.Contains(d.Redact, want) || d.WithoutRedaction {
			t.Errorf("%s: %+v, want %s", uri, d, want)
		}
		if d := e.Decide(t.Context(), ask(t, []string{"unix:root"}, "GET", uri, "")); len(d.Redact) > 0 {
			t.Errorf("%s: root's answer is blanked: %+v", uri, d)
		}
	}
	d := e.Decide(t.Context(), ask(t, []string{"container:monitor"}, "GET", "/containers/web/json", ""))
	if !slices.Equal(d.KeepEnv, []string{"DD_ENV", "DD_SERVICE", "DD_VERSION"}) {
		t.Errorf("monitor keeps %v", d.KeepEnv)
	}
}

// TestMintClosed: who may create containers cannot make himself a monitor.
func TestMintClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	dir := policyDir(t, "data.yaml", `
roles:
  deploy: {access: [write, interactive], resources: [containers, images, exec], hazards: [env]}
bindings:
  admin: [local]
  deploy: ["tls:ci"]
  look: ["label:vitrine.role=look"]
  monitor: ["container:monitor", ["image:agent", "container-uid:7"]]
`)
	e := loaded(t, Options{Paths: []string{dir}})
	for request, allow := range map[string]bool{
		`POST /containers/create?name=web {"Image":"x"}`:                                       true,
		`POST /containers/create?name=monitor {"Image":"x"}`:                                   false,
		`POST /containers/create {"Image":"x","Labels":{"vitrine.role":"look"}}`:               false,
		`POST /containers/create {"Image":"agent"}`:                                            false,
		`POST /containers/web/rename?name=monitor`:                                             false,
		`POST /containers/web/rename?name=other`:                                               true,
		`POST /images/x/tag?repo=agent`:                                                        false,
		`POST /images/x/tag?repo=other`:                                                        true,
		`POST /containers/create {"Image":"x","HostConfig":{"PidMode":"container:monitor"}}`:   false, // a hazard
		`POST /containers/create?name=web {"Image":"x","HostConfig":{"Binds":["/:/host:ro"]}}`: false,
	} {
		parts := append(strings.SplitN(request, " ", 3), "")
		in := ask(t, []string{"tls:ci"}, parts[0], parts[1], parts[2])
		if d := e.Decide(t.Context(), in); d.Allow != allow || d.Failed {
			t.Errorf("%s: %+v", request, d)
		}
	}
	exec := ask(t, []string{"tls:ci"}, "POST", "/containers/x/exec", `{"Cmd":["sh"]}`)
	exec.Enters = []string{"container:x", "label:vitrine.role=look"}
	if d := e.Decide(t.Context(), exec); d.Allow {
		t.Errorf("exec in a container with another role: %+v", d)
	}
	exec.Enters = []string{"container:x"}
	if d := e.Decide(t.Context(), exec); !d.Allow {
		t.Errorf("exec in a plain container: %+v", d)
	}
}
