package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

const (
	inputSlot = int(ir.Input)
	dataSlot  = int(ir.Data)
)

// Compile plans a query over compiled rules and the data they are put to. fields are all places of the input at which there can be something, as
// one key, or two, one below the other: if no more of it is read than these, it is given so.
func Compile(ctx context.Context, rules *ast.Compiler, caps *ast.Capabilities, query ast.Body, data ast.Value, fields [][]string) (*Program, error) {
	if err := plannable(rules); err != nil {
		return nil, err
	}
	planned, err := planOf(ctx, rules, query)
	if err != nil {
		return nil, fmt.Errorf("plan the query: %w", err)
	}
	p, err := program(ctx, planned, caps, data, fields)
	if errors.Is(err, errWhole) {
		return program(ctx, planned, caps, data, nil)
	}
	return p, err
}

// errDiffers says that OPA's plan of a rule comes to something else than topdown.
var errDiffers = errors.New("OPA's plan means something else by it")

// plannable refuses rules that OPA's planner takes for something else than topdown. What rules put together is something to topdown though none
// of them holds, an empty set or object, wherever its place has constants for names, and to the planner only where these are texts: of
// p[1] contains x, or p[1].x := y, it makes nothing then. And a comprehension that is all of an expression it leaves out, with what may fail in there.
func plannable(rules *ast.Compiler) (err error) {
	refuse := func(at *ast.Location, what string) { err = fmt.Errorf("%s: %s: %w", at, what, errDiffers) }
	for _, m := range rules.Modules {
		for _, r := range m.Rules {
			at := r.Ref()
			texts := len(at.StringPrefix())
			alone := r.Head.RuleKind() == ast.SingleValue && texts == len(at)-1 // p[1] := x
			if texts < len(at.GroundPrefix()) && !alone {
				refuse(r.Location, at.String()+" has a name that is no text")
			}
		}
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			if t, is := e.Terms.(*ast.Term); is && comprehends(t.Value) {
				refuse(e.Location, "a comprehension of which nothing is asked")
			}
			return false
		})
	}
	return err
}

// comprehends reports whether there is a comprehension in a value other than a reference, whose parts are always looked at.
func comprehends(v ast.Value) (found bool) {
	if _, is := v.(ast.Ref); !is {
		ast.WalkClosures(v, func(any) bool { found = true; return true })
	}
	return found
}

// errWhole says that more is read of the input than its fields.
var errWhole = errors.New("the input is read as a whole")

