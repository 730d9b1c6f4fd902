package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReasonCodesAreDocumented: docs/reasons.md has a row for each code that a denial can have, and no other.
func TestReasonCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| [^|]{20,} \\| [^|]{5,} \\|$")
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		if documented[m[1]] {
			t.Errorf("%s has two rows", m[1])
		}
		documented[m[1]] = true
	}
	given := reasonCodes(t)
	for _, code := range slices.Sorted(maps.Keys(given)) {
		if !documented[code] {
			t.Errorf("%s gives the code %s, which has no row in docs/reasons.md", given[code], code)
		}
	}
	for code := range documented {
		if given[code] == "" {
			t.Errorf("docs/reasons.md has the code %s, which nothing gives", code)
		}
	}
}

// reasonCodes finds the codes in the sources, and where each is given: the first or second argument of
// what denies, the value of a field Code, the result code of a function, a constant code…, the end of a message, and
// the built-in policy's.
func reasonCodes(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	rego, err := os.ReadFile("../rego/authz.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?:"code": |hazard_code := |else := )"([a-z0-9-]+)"`).FindAllStringSubmatch(string(rego), -1) {
		found[m[1]] = "rego/authz.rego"
	}
	for _, dir := range []string{"authz", "engine/operation"} {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
				strings.Contains(name, "doctor/") || strings.HasPrefix(name, "gen/") {
				return err
			}
			file := filepath.Join(dir, name)
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				for _, code := range codesIn(n) {
					found[code] = file
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 50 {
		t.Fatalf("found only %v", found)
	}
	return found
}

var (
	codeForm    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	messageEnds = regexp.MustCompile(`\[([a-z0-9-]+)\](?:"\})?$`)
)

func codesIn(n ast.Node) (codes []string) {
	add := func(e ast.Expr) {
		if s := literal(e); codeForm.MatchString(s) {
			codes = append(codes, s)
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if slices.Contains([]string{"refuse", "fail", "deny", "Deny", "no"}, name) {
			for _, arg := range n.Args[:min(len(n.Args), 2)] {
				add(arg)
			}
		}
	case *ast.CompositeLit:
		if of, ok := n.Type.(*ast.Ident); ok && of.Name == "syntaxError" {
			add(n.Elts[0])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "code") {
			add(n.Value)
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			name := ""
			switch to := to.(type) {
			case *ast.Ident:
				name = to.Name
			case *ast.SelectorExpr:
				name = to.Sel.Name
			}
			if strings.EqualFold(name, "code") && i < len(n.Rhs) {
				add(n.Rhs[i])
			}
		}
	case *ast.FuncDecl:
		if r := n.Type.Results; r != nil && len(r.List) > 0 && len(r.List[0].Names) > 0 && r.List[0].Names[0].Name == "code" {
			ast.Inspect(n.Body, func(in ast.Node) bool {
				if ret, ok := in.(*ast.ReturnStmt); ok && len(ret.Results) > 0 {
					add(ret.Results[0])
				}
				return true
			})
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if strings.HasPrefix(name.Name, "code") && i < len(n.Values) {
				add(n.Values[i])
			}
		}
	case *ast.BasicLit:
		if m := messageEnds.FindStringSubmatch(strings.TrimSpace(literal(n))); m != nil {
			codes = append(codes, m[1])
		}
	}
	return codes
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
