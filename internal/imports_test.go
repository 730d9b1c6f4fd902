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

// floors are the folders of internal/, from the ground up: a package imports from its own floor and from those
// below. authz and monitor are the two programs' stages, and strangers to each other. What stands beside the
// floors (command, otlp, lane, fair, printable, spelling, version) knows nothing of the job, and serves all.
var floors = map[string][]string{
	"kernel":  {},
	"engine":  {"kernel"},
	"caller":  {"kernel", "engine"},
	"authz":   {"kernel", "engine", "caller"},
	"monitor": {"kernel", "engine", "caller"},
}

// allowed is the whole import graph: what each package of ours may import of ours. A new arrow is a line here, and
// a reviewer's question. Within a floor a package may import those that stand above it in docs/architecture.md.
var allowed = map[string][]string{
	"command":   {"printable", "spelling"},
	"fair":      {},
	"lane":      {},
	"otlp":      {"command", "version"},
	"printable": {},
	"spelling":  {},
	"version":   {},

	"kernel/procfs":      {},
	"kernel/peercred":    {"kernel/procfs"},
	"kernel/hostpath":    {"fair", "kernel/peercred"},
	"kernel/cgroupname":  {},
	"kernel/cgroup":      {"kernel/cgroupname", "kernel/procfs"},
	"kernel/kmsg":        {},
	"kernel/unixsocket":  {},
	"kernel/folderwatch": {},
	"kernel/ownfile":     {},

	"engine/imagename": {},
	"engine/principal": {"spelling"},
	"engine/operation": {"kernel/cgroupname", "engine/imagename", "engine/principal"},
	"engine/docker":    {"fair"},

	"caller/attest":   {"kernel/cgroupname", "kernel/procfs", "kernel/peercred", "engine/docker"},
	"caller/identity": {"kernel/procfs", "kernel/peercred", "engine/imagename", "engine/principal", "engine/docker", "caller/attest"},

	"authz/redact":      {"engine/operation"},
	"authz/ticket":      {},
	"authz/answer":      {"authz/redact"},
	"authz/object":      {"engine/docker", "engine/operation"},
	"authz/view":        {"engine/imagename", "engine/operation", "authz/object"},
	"authz/obligation":  {"engine/operation", "authz/answer", "authz/redact", "authz/view"},
	"authz/policy/plan": {},
	"authz/policy":      {"authz/policy/plan", "engine/imagename", "authz/grant", "fair", "spelling", "kernel/folderwatch", "kernel/ownfile", "engine/principal", "engine/operation", "caller/identity", "authz/object", "authz/answer", "authz/redact", "authz/obligation", "authz/view", "rego"},
	"authz/grant":       {"engine/principal", "kernel/folderwatch", "kernel/ownfile"},
	"authz/policy/tool": {"authz/policy"},
	"authz/record":      {"engine/operation", "caller/identity", "authz/object"},
	"authz/audit":       {"otlp", "version", "authz/grant", "engine/principal", "engine/operation", "caller/identity", "authz/policy"},
	"authz/decide":      {"authz/record", "fair", "kernel/hostpath", "engine/principal", "engine/operation", "caller/attest", "caller/identity", "authz/object", "authz/obligation", "authz/policy", "authz/audit", "authz/redact", "authz/view"},
	"authz/explain":     {"engine/principal", "engine/operation", "caller/identity", "authz/obligation", "authz/policy", "authz/audit", "authz/decide"},
	"authz/learn":       {"printable", "engine/operation", "authz/answer", "authz/decide", "authz/policy", "authz/record"},
	"authz/gateway":     {"fair", "lane", "kernel/peercred", "engine/operation", "caller/identity", "authz/decide", "authz/obligation", "authz/ticket", "authz/redact", "authz/view"},
	"authz/plugin":      {"lane", "engine/operation", "caller/identity", "authz/decide", "authz/obligation", "authz/ticket"},
	"authz/importer":    {"engine/imagename", "engine/principal", "engine/operation"},
	"authz/doctor":      {"kernel/procfs", "kernel/peercred", "authz/policy"},
	"authz/admin":       {"fair", "authz/grant", "version", "kernel/peercred", "caller/identity", "authz/audit", "authz/policy"},

	"monitor/oom":       {"kernel/cgroup", "kernel/kmsg"},
	"monitor/collect":   {"printable", "kernel/procfs", "kernel/cgroup", "kernel/kmsg", "engine/docker", "monitor/oom"},
	"monitor/tag":       {"engine/imagename", "engine/docker"},
	"monitor/sender":    {"kernel/cgroupname", "kernel/procfs", "kernel/peercred", "engine/docker", "caller/attest"},
	"monitor/dogstatsd": {"fair", "kernel/peercred", "kernel/unixsocket", "caller/attest", "monitor/tag", "monitor/sender"},
	"monitor/messages":  {"monitor/dogstatsd", "monitor/tag"},
	"monitor/series":    {"kernel/cgroup", "engine/docker", "monitor/collect", "monitor/dogstatsd", "monitor/messages", "monitor/tag"},
	"monitor/status":    {"monitor/collect", "monitor/dogstatsd", "monitor/messages", "monitor/series", "monitor/tag"},
	"monitor/asks":      {"engine/principal"},
	"monitor/page":      {"fair", "monitor/asks", "monitor/messages", "monitor/status", "monitor/tag"},
	"monitor/top":       {"command", "printable", "monitor/asks", "monitor/export", "monitor/status"},
	"monitor/export":    {"otlp", "printable", "monitor/collect", "monitor/dogstatsd", "monitor/messages", "monitor/oom", "monitor/series", "monitor/tag"},

	"rego":             {},
	"cmd/authz-plugin": {"otlp", "authz/learn", "authz/record", "command", "printable", "rego", "spelling", "version", "kernel/hostpath", "kernel/peercred", "kernel/procfs", "kernel/unixsocket", "engine/docker", "engine/principal", "engine/operation", "caller/attest", "caller/identity", "authz/admin", "authz/audit", "authz/decide", "authz/doctor", "authz/explain", "authz/gateway", "authz/grant", "authz/importer", "authz/object", "authz/obligation", "authz/plugin", "authz/policy", "authz/policy/tool", "authz/ticket"},
	"cmd/monitor":      {"otlp", "command", "version", "kernel/cgroup", "engine/docker", "kernel/unixsocket", "caller/attest", "monitor/asks", "monitor/collect", "monitor/dogstatsd", "monitor/export", "monitor/messages", "monitor/page", "monitor/sender", "monitor/series", "monitor/status", "monitor/tag", "monitor/top"},
}

