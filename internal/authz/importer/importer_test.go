package importer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

var update = flag.Bool("update", false, "write what is made into testdata")

// TestImports: testdata/*.txtar are sources with what is made of them. The first line of the comment is "FORMAT PRINCIPAL". Each policy
// loads, and its cases hold under it.
func TestImports(t *testing.T) {
	long.Alone(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v %v", files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			source := archive.Files[0]
			format, as, _ := strings.Cut(strings.TrimSpace(string(archive.Comment)), " ")
			made, err := Import(format, source.Name, source.Data, as)
			if err != nil {
				t.Fatal(err)
			}
			want := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{source, {Name: "data.yaml", Data: made.Data}, {Name: "cases", Data: made.Cases}}}
			if *update {
				if err := os.WriteFile(path, txtar.Format(want), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if now, was := txtar.Format(want), txtar.Format(archive); !bytes.Equal(now, was) {
				t.Errorf("run with -update, and read the difference: made\n%s", made.Data)
			}
			hold(t, made)
		})
	}
}

// hold loads a policy with its cases beside it, which must hold then.
func hold(t *testing.T, made *Result) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string][]byte{"data.yaml": made.Data, "data.cases": made.Cases} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := policy.New(policy.Options{Paths: []string{dir}}).Load(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, made.Data)
	}
}

// TestEverySampleIsARequest: what cannot be parsed would be without hazards.
func TestEverySampleIsARequest(t *testing.T) {
	for _, op := range operation.Operations() {
		if op.Rail != "" || op.ID == "Options" {
			continue
		}
		r := sample(op)
		got, err := operation.Parse(operation.ExampleRequest(r.method, r.uri, r.body))
		if err != nil || got.ID != op.ID || len(got.Unknown) > 0 {
			t.Errorf("%s: %+v %v", r, got, err)
		}
	}
}

// TestWideRulesGrantNoFilesOrShellsClosed: whatever passes there, a role that was imported has no operation of these unless the source names it,
// none that only an admin may, and no hazard that makes its holder root.
func TestWideRulesGrantNoFilesOrShellsClosed(t *testing.T) {
	long.Alone(t)
	for format, source := range map[string]string{
		"tecnativa":  "POST=1\n" + strings.Join(sections, "=1\n") + "=1\n",
		"wollomatic": "-allowGET=.*\n-allowHEAD=.*\n-allowPOST=.*\n-allowPUT=.*\n-allowDELETE=.*\n",
		"sockguard":  "rules: [{match: {method: '*', path: '/**'}, action: allow}]\n",
		"eci":        `{"enhancedContainerIsolation": {"dockerSocketMount": {"imageList": {"images": ["x:*"]}}}}`,
	} {
		t.Run(format, func(t *testing.T) {
			made, err := Import(format, "x", []byte(source), "container:tool")
			if err != nil {
				t.Fatal(err)
			}
			role, _, _ := strings.Cut(string(made.Data[bytes.Index(made.Data, []byte("roles:")):]), "bindings:")
			refused := []string{
				"ContainerArchive", "ContainerExport", "ContainerAttach", "ContainerAttachWebsocket", "ImageGet", "SwarmUnlockkey", "ContainerTop", "Grpc", "Session", "PluginPull", "SwarmInit", "DebugPprof",
				"privileged", "host-path", "host-namespace", "engine-socket", "devices", "cap", "unknown-input", `"*"` + "\n",
			}
			if format != "tecnativa" { // which speaks of EXEC
				refused = append(refused, "ContainerExec", "ExecStart", "ExecInspect")
			}
			for _, word := range refused {
				if regexp.MustCompile(`[- \[]` + regexp.QuoteMeta(word) + `\b`).MatchString(role) {
					t.Errorf("it has %s:\n%s", word, role)
				}
			}
			if !strings.Contains(role, "ContainerCreate") || !strings.Contains(strings.Join(made.Report, "\n"), "ContainerArchive") {
				t.Errorf("%s\n%q", role, made.Report)
			}
			hold(t, made)
		})
	}
}

