package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/command"
	"vitrine/test/long"
)

// huge is more than any of the files may have, in bytes; they are all holes.
const huge = 64 << 20

// fileKind is what a file may be to a command line: FILE in a command is one.
type fileKind struct {
	name     string // it has in its folder, DIR
	good     string
	commands []string
}

const (
	goodData    = "roles:\n  see: {access: [ping, list]}\nbindings:\n  admin: [local]\n  see: [\"container:a\"]\n"
	goodRego    = "package docker.authz\n\nimport rego.v2\n\ndefault allow := false\n\nallow if input.operation.id == \"SystemPing\"\n"
	goodRecord  = `{"vitrine_record":1,"written":"2026-11-27T12:00:00Z"}` + "\n"
	goodGrants  = "grants:\n- {id: g-a, role: see, to: [\"tls:a\"], from: 2026-11-27T12:00:00Z, until: 2027-11-27T12:00:00Z, by: root, reason: x}\n"
	goodCompose = "services:\n  proxy:\n    image: tecnativa/docker-socket-proxy\n    environment: {CONTAINERS: 1}\n"
)

func fileKinds() []fileKind {
	eval := "eval --as container:a --policy DIR GET /_ping"
	return []fileKind{
		{"record", goodRecord, []string{"learn --as container:a --from FILE", "policy diff GOOD GOOD --record FILE", "policy unused GOOD --record FILE"}},
		{"data.yaml", goodData, []string{
			eval, "explain --as container:a --policy DIR GET /_ping", "who-can SystemPing --policy DIR", "can --as container:a --policy DIR SystemPing",
			"policy check DIR", "policy test DIR", "policy show DIR", "policy diff DIR GOOD --record RECORD", "policy diff GOOD DIR --record RECORD", "policy unused DIR --record RECORD",
		}},
		{"data.json", `{"roles": {"see": {"access": ["ping"]}},` + "\n" + ` "bindings": {"admin": ["local"], "see": ["container:a"]}}`, []string{eval}},
		{"authz.rego", goodRego, []string{eval, "policy check DIR", "policy fmt FILE"}},
		{"data.cases", "allow container:a GET /_ping\n", []string{eval, "policy test DIR", "policy check DIR"}},
		{"invariants.yaml", "invariants:\n- only admin may ContainerCreate with hazard privileged\n", []string{eval, "policy check DIR"}},
		{"grants.yaml", goodGrants, []string{
			"grants --grants FILE", "revoke g-a --grants FILE", "grant --role see --to tls:a --for 1m --reason x --grants FILE --policy LENDS",
			"eval --as container:a --policy GOOD --grants FILE GET /_ping",
		}},
		{"tecnativa", goodCompose, []string{"import tecnativa FILE --as container:a"}},
		{"wollomatic", "-allowGET=/v1\\..{1,2}/(version|containers/.*)\n", []string{"import wollomatic FILE --as container:a"}},
		{"sockguard", "rules:\n  - match: {method: GET, path: \"/containers/json\"}\n    action: allow\n", []string{"import sockguard FILE --as container:a"}},
		{"eci", `{"configurationFileVersion": 2, "enhancedContainerIsolation": {"value": true, "dockerSocketMount": {"imageList": {"images": ["docker.io/a/b:*"]}}}}`, []string{"import eci FILE"}},
		{"config.yaml", "mode: enforce\n", []string{"grants --config FILE", "status --config FILE", "decisions --config FILE"}},
		{"bundle.tar.gz", "", []string{"policy check FILE", "eval --as container:a --policy FILE GET /_ping"}},
	}
}

// bad are contents that a file of a kind may have in place of its good one.
func bad(good string) map[string]string {
	out := map[string]string{
		"not what it is":      "{[\x00\xff nothing of the kind\n",
		"deep":                strings.Repeat("[", 200_000),
		"bomb":                "a: &a [x,x,x,x,x,x,x,x,x]\n" + bombLines(),
		"escape":              "\x1b]0;owned\a\x1b[2Jroles: \x1b[31m\n",
		"one very long line":  good + strings.Repeat("x", 300<<10),
		"a number where text": "7\n",
	}
	if len(good) > 20 {
		out["cut"] = good[:len(good)-4]
	}
	return out
}

