package decide_test

import (
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// substitutes is a policy that takes no mount of the engine's socket, and would have the gateway's there.
func substitutes(in *policy.Input) policy.Decision {
	d := policy.Decision{Substitute: true, Allow: !slices.Contains(in.Operation.Hazards, operation.HazardEngineSocket) && !slices.Contains(in.Operation.Hazards, operation.HazardPrivileged)}
	if !d.Allow {
		d.Reasons = []string{"no hazards"}
	}
	return d
}

const mounting = `{"Image":"x","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock:ro"]}}`

func TestSocketIsSubstituted(t *testing.T) {
	ours := &operation.Sockets{Gateway: []operation.Socket{{Listener: "agents", Path: "/run/a.sock"}, {Listener: "ci", Path: "/run/c.sock"}}, Engine: []string{"/run/docker.sock"}}
	admin := func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Admin: true} }
	takes := func(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }
	wants := func(in *policy.Input) policy.Decision { // the socket as it is written, or the other one, which it does not allow
		return policy.Decision{Allow: len(in.Operation.SubstitutedIn) == 0, Substitute: true}
	}
	never := func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: len(in.Operation.SubstitutedIn) > 0}
	}
	both := func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Substitute: true} }
	fails := func(in *policy.Input) policy.Decision { // of what is written nobody can tell
		d := both(in)
		d.Failed = len(in.Operation.SubstitutedIn) == 0
		return d
	}
	late := func(in *policy.Input) policy.Decision { // only of the other one it says that it wants it
		return policy.Decision{Allow: len(in.Operation.SubstitutedIn) > 0, Substitute: len(in.Operation.SubstitutedIn) > 0}
	}
	somewhere := func(in *policy.Input) policy.Decision { // it would want a socket of the gateway's, and the Engine's is denied
		d := late(in)
		d.Substitute = strings.Contains(string(in.Operation.Canonical), "/run/vitrine/docker/docker.sock")
		return d
	}
	for name, tc := range map[string]struct {
		decide         func(*policy.Input) policy.Decision
		sockets        *operation.Sockets
		mode           decide.Mode
		listener, body string
		forwarded      string // "" is denied
		says           string
	}{
		"substituted":                    {substitutes, ours, "", "ci", mounting, "/run/c.sock:/var/run/docker.sock:ro", ""},
		"another listener":               {substitutes, ours, "", "tls", mounting, "/run/a.sock:/var/run/docker.sock:ro", ""},
		"with a hazard besides":          {substitutes, ours, "", "ci", strings.Replace(mounting, `"Binds"`, `"Privileged":true,"Binds"`, 1), "", "no hazards"},
		"the policy does not want it":    {never, ours, "", "ci", mounting, "", ""},
		"admin":                          {admin, ours, "", "ci", mounting, "/var/run/docker.sock:/var/run/docker.sock:ro", ""},
		"a role that takes the engine's": {takes, ours, "", "ci", mounting, "/var/run/docker.sock:/var/run/docker.sock:ro", ""},
		"admin, whatever it wants":       {func(in *policy.Input) policy.Decision { d := both(in); d.Admin = true; return d }, ours, "", "ci", mounting, "/var/run/docker.sock:/var/run/docker.sock:ro", ""},
		"as it is written, no listener":  {both, &operation.Sockets{Engine: ours.Engine}, "", "ci", mounting, "", "it has no listener on a Unix socket"},
		"nobody can tell":                {fails, ours, "", "ci", mounting, "", ""},
		"denied as it is written":        {late, ours, "", "ci", mounting, "/run/c.sock:/var/run/docker.sock:ro", ""},
		"a socket that is not there":     {somewhere, &operation.Sockets{Engine: ours.Engine}, "", "ci", mounting, "", "it has no listener on a Unix socket"},
		"neither way":                    {wants, ours, "", "ci", mounting, "", ""},
		"no listener":                    {substitutes, &operation.Sockets{Engine: ours.Engine}, "", "ci", mounting, "", "it has no listener on a Unix socket"},
		"nobody says which":              {substitutes, nil, "", "ci", mounting, "", "no hazards"},
		"audit mode":                     {substitutes, ours, decide.Audit, "ci", mounting, "/run/c.sock:/var/run/docker.sock:ro", ""},
		"audit mode, denied":             {never, ours, decide.Audit, "ci", mounting, "/var/run/docker.sock:/var/run/docker.sock:ro", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{decide: tc.decide, who: &identity.Identity{Kind: identity.Container, Principals: []string{"container:x"}, Door: "gateway", Listener: tc.listener}}
			o := w.options()
			o.Sockets, o.Mode = tc.sockets, tc.mode
			v := w.ask(t, o, "POST", "/containers/create", tc.body)
			if v.Allow != (tc.forwarded != "") || !strings.Contains(v.Message, tc.says) {
				t.Fatalf("allowed: %t, %s", v.Allow, v.Message)
			}
			if !v.Allow {
				return
			}
			if body := string(v.Carried().Canonical); !strings.Contains(body, `"`+tc.forwarded+`"`) {
				t.Errorf("forwarded %s", body)
			}
			var want []audit.Change
			if socket, _, _ := strings.Cut(tc.forwarded, ":"); socket != "/var/run/docker.sock" {
				want = []audit.Change{{What: "engine_socket", From: "/var/run/docker.sock", To: socket}}
			}
			if !slices.Equal(w.records[0].Changed, want) {
				t.Errorf("the record has %+v, want %+v", w.records[0].Changed, want)
			}
		})
	}
}

// TestSocketThroughThePluginClosed: dockerd has the request already.
func TestSocketThroughThePluginClosed(t *testing.T) {
	w := &world{decide: substitutes, who: &identity.Identity{Kind: identity.TLS, Principals: []string{"tls:ci"}, Door: "plugin"}}
	o := w.options()
	o.Sockets = &operation.Sockets{Gateway: []operation.Socket{{Listener: "agents", Path: "/run/a.sock"}}, Engine: []string{"/run/docker.sock"}}
	v := w.ask(t, o, "POST", "/containers/create", mounting)
	_, unmet := obligation.Meet(obligation.Plugin, v.Operation, v.Decision.Demand())
	if unmet == nil || unmet.Rule != "substitute" || !unmet.Gateway || !strings.Contains(unmet.Reason, "/var/run/docker.sock would be the gateway's own socket") {
		t.Errorf("%+v", unmet)
	}
	if _, unmet := obligation.Meet(obligation.Gateway, v.Operation, v.Decision.Demand()); unmet != nil {
		t.Errorf("the gateway can: %+v", unmet)
	}
}