// onlyIn are the libraries that belong to one package, or to a few.
var onlyIn = map[string][]string{
	"github.com/open-policy-agent/opa":  {"internal/authz/policy", "internal/authz/policy/plan", "internal/authz/policy/tool", "rego"},
	"github.com/docker/go-plugins-help": {"internal/authz/plugin"},
	"go.opentelemetry.io/proto/otlp/":   {"internal/otlp", "internal/authz/audit", "internal/monitor/export", "test/otlplogs"},
	"charm.land/":                       {"internal/monitor/top"},
	"github.com/xo/terminfo":            {"internal/command"},
	"github.com/spf13/cobra":            {"internal/command", "cmd/authz-plugin", "cmd/monitor"},
}

// TestImports reads the sources, so that the test cache notices a new import.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	packages(t, func(pkg, file string, imports []string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		name := strings.TrimPrefix(pkg, "internal/")
		seen[name] = true
		mayImport, known := allowed[name]
		for _, imp := range imports {
			checkOwners(t, pkg, file, imp)
			ours, ok := strings.CutPrefix(imp, "vitrine/")
			if !ok || !known {
				continue
			}
			ours = strings.TrimPrefix(ours, "internal/")
			if !slices.Contains(mayImport, ours) {
				t.Errorf("%s imports %s, which its line of allowed lacks: docs/architecture.md says what must not go in it", file, imp)
			}
		}
		if !known && !strings.HasSuffix(name, "/gen") && (name != pkg || strings.HasPrefix(pkg, "cmd/")) {
			t.Errorf("%s has no line of allowed in internal/imports_test.go", pkg)
		}
	})
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("%s is in the table and does not exist", pkg)
		}
	}
}

// TestFloors: no line of the table goes up, nor from authz to monitor or back.
func TestFloors(t *testing.T) {
	for pkg, imports := range allowed {
		floor := floorOf(pkg)
		below, ok := floors[floor]
		for _, imp := range imports {
			if of := floorOf(imp); ok && of != "." && of != floor && !slices.Contains(below, of) {
				t.Errorf("%s may import %s, which is not below it", pkg, imp)
			}
			switch {
			case pkg == "cmd/monitor" && strings.HasPrefix(imp, "authz/"):
				t.Errorf("%s may import %s: the monitor decides nothing", pkg, imp)
			case pkg == "cmd/authz-plugin" && strings.HasPrefix(imp, "monitor/"):
				t.Errorf("%s may import %s: the plugin collects nothing", pkg, imp)
			}
		}
	}
}

// TestPackagesHaveRows: docs/architecture.md has a row for each package, and within its floor's table a package stands below
// those that it may import.
func TestPackagesHaveRows(t *testing.T) {
	const doc = "docs/architecture.md"
	text, err := os.ReadFile("../" + doc)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows, floor := map[string]int{}, ""
	for i, line := range strings.Split(section, "\n") {
		if title, is := strings.CutPrefix(line, "**"); is {
			floor, _, _ = strings.Cut(title, "**")
			floor = strings.Trim(floor, "`")
			if !strings.HasSuffix(floor, "/") {
				floor = ""
			}
		}
		if name, is := strings.CutPrefix(line, "| `"); is {
			name, _, _ = strings.Cut(name, "`")
			rows[floor+name] = i
			if _, known := allowed[floor+name]; !known {
				t.Errorf("%s has a row for %s, which does not exist", doc, floor+name)
			}
		}
	}
	for pkg, imports := range allowed {
		row, has := rows[pkg]
		if !has {
			t.Errorf("%s has no row in %s (Packages)", pkg, doc)
			continue
		}
		for _, imp := range imports {
			if floors[floorOf(pkg)] != nil && floorOf(imp) == floorOf(pkg) && rows[imp] > row {
				t.Errorf("%s may import %s, whose row in %s is below its own", pkg, imp, doc)
			}
		}
	}
}

// floorOf is the first folder of a package's path, "." if there is none.
func floorOf(pkg string) string {
	floor, _, below := strings.Cut(pkg, "/")
	if !below {
		return "."
	}
	return floor
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