func TestWhatCannotBeReadIsAnErrorWithItsLineClosed(t *testing.T) {
	for name, c := range map[string]struct{ format, source, as, want string }{
		"no principal":           {"tecnativa", "POST=0\n", "", "who is to hold"},
		"no principal of a kind": {"tecnativa", "POST=0\n", "traefik", "no kind of principal"},
		"no format":              {"haproxy", "POST=0\n", "local", "tecnativa"},
		"no variable":            {"tecnativa", "POST=0\nCONTAINERS\n", "tls:x", "f:2: "},
		"an empty file":          {"tecnativa", "", "tls:x", "f: is empty"},
		"a compose file without": {"tecnativa", "services:\n  web: {image: nginx}\n", "tls:x", "0 services"},
		"a broken compose file":  {"tecnativa", "services:\n  web: [\n", "tls:x", "line"},
		"an expression":          {"wollomatic", "# x\n-allowGET=/containers/(\n", "tls:x", "f:2: the expression for GET"},
		"no expression":          {"wollomatic", "-loglevel=info\n", "tls:x", "has no -allowMETHOD"},
		"a folder":               {"wollomatic", "-allowPOST=.*\n-allowbindmountfrom=srv\n", "tls:x", "f:2: a folder"},
		"no rules":               {"sockguard", "log: {}\n", "tls:x", "has no rules"},
		"a rule":                 {"sockguard", "rules:\n  - match: {method: GET, path: /x}\n", "tls:x", "f:2: a rule has"},
		"a method":               {"sockguard", "rules:\n  - {match: {method: LOOK, path: /x}, action: allow}\n", "tls:x", `no method "LOOK"`},
		"no list of ECI":         {"eci", "{}", "", "dockerSocketMount"},
		"a type":                 {"eci", `{"enhancedContainerIsolation": {"dockerSocketMount": {"imageList": {"images": ["x"]}, "commandList": {"type": "some"}}}}`, "", "allow or deny"},
		"a command":              {"eci", `{"enhancedContainerIsolation": {"dockerSocketMount": {"imageList": {"images": ["x"]}, "commandList": {"type": "deny", "commands": ["psuh"]}}}}`, "", "no command"},
		"nothing":                {"wollomatic", "-allowGET=/unheard\n", "tls:x", "lets no operation through"},
		"too much":               {"sockguard", strings.Repeat("#", maxSource+1), "tls:x", "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := Import(c.format, "f", []byte(c.source), c.as)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want %q", made, err, c.want)
			}
		})
	}
}

// TestARuleWithAConditionGrantsNothingClosed: a condition that nobody knows may have been what limited it.
func TestARuleWithAConditionGrantsNothingClosed(t *testing.T) {
	const source = `rules:
  - {match: {method: POST, path: /containers/*/stop, label: team}, action: allow}
  - {match: {method: GET, path: /containers/json}, action: allow}
  - {match: {method: "*", path: "/**"}, action: deny}
`
	made, err := Import("sockguard", "f", []byte(source), "tls:x")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(made.Data, []byte("- ContainerStop")) || !bytes.Contains(made.Data, []byte("- ContainerList")) {
		t.Errorf("%s", made.Data)
	}
}

func FuzzImport(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range files {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i := range Formats() {
			f.Add(i, archive.Files[0].Data)
		}
	}
	f.Add(0, []byte("services:\n  a: &a {image: docker-socket-proxy, environment: *a}\n"))
	f.Fuzz(func(t *testing.T, format int, source []byte) {
		made, err := Import(Formats()[uint(format)%uint(len(Formats()))], "f", source, "container:tool")
		if err != nil {
			return
		}
		var data struct {
			Roles    map[string]role
			Bindings map[string][]string
		}
		dec := yaml.NewDecoder(bytes.NewReader(made.Data))
		dec.KnownFields(true)
		if err := dec.Decode(&data); err != nil {
			t.Fatalf("%v\n%s", err, made.Data)
		}
		for name, r := range data.Roles {
			least := []string{"env", "host-path", "named-network", "outbound"}
			if len(r.Operations) == 0 || slices.ContainsFunc(r.Hazards, func(h string) bool { return !slices.Contains(least, h) }) || len(data.Bindings[name]) == 0 {
				t.Errorf("%s", made.Data)
			}
		}
		for _, line := range made.Report {
			if strings.ContainsAny(line, "\n\r") {
				t.Errorf("%s", fmt.Sprintf("%q", line))
			}
		}
	})
}
