package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/caller/identity"
)

// TestGuide runs the examples of the policy guide and the other pages: files are vetted, tests run,
// and each line of "allow" and "deny" is asked. Whatever a request names is there.
func TestGuide(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var guide []byte
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		guide = append(guide, text...)
	}
	block := regexp.MustCompile("(?s)<!-- (example|ask): (\\S+) ?(\\S*) -->\n```\\w*\n(.*?)```\n")
	base := t.TempDir()
	lines := map[string]string{}
	for _, m := range block.FindAllStringSubmatch(string(guide), -1) {
		if m[1] == "example" {
			write(t, filepath.Join(base, m[2]), m[3], m[4])
		} else {
			lines[m[2]] = m[4]
		}
	}
	entries, err := os.ReadDir(base)
	if err != nil || len(entries) != len(lines) || len(lines) == 0 {
		t.Fatalf("%d examples, %d of them asked: %v", len(entries), len(lines), err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			paths := []string{filepath.Join(base, entry.Name())}
			for _, p := range Check(t.Context(), Options{Paths: paths}) {
				if entry.Name() != "compat" || !strings.Contains(p.Message, "is admin") { // its author knew of no admins
					t.Error(p)
				}
			}
			if found, _ := filepath.Glob(filepath.Join(paths[0], "*_test.rego")); len(found) > 0 {
				var out bytes.Buffer
				if ok, err := RunTests(t.Context(), paths, &out, true); err != nil || !ok {
					t.Errorf("%v\n%s", err, out.String())
				}
				wantContains(t, out.String(), "coverage: 100.0 %")
			}
			askAll(t, loaded(t, Options{Paths: paths}), lines[entry.Name()])
		})
	}
}

var asked = regexp.MustCompile(`^(allow|deny)\s+(\S+)\s+(\S+)\s+(\S+)\s*(.*)$`)

// askAll asks lines of "allow|deny PRINCIPAL,… METHOD URI [BODY]".
func askAll(t *testing.T, e *Engine, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		m := asked.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("line %q", line)
		}
		in := ask(t, strings.Split(m[2], ","), m[3], m[4], m[5])
		if cn, ok := strings.CutPrefix(m[2], "tls:"); ok {
			in.Caller.Kind, in.Caller.Certificate = identity.TLS, &identity.Certificate{CommonName: cn}
		}
		in.Objects = func() (all []object.Object) {
			for _, o := range in.Operation.Objects() {
				known := true
				all = append(all, object.Object{Role: o.Role, Kind: o.Kind, Ref: o.Ref, Known: &known, ID: o.Ref, Name: o.Ref})
			}
			return all
		}
		if d := e.Decide(t.Context(), in); d.Allow != (m[1] == "allow") || d.Failed {
			t.Errorf("%s: %+v", strings.TrimSpace(line), d)
		}
	}
}
