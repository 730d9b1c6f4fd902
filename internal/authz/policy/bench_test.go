package policy

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// benchInputs are a request without a body and a create of 2.6 KB.
func benchInputs(b *testing.B) map[string]*Input {
	env := `"A=` + strings.Repeat("x", 60) + `",`
	create := ask(b, nil, "POST", "/v1.41/containers/create?name=web", `{"Image":"nginx:1","Labels":{"com.docker.compose.project":"p","team":"sre"},"Env":[`+
		strings.Repeat(env, 34)+`"B=1"],"HostConfig":{"Binds":["/srv/www:/www:ro"],"Memory":1048576,"RestartPolicy":{"Name":"always"}}}`)
	create.Caller = listing().Caller
	return map[string]*Input{"list": listing(), "create": create}
}

func BenchmarkDecideRemembered(b *testing.B) {
	for name, in := range benchInputs(b) {
		b.Run(name, func(b *testing.B) {
			e := loaded(b, Options{})
			e.Decide(b.Context(), in)
			b.ReportAllocs()
			for b.Loop() {
				if d := e.Decide(b.Context(), in); d.Failed {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkDecideNewNames is what a caller costs who never asks the same twice: each create has a name of its own.
func BenchmarkDecideNewNames(b *testing.B) {
	e := loaded(b, Options{Paths: []string{policyDir(b, "data.yaml", bindingsByName)}})
	in := ask(b, []string{"container:runner"}, "POST", "/containers/create?name=x", `{"Image":"i"}`)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in.Operation.Mints[0] = "container:" + strconv.Itoa(i)
		if d := e.Decide(b.Context(), in); d.Failed {
			b.Fatal(d)
		}
	}
}

// BenchmarkAllow is the cheapest that OPA can make: the floor of a fresh decision.
func BenchmarkAllow(b *testing.B) {
	dir := policyDir(b, "authz.rego", "package docker.authz\n\ndefault allow := false\n\nallow := true if input.operation.id\n")
	q, err := rego.New(rego.Query("x := data.docker.authz.allow"), rego.Load([]string{dir}, nil)).PrepareForEval(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	input := rego.EvalParsedInput(ast.MustParseTerm(`{"operation": {"id": "ContainerList"}}`).Value)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Eval(b.Context(), input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecideFresh(b *testing.B) {
	inputs := benchInputs(b)
	inputs["granted create"] = ask(b, []string{"container:ci"}, "POST", "/v1.41/containers/create?name=web", `{"Image":"nginx:1","HostConfig":{"Binds":["/srv/www:/www:ro"]}}`)
	binds := policyDir(b, "data.yaml", `
roles: {ci: {access: [ping, list, write], hazards: [host-path], host_paths: [/srv]}}
bindings: {admin: [local], look: ["label:vitrine.role=look"], ci: ["container:ci"]}`)
	for name, in := range inputs {
		b.Run(name, func(b *testing.B) {
			g := loaded(b, Options{Paths: []string{binds}}).current.Load()
			b.ReportAllocs()
			for b.Loop() {
				if d := g.fresh(b.Context(), in); d.Failed {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkDecideFreshRoles is what many roles cost, each with many operations by name.
func BenchmarkDecideFreshRoles(b *testing.B) {
	ids := `["` + strings.Join(operationIDs()[:100], `", "`) + `"]`
	for name, n := range map[string]int{"one of ten": 1, "ten of a hundred": 10} {
		list := `[ContainerList, ContainerCreate]`
		if n > 1 {
			list = ids
		}
		roles, bindings := "roles:\n", "bindings:\n  admin: [local]\n"
		for i := range n {
			roles += fmt.Sprintf("  r%d: {operations: %s}\n", i, list)
			bindings += fmt.Sprintf("  r%d: [\"container:c%d\"]\n", i, i)
		}
		in := ask(b, []string{"container:c0"}, "GET", "/containers/json", "")
		b.Run(name, func(b *testing.B) {
			g := loaded(b, Options{Paths: []string{policyDir(b, "data.yaml", roles+bindings)}}).current.Load()
			b.ReportAllocs()
			for b.Loop() {
				if d := g.fresh(b.Context(), in); d.Failed || !d.Allow {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkDecideBody is a policy that reads the body, which the built-in one does not.
func BenchmarkDecideBody(b *testing.B) {
	dir := policyDir(b, "authz.rego", module(`default allow := false
allow if { input.operation.id == "ContainerCreate"; not input.request.body.HostConfig.Privileged }`))
	in := benchInputs(b)["create"]
	e := loaded(b, Options{Paths: []string{dir}})
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.current.Load().fresh(b.Context(), in)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Decide(b.Context(), in)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		loaded(b, Options{})
	}
}
