package operation

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/hazards.md")

// TestHazardsPage holds docs/hazards.md against the closed list and the table of
// fields.
func TestHazardsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Hazards\n\nWhat a request can carry that hurts the host, as a policy sees it in `operation.hazards`. The list is closed: a role\n" +
		"names those that it takes (`hazards: [env, named-volume]`), and a request with another one is denied.\n\n" +
		"A hazard is told where something differs from what the Engine does by itself, spelled out or not: what inspect shows of a\n" +
		"default container can be sent back without one.\n\n| hazard | meaning |\n|---|---|\n")
	for _, h := range Hazards() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", h.Hazard, h.Meaning)
	}
	b.WriteString("\nA path of the host is what it leads to there: a link to `/run` is `engine-socket`, wherever it lies and whatever it is called\n" +
		"([policy guide](policy-guide.md#paths-of-the-host)).\n")
	b.WriteString("\n## Fields\n\nThe fields that a hazard comes from, as `operation.hazard_fields` and denials name them. `[]` is each element of a list, `*` each\n" +
		"key of an object whose keys are free, `?` a parameter of the query and `{id}` the name in the path. Those *in italics* are the hazard\n" +
		"by their value, the others whenever they have one. All other fields that Docker's API descriptions know are harmless, and what\n" +
		"nobody has looked at is `unknown-input`.\n\n| hazard | fields |\n|---|---|\n")
	fields := fieldsOfHazards(t)
	for _, h := range Hazards() {
		if h.Hazard != HazardUnknownInput {
			if len(fields[h.Hazard]) == 0 {
				t.Errorf("nothing causes %s: give it fields in gen/fields.go", h.Hazard)
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", h.Hazard, strings.Join(fields[h.Hazard], "; "))
		}
	}
	const page = "../../../docs/hazards.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/hazards.md is not what the table says: go test ./internal/engine/operation -run HazardsPage -update")
	}
}

// fieldsOfHazards describes the fields of each hazard, those of operations that
// have the same ones together.
func fieldsOfHazards(t *testing.T) map[Hazard][]string {
	of := map[Hazard]map[string][]string{} // hazard → operation → fields
	add := func(h Hazard, op, field string) {
		if of[h] == nil {
			of[h] = map[string][]string{}
		}
		if !slices.Contains(of[h][op], field) {
			of[h][op] = append(of[h][op], field)
		}
	}
	for _, k := range everyKey() {
		if h := classHazards[k.class]; h != "" {
			add(h, k.e.id, "`"+k.field()+"`")
		}
		for _, h := range functions[k.class].hazards {
			add(h, k.e.id, "*`"+k.field()+"`*")
		}
	}
	for i := range catalogue { // what comes without a key
		e := &catalogue[i]
		for _, target := range []string{"x", "host"} {
			body := ""
			if e.body == bodyRequired {
				body = bodyFor(e)
			}
			op := mustParse(t, request(e.method, strings.NewReplacer("{id}", target, "{name}", target, "{checkpoint}", "x").Replace(e.path), body))
			for _, h := range op.Hazards {
				if fields := op.HazardFields[h]; len(fields) > 0 {
					add(h, e.id, "*`"+fields[0]+"`*")
				} else if of[h][e.id] == nil {
					add(h, e.id, "")
				}
			}
		}
	}
	out := map[Hazard][]string{}
	for h, byOp := range of {
		same := map[string][]string{} // fields → operations
		for op, fields := range byOp {
			slices.Sort(fields)
			text := strings.Join(fields, ", ")
			same[text] = append(same[text], op)
		}
		for fields, ops := range same {
			slices.Sort(ops)
			if text := strings.Join(ops, ", "); fields == "" {
				out[h] = append(out[h], text+" in any case")
			} else {
				out[h] = append(out[h], text+": "+fields)
			}
		}
		slices.Sort(out[h])
	}
	return out
}
