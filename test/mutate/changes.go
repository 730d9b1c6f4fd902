package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// change is one difference in one file, behind a switch of its own.
type change struct {
	id   int // of its switch; from 1
	file string
	line int
	// key names it, wherever in the package it is: package, function, and what becomes what. Where a function has
	// the same twice, the second has a number.
	key string
}

// function is where the change is.
func (c change) function() string {
	name, _, _ := strings.Cut(c.key, ":")
	return name
}

// instrumented is a package with every change to it in its source, each behind its switch.
type instrumented struct {
	dir     string
	changes []change
	files   map[string]string // path → source; one more than the package has, which is the switch
	same    map[string]int    // how many changes have one key so far
}

// theSwitch is compiled into the package. As the package's variables may be set by what is changed, it is a variable
// itself, on which they depend. It notes which switches are come by, if asked: each once, at once, so that it does not matter how
// the process ends.
const theSwitch = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

var mutate__ = func() (m struct { on int; trace *os.File; seen sync.Map }) {
	m.on, _ = strconv.Atoi(os.Getenv("MUTATE_ON"))
	if name := os.Getenv("MUTATE_TRACE"); name != "" {
		m.trace, _ = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	}
	return m
}()

func at__(id int) bool {
	if mutate__.trace != nil {
		if _, seen := mutate__.seen.LoadOrStore(id, true); !seen {
			fmt.Fprintln(mutate__.trace, id)
		}
	}
	return id == mutate__.on
}
`

// instrument makes every change to the package in dir.
func instrument(dir string) (*instrumented, error) {
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	p := &instrumented{dir: dir, files: map[string]string{}, same: map[string]int{}}
	for _, name := range pkg.GoFiles {
		if strings.HasSuffix(name, "_gen.go") {
			continue
		}
		file := filepath.Join(dir, name)
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		c := changer{p: p, file: file, source: source, fset: fset, at: map[ast.Node][]site{}}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				if c.function = f.Name.Name; f.Recv != nil {
					c.function = strings.TrimLeft(c.text(f.Recv.List[0].Type), "*") + "." + c.function
				}
				ast.Inspect(f.Body, c.visit)
			}
		}
		var out strings.Builder
		from := 0
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				begin, end := c.span(f.Body)
				out.Write(source[from:begin])
				out.WriteString(c.render(f.Body))
				from = end
			}
		}
		out.Write(source[from:])
		p.files[file] = out.String()
	}
	p.files[filepath.Join(dir, "mutate__switch.go")] = fmt.Sprintf(theSwitch, pkg.Name)
	return p, nil
}

// site is a change at a node, by what it does to it.
type site struct {
	id  int
	how how
}

type how int

const (
	never    how = iota // a condition that does not hold
	first               // of two halves, only the first
	second              // of two halves, only the second
	other               // the operator that looks alike
	leaveOut            // the statement
	flip                // yes for no
)

type changer struct {
	p              *instrumented
	file, function string
	source         []byte
	fset           *token.FileSet
	at             map[ast.Node][]site
}

func (c *changer) span(n ast.Node) (begin, end int) {
	return c.fset.Position(n.Pos()).Offset, c.fset.Position(n.End()).Offset
}

func (c *changer) text(n ast.Node) string {
	begin, end := c.span(n)
	return string(c.source[begin:end])
}

func (c *changer) add(n ast.Node, h how, after string) {
	id := len(c.p.changes) + 1
	c.at[n] = append(c.at[n], site{id, h})
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	key := fmt.Sprintf("%s.%s: %s => %s", filepath.Base(c.p.dir), c.function, flat(c.text(n)), flat(after))
	if c.p.same[key]++; c.p.same[key] > 1 {
		key += fmt.Sprintf(" (%d)", c.p.same[key])
	}
	c.p.changes = append(c.p.changes, change{id: id, file: c.file, line: c.fset.Position(n.Pos()).Line, key: key})
}

func (c *changer) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
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
	case *ast.BlockStmt:
		c.statements(n.List)
	case *ast.CaseClause:
		c.statements(n.Body)
	case *ast.CommClause:
		c.statements(n.Body)
	case *ast.ReturnStmt:
		c.yes(n.Results...)
	case *ast.AssignStmt:
		c.yes(n.Rhs...)
	case *ast.KeyValueExpr:
		c.yes(n.Value)
	}
	return true
}

// never makes a guard that does not bite.
func (c *changer) never(cond ast.Expr) { c.add(cond, never, "("+c.text(cond)+") && false") }

// neighbours are operators that look alike.
var neighbours = map[token.Token]string{
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=", token.NEQ: "==",
}

func (c *changer) binary(n *ast.BinaryExpr) {
	if n.Op == token.LAND || n.Op == token.LOR {
		c.add(n, first, c.text(n.X))
		c.add(n, second, c.text(n.Y))
	}
	if o, ok := neighbours[n.Op]; ok {
		c.add(n, other, c.text(n.X)+" "+o+" "+c.text(n.Y))
	}
}

// statements leaves out calls, but for those that only write to a log.
func (c *changer) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && !logs(call) && c.text(call.Fun) != "panic" {
				c.add(s, leaveOut, "nothing")
			}
		case *ast.DeferStmt:
			c.add(s, leaveOut, "nothing")
		}
	}
}

var (
	logMethods = []string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs"}
	logNames   = map[string]bool{"log": true, "logger": true}
)

func logs(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains(logMethods, f.Sel.Name) {
		return false
	}
	switch x := f.X.(type) {
	case *ast.Ident:
		return logNames[strings.ToLower(x.Name)]
	case *ast.SelectorExpr:
		return logNames[strings.ToLower(x.Sel.Name)]
	}
	return false
}

var flipped = map[string]string{"true": "false", "false": "true"}

func (c *changer) yes(values ...ast.Expr) {
	for _, v := range values {
		if id, ok := v.(*ast.Ident); ok && flipped[id.Name] != "" {
			c.add(id, flip, flipped[id.Name])
		}
	}
}

// render gives the source of a node with the changes below it in it.
func (c *changer) render(n ast.Node) string {
	var out strings.Builder
	from, end := c.span(n)
	ast.Inspect(n, func(below ast.Node) bool {
		if below == n || below == nil || c.at[below] == nil {
			return true
		}
		begin, after := c.span(below)
		out.Write(c.source[from:begin])
		out.WriteString(c.change(below))
		from = after
		return false
	})
	out.Write(c.source[from:end])
	return out.String()
}

// Switches are compared with a constant, as what a comparison gives has no type yet, and so can be any boolean type.
func on(id int) string  { return fmt.Sprintf("at__(%d) == true", id) }
func off(id int) string { return fmt.Sprintf("at__(%d) == false", id) }

// change gives the source of a node with the changes to it, and those below it. Each operand is evaluated once at most,
// whatever is switched.
func (c *changer) change(n ast.Node) string {
	ids := map[how]int{}
	for _, s := range c.at[n] {
		ids[s.how] = s.id
	}
	out := ""
	switch n := n.(type) {
	case *ast.ExprStmt, *ast.DeferStmt:
		return fmt.Sprintf("if %s { %s }", off(ids[leaveOut]), c.render(n))
	case *ast.Ident:
		out = n.Name
		if id := ids[flip]; id != 0 {
			out = fmt.Sprintf("(at__(%d) == %s)", id, flipped[n.Name])
		}
	case *ast.BinaryExpr:
		x, y := c.operand(n.X), c.operand(n.Y)
		switch {
		case n.Op == token.LAND:
			out = fmt.Sprintf("((%s || %s) && (%s || %s))", on(ids[second]), x, on(ids[first]), y)
		case n.Op == token.LOR:
			out = fmt.Sprintf("((%s && %s) || (%s && %s))", off(ids[second]), x, off(ids[first]), y)
		case ids[other] != 0:
			out = fmt.Sprintf("(%s && %s %s %s || %s && %s %s %s)", off(ids[other]), x, n.Op, y, on(ids[other]), x, neighbours[n.Op], y)
		default:
			out = fmt.Sprintf("%s %s %s", x, n.Op, y)
		}
	default:
		out = c.render(n)
	}
	if id := ids[never]; id != 0 {
		out = fmt.Sprintf("(%s) && %s", out, off(id))
	}
	return out
}

// operand is like render, for a node that may itself have changes.
func (c *changer) operand(n ast.Expr) string {
	if c.at[n] != nil {
		return c.change(n)
	}
	return c.render(n)
}
