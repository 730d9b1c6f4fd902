package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is the whole import graph: what each package of ours may import of
// ours. A new arrow is a line here, and a reviewer's question. A stage may
// import stages before it, for their types, never one after it.
var allowed = map[string][]string{
	"internal/procfs":     {},
	"internal/peercred":   {"procfs"},
	"internal/hostpath":   {"peercred"},
	"internal/operation":  {},
	"internal/ticket":     {},
	"internal/fair":       {},
	"internal/docker":     {"fair"},
	"internal/attest":     {"procfs", "peercred", "docker"},
	"internal/identity":   {"procfs", "attest", "peercred", "docker", "operation"},
	"internal/object":     {"docker", "operation"},
	"internal/obligation": {"operation", "answer", "redact"},
	"internal/policy":     {"fair", "object", "identity", "operation", "answer", "redact", "obligation", "rego", "spelling"},
	"internal/audit":      {"identity", "operation", "policy"},
	"internal/authz":      {"fair", "attest", "identity", "object", "operation", "obligation", "policy", "audit", "hostpath"},
	"internal/redact":     {},
	"internal/answer":     {"redact"},
	"internal/gateway":    {"authz", "obligation", "identity", "operation", "ticket", "redact", "peercred"},
	"internal/plugin":     {"authz", "obligation", "identity", "operation", "ticket"},
	"internal/admin":      {"audit", "policy", "identity", "peercred", "version"},
	"internal/cgroup":     {},
	"internal/kmsg":       {},
	"internal/collect":    {"procfs", "cgroup", "docker", "kmsg"},
	"internal/tag":        {"docker"},
	"internal/dogstatsd":  {"peercred", "attest", "unixsocket"},
	"internal/aggregate":  {"collect", "dogstatsd", "tag", "cgroup", "docker"},
	"internal/export":     {"aggregate", "collect", "dogstatsd", "tag"},
	"internal/version":    {},
	"internal/command":    {"spelling"},
	"internal/spelling":   {},
	"internal/unixsocket": {},
	"rego":                {},
}

// onlyIn are the libraries that belong to one package, or to a few.
var onlyIn = map[string][]string{
	"github.com/open-policy-agent/opa":  {"internal/policy", "rego"},
	"github.com/docker/go-plugins-help": {"internal/plugin"},
	"github.com/spf13/cobra":            {"internal/command", "cmd/authz-plugin", "cmd/monitor"},
}

// TestImports reads the sources, so that the test cache notices a new import.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	packages(t, func(pkg, file string, imports []string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		seen[pkg] = true
		mayImport, known := allowed[pkg]
		for _, imp := range imports {
			checkOwners(t, pkg, file, imp)
			ours, ok := strings.CutPrefix(imp, "vitrine/")
			if !ok || !known {
				continue
			}
			if !slices.Contains(mayImport, strings.TrimPrefix(ours, "internal/")) {
				t.Errorf("%s imports %s, which the table does not allow", file, imp)
			}
		}
		if !known && (strings.HasPrefix(pkg, "internal/") && strings.Count(pkg, "/") == 1) {
			t.Errorf("%s is not in the table of imports", pkg)
		}
	})
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("%s is in the table and does not exist", pkg)
		}
	}
}

func checkOwners(t *testing.T, pkg, file, imp string) {
	t.Helper()
	for lib, owners := range onlyIn {
		if strings.HasPrefix(imp, lib) && !slices.Contains(owners, pkg) {
			t.Errorf("%s imports %s, which belongs to %v", file, imp, owners)
		}
	}
}

// TestPackageComments: exactly one package comment a package; it is the design.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	packages(t, func(pkg, file string, _ []string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../"+file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := comments[pkg]; !ok {
			comments[pkg] = nil
		}
		if f.Doc != nil {
			comments[pkg] = append(comments[pkg], file)
		}
	})
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments, want 1: %v", pkg, len(files), files)
		}
	}
}

// packages calls visit with every Go file of the module.
func packages(t *testing.T, visit func(pkg, file string, imports []string)) {
	t.Helper()
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imp)
		}
		visit(path.Dir(name), name, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