func bombLines() string {
	var b strings.Builder
	for c := 'b'; c < 'k'; c++ {
		b.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 8) + "*" + string(c-1) + "]\n")
	}
	return b.String()
}

// TestBadFilesAreRefusedClosed: whatever stands in a file that a command reads, the command ends with the exit status of wrong configuration, or
// (policy check, whose answer it is, and a case that is cut and fails) of no; names the file; writes no control characters of it to a terminal;
// and leaves it as it is. A pipe in a file's place is not waited for.
func TestBadFilesAreRefusedClosed(t *testing.T) {
	long.Alone(t)
	for _, kind := range fileKinds() {
		contents := bad(kind.good)
		contents["huge"], contents["a folder"], contents["a pipe"] = kind.good, "", ""
		for i, what := range slices.Sorted(maps.Keys(contents)) {
			text := contents[what]
			t.Run(kind.name+" "+what, func(t *testing.T) {
				t.Parallel()
				for j, line := range kind.commands {
					if len(kind.commands) > 4 && (i+j)%long.Of(3, 1) != 0 { // of many, each content with some, and each with some contents
						continue
					}
					if what == "a pipe" && (kind.name == "config.yaml" || strings.HasPrefix(line, "import")) { // FILE may be <(…)
						continue
					}
					if what == "a folder" && strings.HasPrefix(line, "policy fmt") { // may be one
						continue
					}
					dir, file := laid(t, kind, what, text)
					out, code := said(t, strings.NewReplacer("FILE", file, "DIR", dir+"/dir", "GOOD", dir+"/good", "RECORD", dir+"/good.record", "LENDS", dir+"/lends").Replace(line))
					want := command.Usage
					if strings.HasPrefix(line, "policy check") || kind.name == "data.cases" && what == "cut" && strings.HasPrefix(line, "policy test") { // a case that fails
						want = command.Failed
					}
					checkRefusal(t, line, filepath.Base(file), out, code, want)
					if what == "huge" || what == "a folder" || what == "a pipe" {
						continue
					}
					if after, err := os.ReadFile(file); err != nil || string(after) != text {
						t.Errorf("%s: the file is another one, %v", line, err)
					}
				}
			})
		}
	}
}

// laid lays out a folder in which one file is bad.
func laid(t *testing.T, kind fileKind, what, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "dir", kind.name)
	for name, content := range map[string]string{
		"good/data.yaml": goodData, "good.record": goodRecord,
		"lends/data.yaml": strings.Replace(goodData, "list]", "list], grant: {max: 1h}", 1),
		"dir/data.yaml":   goodData,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	switch kind.name {
	case "data.yaml", "data.json", "authz.rego":
		_ = os.Remove(dir + "/dir/data.yaml")
	}
	var err error
	switch what {
	case "a folder":
		err = os.Mkdir(file, 0o755)
	case "a pipe":
		err = syscall.Mkfifo(file, 0o600)
	default:
		if err = os.WriteFile(file, []byte(text), 0o600); err == nil && what == "huge" {
			err = os.Truncate(file, huge)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// said runs a command and gives all that it wrote.
func said(t *testing.T, line string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), strings.Fields(line), command.Streams{In: strings.NewReader(""), Out: &b, Err: &b})
	return b.String(), code
}

var control = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f]")

func checkRefusal(t *testing.T, line, file, out string, code, want int) {
	t.Helper()
	short := out
	if len(short) > 600 {
		short = short[:600] + "…"
	}
	switch {
	case code != want:
		t.Errorf("%s: exit status %d, want %d: %s", line, code, want, short)
	case !strings.Contains(out, file):
		t.Errorf("%s: the message does not name the file: %s", line, short)
	case control.MatchString(out):
		t.Errorf("%s: control characters: %q", line, short)
	case len(out) > 16<<10:
		t.Errorf("%s: %d bytes of message", line, len(out))
	}
}
