package policy

import (
	"testing"

	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

func TestCeilingsOfRoles(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	data := `
roles:
  ci: {access: [list], own: true, ceilings: {memory: 2GiB, cpus: 0.5, pids: 512, containers: 20, networks: 5, volumes: 6}}
  small: {access: [list], own: true, ceilings: {memory: 1048576}}
bindings: {admin: [local], ci: ["container:a"], small: ["container:a"]}
`
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.yaml", data)}})
	d := e.Decide(t.Context(), ask(t, []string{"container:a"}, "GET", "/containers/json", ""))
	if want := (operation.Ceilings{Memory: 1 << 20, NanoCPUs: 5e8, Pids: 512, Containers: 20, Networks: 5, Volumes: 6}); !d.Allows() || d.Ceilings != want || d.Demand().Ceilings != want {
		t.Errorf("got %+v, want %+v", d, want)
	}
}

// TestCeilingsThatAreNoneClosed: what is not understood is no missing limit.
func TestCeilingsThatAreNoneClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const allow = "default allow := false\nallow if input.operation.id == \"ContainerList\"\n"
	for rule, says := range map[string]string{
		`ceilings := {"memroy": 1}`:             `has "memroy"; is it memory?`,
		`ceilings := {"memory": "2GiB"}`:        `has "2GiB" for memory, which must be bytes`,
		`ceilings := {"pids": 0}`:               "has 0 for pids",
		`ceilings := {"pids": -1}`:              "has -1 for pids",
		`ceilings := {"cpus": 1000000000000}`:   "for cpus",
		`ceilings := {"memory": 1e300}`:         "for memory",
		`ceilings := {"memory": 1.5}`:           "has 1.5 for memory",
		`ceilings := 3`:                         "not an object of numbers",
		`ceilings := {1: 2}`:                    "has 1 (there are containers, cpus, memory, networks, pids, volumes)",
		`ceilings contains "memory"`:            "not an object of numbers",
		`ceilings := {"memory": {"most": 3}}`:   "for memory",
		`ceilings := {"containers": [1, 2, 3]}`: "for containers",
	} {
		wantContains(t, refused(t, Options{Paths: []string{policyDir(t, "authz.rego", module(allow+rule))}}), says)
	}
	e := loaded(t, Options{Paths: []string{policyDir(t, "authz.rego", module(allow+`ceilings := {"memory": 5, "cpus": 1.5}`))}})
	if d := e.Decide(t.Context(), listing()); !d.Allows() || d.Ceilings != (operation.Ceilings{Memory: 5, NanoCPUs: 15e8}) {
		t.Errorf("got %+v", d)
	}
}

// TestBoundsOfCeilings: the least and the most that a ceiling may be.
func TestBoundsOfCeilings(t *testing.T) {
	t.Parallel()
	whole, part := ceilings()["pids"], ceilings()["cpus"]
	for _, tc := range []struct {
		of    ceiling
		n     float64
		valid bool
	}{
		{whole, 0, false},
		{whole, 1, true},
		{whole, 1.5, false},
		{whole, 1e6 + 1, true},
		{whole, mostCeiling, true},
		{whole, mostCeiling + 2, false},
		{part, 0.0099, false},
		{part, 0.01, true},
		{part, 1.5, true},
		{part, 1e6, true},
		{part, 1e6 + 1, false},
	} {
		if tc.of.valid(tc.n) != tc.valid {
			t.Errorf("%v for %s: want %v", tc.n, tc.of.is, tc.valid)
		}
	}
}
