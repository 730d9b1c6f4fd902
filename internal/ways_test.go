package internal_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the lines of docs/architecture.md anew")

// step is a line of a way: a function, its file, and the line at which it begins.
var step = regexp.MustCompile("(?m)^[0-9]+\\. \\[`(?:\\(\\*?([A-Za-z]+)\\)\\.)?([A-Za-z]+)`\\]\\(\\.\\./([^)#]+)#L([0-9]+)\\)")

// function is one of ours, with the names that it calls.
type function struct {
	pkg, receiver, name string
	line                int
	calls               map[string]bool
}

// TestWays follows the ways that docs/architecture.md shows: each function is where it is said to be, and is called by one
// that stands before it, through functions of that one's package. `go test ./internal -run Ways -update` writes the lines,
// which may drift by a screen before that must be done.
func TestWays(t *testing.T) {
	const doc, screen, most = "../docs/architecture.md", 40, 9
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	all := functions(t)
	for _, way := range []string{"The way of a request", "The way of a sample"} {
		_, section, found := strings.Cut(string(text), "\n## "+way+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		steps := step.FindAllStringSubmatch(section, -1)
		if !found || len(steps) < 3 || len(steps) > most {
			t.Fatalf("%s has %d steps", way, len(steps))
		}
		var before []*function
		for _, s := range steps {
			f := all[path.Dir(s[3])+" "+s[1]+" "+s[2]]
			if f == nil {
				t.Errorf("%s: there is no %s in %s", way, s[2], path.Dir(s[3]))
				continue
			}
			if line, _ := strconv.Atoi(s[4]); !*update && (line < f.line-screen || line > f.line+screen) {
				t.Errorf("%s: %s begins at line %d of %s, not %d: go test ./internal -run Ways -update", way, s[2], f.line, s[3], line)
			}
			if len(before) > 0 && !standard[f.name] && !leads(all, before, f) {
				t.Errorf("%s: nothing before it calls %s of %s", way, s[2], f.pkg)
			}
			before = append(before, f)
			text = []byte(strings.Replace(string(text), s[0], strings.Replace(s[0], "#L"+s[4], fmt.Sprint("#L", f.line), 1), 1))
		}
	}
	if *update {
		if err := os.WriteFile(doc, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// standard are what net/http calls.
var standard = map[string]bool{"Accept": true, "ServeHTTP": true}

// leads says that one of the functions calls f, through others of its package.
func leads(all map[string]*function, before []*function, f *function) bool {
	for _, from := range before {
		seen, next := map[*function]bool{from: true}, []*function{from}
		for len(next) > 0 {
			at := next[0]
			next = next[1:]
			if at.calls[f.name] {
				return true
			}
			for _, g := range all {
				if g.pkg == from.pkg && at.calls[g.name] && !seen[g] {
					seen[g] = true
					next = append(next, g)
				}
			}
		}
	}
	return false
}

// functions are all of ours, by package, receiver and name.
func functions(t *testing.T) map[string]*function {
	t.Helper()
	all, root := map[string]*function{}, os.DirFS("..")
	packages(t, func(pkg, file string, _ []string) {
		if strings.HasSuffix(file, "_test.go") || !strings.HasPrefix(pkg, "internal/") && !strings.HasPrefix(pkg, "cmd/") {
			return
		}
		src, err := fs.ReadFile(root, file)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			decl, is := d.(*ast.FuncDecl)
			if !is || decl.Body == nil {
				continue
			}
			f := &function{pkg: pkg, name: decl.Name.Name, line: set.Position(decl.Pos()).Line, calls: map[string]bool{}}
			if decl.Recv != nil {
				of := decl.Recv.List[0].Type
				if star, is := of.(*ast.StarExpr); is {
					of = star.X
				}
				f.receiver = fmt.Sprint(of)
			}
			ast.Inspect(decl.Body, func(n ast.Node) bool { // a function that is handed on is called
				if id, is := n.(*ast.Ident); is {
					f.calls[id.Name] = true
				}
				return true
			})
			all[f.pkg+" "+f.receiver+" "+f.name] = f
		}
	})
	return all
}
