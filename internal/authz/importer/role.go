package importer

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// role is one of data.yaml.
type role struct {
	Operations []string            `yaml:"operations"`
	Hazards    []string            `yaml:"hazards,omitempty,flow"`
	HostPaths  []string            `yaml:"host_paths,omitempty"`
	Redact     map[string][]string `yaml:"redact,flow"`
}

// secrets are blanked, as the built-in role look blanks them.
var secrets = []string{"env", "exec", "health", "build-args", "volume-options", "log-options", "proxies", "swarm-spec", "config-data", "errors"}

// onlyNamed are classes that come along with a wide rule, and are granted where the source speaks of them.
var onlyNamed = []operation.Access{operation.Content, operation.Secret, operation.Interactive, operation.Admin}

// Why an operation that passed there is left out.
const (
	unnamed  = "passed there without being named: add what the tool needs"
	forAdmin = "only an admin may"
	trusting = "it is to trust who builds with BuildKit, docs/views.md: add the hazard buildkit as well"
)

// carried sorts what a grant lets through into what its role grants and what it leaves out, with the reason.
func (g *grant) carried() (granted []operation.Info, left map[string][]operation.Info) {
	left = map[string][]operation.Info{}
	for _, op := range operation.Operations() {
		if op.ID == "Options" || !slices.ContainsFunc(paths(op), func(path string) bool { return g.allows(op.Method, path) }) {
			continue
		}
		named := g.names(op)
		switch {
		case op.Rail != "":
			left[forAdmin] = append(left[forAdmin], op)
		case op.ID == "Session":
			left[trusting] = append(left[trusting], op)
		case !named && mustBeNamed(op):
			left[unnamed] = append(left[unnamed], op)
		default:
			granted = append(granted, op)
		}
	}
	return granted, left
}

// mustBeNamed: it shows more than what a thing is, or a GET of it does something: to search has the daemon ask a registry.
func mustBeNamed(op operation.Info) bool {
	return slices.Contains(onlyNamed, op.Access) || op.ID == "ContainerTop" || op.ID == "ImageAttestations" || !op.Documented ||
		op.Access == operation.Write && op.Method == http.MethodGet
}

// result makes data, cases and report.
func (s *source) result(grants []*grant) (*Result, error) {
	data := struct {
		Roles    map[string]role     `yaml:"roles"`
		Bindings map[string][]string `yaml:"bindings"`
	}{map[string]role{}, map[string][]string{"admin": {"unix:root", "local"}}}
	var cases bytes.Buffer
	for _, g := range grants {
		if _, twice := data.Roles[g.role]; twice {
			return nil, s.problem(0, "there are two of %s", g.role)
		}
		for _, as := range g.as {
			if _, err := principal.Parse(as); err != nil {
				return nil, s.problem(0, "%s is for somebody that no role can be bound to: %v", g.role, err)
			}
		}
		granted, left := g.carried()
		if len(granted) == 0 {
			return nil, s.problem(0, "%s: lets no operation through that a role could grant", g.role)
		}
		if !makes(granted) {
			g.hostPaths = nil
		}
		r := role{HostPaths: g.hostPaths, Redact: map[string][]string{"*": secrets}}
		for _, op := range granted {
			r.Operations = append(r.Operations, op.ID)
		}
		r.Hazards = hazardsOf(granted, len(g.hostPaths) > 0)
		data.Roles[g.role], data.Bindings[g.role] = r, g.as
		s.tell(g, r, granted, left)
		g.cases(&cases, granted, left)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Made by authz-plugin import %s. What it lacks is said below.\n", s.format)
	for _, line := range s.report {
		fmt.Fprintf(&out, "# - %s\n", line)
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(data); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return &Result{Data: out.Bytes(), Cases: cases.Bytes(), Report: s.report}, nil
}

// hazardsOf are those without which an operation would be nothing: a pull contacts a registry.
func hazardsOf(granted []operation.Info, mounts bool) []string {
	found := map[string]bool{}
	for _, op := range granted {
		if op.ID == "ContainerCreate" || op.ID == "ContainerExec" {
			found["env"] = true
		}
		found["host-path"] = found["host-path"] || mounts && op.ID == "ContainerCreate"
		for _, h := range sample(op).hazards() {
			// What lists and inspects show of environments is blanked.
			if h != operation.HazardEnv || op.Access != operation.List && op.Access != operation.Inspect {
				found[string(h)] = true
			}
		}
	}
	var names []string
	for h, is := range found {
		if is {
			names = append(names, h)
		}
	}
	slices.Sort(names)
	return names
}

// tell reports what is otherwise here.
func (s *source) tell(g *grant, r role, granted []operation.Info, left map[string][]operation.Info) {
	s.note(0, "role %s is bound to %s", g.role, strings.Join(g.as, ", "))
	for _, why := range []string{unnamed, trusting, forAdmin} {
		if ops := left[why]; len(ops) > 0 {
			s.note(0, "role %s, left out (%s): %s", g.role, why, strings.Join(ids(ops), ", "))
		}
	}
	if makes(granted) {
		s.note(0, "role %s: what it makes may have no hazard but %s, whatever passed there (privileged, host paths, …); docs/hazards.md has what to add, docs/policy-guide.md how to limit it to what it made (own)", g.role, strings.Join(r.Hazards, ", "))
	}
	if g.secretsShown && slices.ContainsFunc(granted, func(op operation.Info) bool { return op.Access == operation.Inspect && op.Resource != "system" }) {
		s.note(0, "role %s: environments, command lines of health checks and the like were shown there, and are blanked here; keep_env names those that the tool reads", g.role)
	}
}

func makes(granted []operation.Info) bool {
	return slices.ContainsFunc(granted, func(op operation.Info) bool { return op.ID == "ContainerCreate" || op.ID == "ServiceCreate" })
}

func ids(ops []operation.Info) (names []string) {
	for _, op := range ops {
		names = append(names, op.ID)
	}
	return names
}

// cases are lines that hold for the role. A principal with a space cannot stand in one.
func (g *grant) cases(out *bytes.Buffer, granted []operation.Info, left map[string][]operation.Info) {
	if strings.ContainsAny(g.as[0], " \t\n\r") {
		return
	}
	for _, op := range granted {
		fmt.Fprintf(out, "allow %s %s\n", g.as[0], sample(op))
	}
	for _, op := range slices.Concat(left[unnamed], left[forAdmin]) {
		fmt.Fprintf(out, "deny  %s %s\n", g.as[0], sample(op))
	}
	for _, body := range []string{
		`{"Image":"sample","HostConfig":{"Privileged":true}}`,
		`{"Image":"sample","HostConfig":{"Binds":["/etc:/etc"]}}`,
		`{"Image":"sample","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`,
		`{"Image":"sample","HostConfig":{"PidMode":"host"}}`,
	} {
		if !strings.Contains(body, "/etc") || !slices.ContainsFunc(g.hostPaths, func(p string) bool { return p == "/" || p == "/etc" }) {
			fmt.Fprintf(out, "deny  %s POST /containers/create %s\n", g.as[0], body)
		}
	}
}
