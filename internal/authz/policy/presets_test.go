package policy

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/rego"
	"vitrine/test/long"
)

// TestPresets: each loads, is objected to by nobody, and answers its cases. All stand in one
// policy, as one would put them together; with VITRINE_LONG=1 each by itself, too.
func TestPresets(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	var together []string
	var all strings.Builder
	for _, name := range rego.Presets() {
		data, cases, err := rego.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(data), "\n"); !regexp.MustCompile(`^# .{20,120}\.$`).MatchString(first) {
			t.Errorf("%s: first line %q, want what it is in one sentence", name, first)
		}
		if bytes.Count(cases, []byte("allow ")) == 0 || bytes.Count(cases, []byte("deny ")) < 3 {
			t.Errorf("%s: its cases say too little", name)
		}
		path := write(t, t.TempDir(), name+".yaml", string(data))
		together = append(together, path)
		all.Write(cases)
		if long.Of(0, 1) > 0 {
			t.Run(name, func(t *testing.T) { t.Parallel(); presetsAnswer(t, []string{path}, string(cases)) })
		}
	}
	if len(together) < 20 {
		t.Fatalf("presets: %q", together)
	}
	presetsAnswer(t, together, all.String())
}

func presetsAnswer(t *testing.T, paths []string, cases string) {
	t.Helper()
	for _, p := range Check(t.Context(), Options{Paths: paths, Once: true}) {
		t.Error(p)
	}
	askAll(t, loaded(t, Options{Paths: paths}), cases)
}

// TestPresetAsPathGivesNoBindingsClosed: a preset gives its role alone, beside the operator's own data; nobody holds a role because of a name in an example.
func TestPresetAsPathGivesNoBindingsClosed(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	opts := Options{Paths: []string{"preset:dozzle", policyDir(t, "data.yaml", "bindings: {admin: [\"unix:root\"], dozzle: [\"container:logs\"]}\n")}}
	e := loaded(t, opts)
	askAll(t, e, "allow container:logs GET /containers/x/logs?stdout=1\ndeny container:dozzle GET /containers/x/logs?stdout=1\ndeny container:logs POST /containers/x/stop\n")
	for _, p := range Check(t.Context(), opts) {
		t.Error(p)
	}
	alone := loaded(t, Options{Paths: []string{"preset:dozzle"}})
	askAll(t, alone, "deny container:dozzle GET /containers/json\nallow unix:root GET /containers/json\n")
	wantContains(t, refused(t, Options{Paths: []string{"preset:dozle"}}), `no preset "dozle"`, "dozzle")
	refused(t, Options{Paths: []string{"preset:../../rego/data"}})
}

// TestToolsPage holds the table of presets in docs/tools.md against them.
func TestToolsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("| preset | may | of | takes |\n|---|---|---|---|\n")
	for _, name := range rego.Presets() {
		raw, _, err := rego.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := decodeData(file{name: name, raw: raw}, map[string]position{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range data["roles"].(map[string]any) {
			b.WriteString(presetRow(name, r.(map[string]any)))
		}
	}
	const page = "../../../docs/tools.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile("(?s)(<!-- generated: presets -->\n).*?(<!-- end -->)")
	want := section.ReplaceAllString(string(text), "${1}"+strings.ReplaceAll(b.String(), "$", "$$")+"${2}")
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("docs/tools.md is not what the presets say: go test ./internal/authz/policy -run ToolsPage -update")
	}
}

func presetRow(name string, role map[string]any) string {
	may := strings.Split(strings.Replace(strings.Join(stringsOf(role["operations"]), " "), "SystemPing SystemPingHead", "ping", 1), " ")
	if classes := stringsOf(role["access"]); len(classes) > 0 {
		all := strings.Join(classes, ", ") + " of everything"
		if of := stringsOf(role["resources"]); len(of) > 0 {
			all = strings.Join(classes, ", ") + " of " + strings.Join(of, ", ")
		}
		if but := stringsOf(role["except"]); len(but) > 0 {
			all += " (not " + strings.Join(but, ", ") + ")"
		}
		may = append([]string{all}, may...)
	}
	sees := "everything"
	if where, ok := role["where"].(map[string]any); ok {
		for label, value := range where {
			sees = fmt.Sprintf("what has `%s=%s`", label, value)
		}
	}
	if role["own"] != nil {
		sees = "what it made"
	}
	if of, ok := role["recreate"].(map[string]any); ok {
		for label, value := range of["where"].(map[string]any) {
			sees += fmt.Sprintf("; changes, and makes anew, what has `%s=%s`", label, value)
		}
	}
	if role["engine_socket"] != nil {
		may = append(may, "and the gateway's socket for the engine's")
	}
	takes := slices.Concat(stringsOf(role["hazards"]), stringsOf(role["host_paths"]))
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, strings.Join(may, ", "), sees, strings.Join(takes, ", "))
}