// program takes the input whole if there are no fields.
func program(ctx context.Context, planned *ir.Policy, caps *ast.Capabilities, data ast.Value, fields [][]string) (_ *Program, err error) {
	c := &compiler{
		fields:    fields,
		program:   &Program{data: ast.NewTerm(data), dispatch: &node{}, caps: caps},
		functions: map[string]*function{}, builtins: map[string]*ast.Builtin{},
	}
	for _, s := range planned.Static.Strings {
		c.strings = append(c.strings, ast.StringTerm(s.Value))
	}
	for _, b := range caps.Builtins {
		c.builtins[b.Name] = b
	}
	for _, f := range planned.Funcs.Funcs { // a function comes after those that it calls
		if err := c.function(ctx, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if len(planned.Plans.Plans) != 1 {
		return nil, fmt.Errorf("%d plans where there should be one", len(planned.Plans.Plans))
	}
	if c.program.query, err = c.body(planned.Plans.Plans[0].Blocks); err != nil {
		return nil, err
	}
	if c.whole && fields != nil {
		return nil, errWhole
	}
	c.program.slots, c.program.byField = c.slots, fields != nil
	return c.program, nil
}

const target = "vitrine"

// planner is OPA's way to hand out a plan: a target of its own. What it is handed it leaves in the context of who asked.
type planner struct{}

type planKey struct{}

func (planner) IsTarget(name string) bool { return name == target }

func (planner) PrepareForEval(ctx context.Context, p *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	*ctx.Value(planKey{}).(**ir.Policy) = p
	return nil, nil
}

var register = sync.OnceFunc(func() { rego.RegisterPlugin(target, planner{}) })

func planOf(ctx context.Context, rules *ast.Compiler, query ast.Body) (p *ir.Policy, err error) {
	register()
	own := *rules // it is told that it is for a plan, and others may be using it
	_, err = rego.New(rego.Compiler(&own), rego.ParsedQuery(query), rego.Target(target)).
		PrepareForEval(context.WithValue(ctx, planKey{}, &p))
	if err == nil && p == nil {
		err = errors.New("there is none")
	}
	return p, err
}

// function is a rule, or a function of the rules.
type function struct {
	params []int
	slots  int
	body   step
	memo   int // its place among the memos; -1: it has arguments

	readsInput bool
	constant   bool // it comes to value, whatever the input
	value      *ast.Term
}

// compiler turns statements into steps, one function after another.
type compiler struct {
	program   *Program
	strings   []*ast.Term
	functions map[string]*function
	builtins  map[string]*ast.Builtin

	fields [][]string
	whole  bool // more is read of the input than these

	slots      int  // of the function at hand
	readsInput bool // the function at hand
	ofData     map[ir.Local]bool
	sections   map[ir.Local]string // of the input, of which there is no value: to the end of their block
	leaves     int                 // how many blocks beyond it the block at hand may leave
}

func (c *compiler) function(ctx context.Context, f *ir.Func) (err error) {
	out := &function{memo: -1}
	for _, p := range f.Params {
		out.params = append(out.params, int(p))
	}
	if len(f.Params) < 2 || f.Params[0] != ir.Input || f.Params[1] != ir.Data {
		return errors.New("a function is not of input and data")
	}
	c.readsInput = false
	if out.body, err = c.body(f.Blocks, f.Params...); err != nil {
		return err
	}
	out.slots, out.readsInput = c.slots, c.readsInput
	if len(f.Params) == 2 {
		out.memo = c.program.memos
		c.program.memos++
		if !out.readsInput {
			c.settle(ctx, out)
		}
	}
	c.functions[f.Name] = out
	c.program.dispatch.put(f.Path, out)
	return nil
}

// settle evaluates a rule that reads no input, once for all. If that fails, it fails whenever it is asked for.
func (c *compiler) settle(ctx context.Context, f *function) {
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	e := c.program.evaluation(ctx, cancel)
	s := []*ast.Term{inputSlot: nil, dataSlot: c.program.data}
	if v, how := e.call(f, []operand{{slot: inputSlot}, {slot: dataSlot}}, s); how == next {
		f.constant, f.value = true, v
	}
}

// body is the blocks of a function or a query. What a function is given has its slot, though nothing in there may read it.
func (c *compiler) body(blocks []*ir.Block, params ...ir.Local) (step, error) {
	c.slots, c.ofData, c.sections = dataSlot+1, map[ir.Local]bool{}, map[ir.Local]string{}
	for _, p := range params {
		c.slot(p)
	}
	s, leaves, err := c.blocks(blocks)
	if leaves > 0 {
		err = errors.New("a jump leads out of a function")
	}
	return s, err
}

// blocks are evaluated in their order, each whatever became of those before it. leaves is how many blocks around it they may leave.
func (c *compiler) blocks(blocks []*ir.Block) (_ step, leaves int, err error) {
	var all [][]step
	for _, b := range blocks {
		steps, beyond, err := c.block(b)
		if err != nil {
			return nil, 0, err
		}
		all, leaves = append(all, steps), max(leaves, beyond)
	}
	return func(e *evaluation, s []*ast.Term) int {
		for _, b := range all {
			if how := run(b, e, s); how > undefined {
				return how - 1
			} else if how < next {
				return how
			}
		}
		return next
	}, leaves, nil
}

func run(steps []step, e *evaluation, s []*ast.Term) int {
	for _, do := range steps {
		if how := do(e, s); how != next {
			return how
		}
	}
	return next
}

// block is its statements. beyond is how many blocks around it they may leave besides.
func (c *compiler) block(b *ir.Block) (steps []step, beyond int, err error) {
	outer := c.sections
	c.sections = maps.Clone(outer)
	defer func() { c.sections = outer }()
	for list := b.Stmts; len(list) > 0; {
		c.leaves = 0
		s, n, err := c.array(list)
		if n == 0 {
			s, n, err = c.answer(list)
		}
		if n == 0 {
			n = 1
			s, err = c.stmt(list[0])
		}
		if err != nil {
			return nil, 0, err
		}
		steps, beyond, list = append(steps, s), max(beyond, c.leaves), list[n:]
	}
	return steps, beyond, nil
}

// array is the n statements that make an array and put its elements into it, if list begins with such, as one step.
func (c *compiler) array(list []ir.Stmt) (_ step, n int, err error) {
	of, is := list[0].(*ir.MakeArrayStmt)
	if !is {
		return nil, 0, nil
	}
	var values []ir.Operand
	for _, stmt := range list[1:] {
		put, is := stmt.(*ir.ArrayAppendStmt)
		if !is || put.Array != of.Target || put.Value.Value == of.Target {
			break
		}
		values = append(values, put.Value)
	}
	if len(values) == 0 {
		return nil, 0, nil
	}
	from, err := c.operands(values...)
	to := c.slot(of.Target)
	return func(e *evaluation, s []*ast.Term) int {
		elements := make([]*ast.Term, len(from))
		for i, o := range from {
			if elements[i] = o.of(s); elements[i] == nil {
				return e.fail(errOperand)
			}
		}
		s[to] = ast.ArrayTerm(elements...)
		return next
	}, 1 + len(values), err
}

// answer is the n statements that put an answer together, if list consists of such, as one step: there is no object then.
func (c *compiler) answer(list []ir.Stmt) (_ step, n int, err error) {
	of, is := list[0].(*ir.MakeObjectStmt)
	last, gives := list[len(list)-1].(*ir.ResultSetAddStmt)
	if !is || !gives || last.Value != of.Target {
		return nil, 0, nil
	}
	names, values := make([]ast.Var, len(list)-2), make([]ir.Operand, len(list)-2)
	for i := range names {
		put, is := list[1+i].(*ir.ObjectInsertStmt)
		if !is || put.Object != of.Target {
			return nil, 0, nil
		}
		name, is := c.constant(put.Key)
		if !is {
			return nil, 0, nil
		}
		names[i], values[i] = ast.Var(name), put.Value
	}
	from, err := c.operands(values...)
	return func(e *evaluation, s []*ast.Term) int {
		answer := make(topdown.QueryResult, len(names))
		for i, o := range from {
			v := o.of(s)
			if v == nil {
				return e.fail(errOperand)
			}
			answer[names[i]] = v
		}
		e.answers = append(e.answers, answer)
		return next
	}, len(list), err
}

// nested is a block within a statement that is none itself.
func (c *compiler) nested(b *ir.Block) ([]step, error) {
	steps, beyond, err := c.block(b)
	c.leaves = max(beyond-1, 0)
	return steps, err
}

// slot is a local that is written, or read for other than the input.
func (c *compiler) slot(l ir.Local) int {
	_, is := c.sections[l]
	c.whole = c.whole || is
	c.slots = max(c.slots, int(l)+1)
	return int(l)
}

// operand is what a statement reads.
type operand struct {
	constant *ast.Term
	slot     int
}

func (o operand) of(s []*ast.Term) *ast.Term {
	if o.constant != nil {
		return o.constant
	}
	return s[o.slot]
}

func (c *compiler) local(l ir.Local) operand {
	if l == ir.Input {
		c.readsInput, c.whole = true, true
	}
	return operand{slot: c.slot(l)}
}

func (c *compiler) operand(o ir.Operand) (operand, error) {
	switch v := o.Value.(type) {
	case ir.Local:
		return c.local(v), nil
	case ir.StringIndex:
		t, err := c.text(int(v))
		return operand{constant: t}, err
	case ir.Bool:
		return operand{constant: ast.InternedTerm(bool(v))}, nil
	}
	return operand{}, fmt.Errorf("unknown operand %T", o.Value)
}

// constant is the text that an operand is, if it is one that there is.
func (c *compiler) constant(o ir.Operand) (string, bool) {
	i, is := o.Value.(ir.StringIndex)
	t, err := c.text(int(i))
	if !is || err != nil {
		return "", false
	}
	return string(t.Value.(ast.String)), true
}

func (c *compiler) operands(list ...ir.Operand) (out []operand, err error) {
	for _, o := range list {
		got, err := c.operand(o)
		if err != nil {
			return nil, err
		}
		out = append(out, got)
	}
	return out, nil
}

func (c *compiler) text(i int) (*ast.Term, error) {
	if i < 0 || i >= len(c.strings) {
		return nil, fmt.Errorf("there is no text %d", i)
	}
	return c.strings[i], nil
}

// number is a text as the number that it is written for.
func (c *compiler) number(i int) (*ast.Term, error) {
	t, err := c.text(i)
	if err != nil {
		return nil, err
	}
	return ast.NumberTerm(json.Number(t.Value.(ast.String))), nil
}
