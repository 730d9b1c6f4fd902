package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one file with a single change.
type mutant struct {
	file, function string
	line           int
	before, after  string // the text that changes
	source         []byte
}

// key names a change, whatever line it is on: file, function, and what becomes what.
func (m mutant) key() string {
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return fmt.Sprintf("%s %s: %s => %s", m.file, m.function, flat(m.before), flat(m.after))
}

// mutants makes every change to the package in dir.
func mutants(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no package in %s (%w)", dir, err)
	}
	var all []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_gen.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, source, 0)
		if err != nil {
			return nil, err
		}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				c := changer{file: file, function: f.Name.Name, source: source, fset: fset}
				ast.Inspect(f.Body, c.visit)
				all = append(all, c.mutants...)
			}
		}
	}
	return all, nil
}

type changer struct {
	file, function string
	source         []byte
	fset           *token.FileSet
	mutants        []mutant
}

func (c *changer) text(n ast.Node) string {
	return string(c.source[c.fset.Position(n.Pos()).Offset:c.fset.Position(n.End()).Offset])
}

// replace makes the mutant in which a node reads differently.
func (c *changer) replace(n ast.Node, after string) {
	from, to := c.fset.Position(n.Pos()).Offset, c.fset.Position(n.End()).Offset
	c.mutants = append(c.mutants, mutant{
		file: c.file, function: c.function, line: c.fset.Position(n.Pos()).Line,
		before: c.text(n), after: after, source: bytes.Join([][]byte{c.source[:from], []byte(after), c.source[to:]}, nil),
	})
}

func (c *changer) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		c.never(n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, s := range n.Body.List {
				for _, cond := range s.(*ast.CaseClause).List {
					c.never(cond)
				}
			}
		}
	case *ast.BinaryExpr:
		c.binary(n)
	case *ast.ExprStmt:
		if _, call := n.X.(*ast.CallExpr); call {
			c.replace(n, "if false { "+c.text(n)+" }")
		}
	case *ast.DeferStmt:
		c.replace(n, "if false { "+c.text(n)+" }")
	case *ast.ReturnStmt:
		for _, r := range n.Results {
			if id, ok := r.(*ast.Ident); ok && (id.Name == "true" || id.Name == "false") {
				c.replace(id, map[string]string{"true": "false", "false": "true"}[id.Name])
			}
		}
	}
	return true
}

// never makes a guard that does not bite.
func (c *changer) never(cond ast.Expr) { c.replace(cond, "("+c.text(cond)+") && false") }

// neighbours are operators that look alike.
var neighbours = map[token.Token]string{
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=", token.NEQ: "==",
}

func (c *changer) binary(n *ast.BinaryExpr) {
	if n.Op == token.LAND || n.Op == token.LOR { // each half alone
		c.replace(n, c.text(n.X))
		c.replace(n, c.text(n.Y))
	}
	if other, ok := neighbours[n.Op]; ok {
		c.replace(n, c.text(n.X)+" "+other+" "+c.text(n.Y))
	}
}
