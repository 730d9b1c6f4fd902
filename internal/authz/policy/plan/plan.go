// Package plan evaluates a query by OPA's own plan of it, instead of by OPA's interpreter.
//
// OPA has two ways to evaluate Rego. topdown interprets the rules themselves, by unification; it is complete, explains
// itself, and costs 20 to 45 allocations for each rule that it enters. The other one is for WebAssembly: a planner turns
// rules and query into a program of some thirty kinds of statements over numbered locals (package ir of OPA: dot, scan,
// call, not, insert once, …), in which nothing is left to unify. This package takes that program and turns it, once, into Go
// closures over slots that hold OPA's own terms. So what is ours is the meaning of the statements; the parser, the compiler, the
// planner, the values, their order and equality, and every builtin function are OPA's.
//
// Compile refuses what it does not know: a statement, an operand, a call or a jump out of a loop is an error then, and the
// policy is evaluated by topdown. Nothing is skipped, and nothing that was not understood comes to a value. It refuses, too, what OPA's planner
// is known to take for something else than topdown does.
//
// An input is given by its fields, the values at one or two keys from its top, so that nobody has to put objects together that rules only take apart again.
// A program that does anything else with the input, or with an object on the way to a field, is given all of it.
//
// A Program never changes. An evaluation has its own slots and its own memory of rules while it lasts, so any number may
// run at one time; terms are shared, and nobody changes one but the evaluation that is still making it.
//
// It gives what topdown gives, or an error. There are more errors than with topdown: that passes over a rule that cannot change
// the answer (the second of two that both say true; one whose first comparison with the input fails; a key of an object that nobody
// asked for), and so over what fails in it, where a plan looks at all of them. There are fewer only where topdown indexes a
// comprehension, and fails over values that nobody asks for. An error of a builtin ends the evaluation, as with topdown's strict
// errors. The caller asks topdown after an error; whoever cannot, denies.
//
// What it will not do: trace, explain, evaluate in part, read from a store (the data is one value, given once), or give builtins
// the network, the clock or randomness: they get no more than the capabilities that the policy was compiled with.
//
// Where topdown keeps what a function came to for its arguments, an index of a comprehension, or stops at the first rule that holds, a plan computes: rules
// that lean on that over long lists take longer here, and are ended by the deadline like others.
//
// The caller must give rules that were compiled with the capabilities, and a Cancel that ends the evaluation: it is looked
// at in each turn of a loop and in each call, as in topdown; a builtin that does not look is left to itself by whoever
// waits. There is no recursion in Rego, so calls are as deep as the rules are; a panic is the caller's to catch.
//
// The tests hold it to OPA's compliance cases (those for topdown and WebAssembly alike), and the policy package's tests to
// topdown over the whole catalogue, the presets and random requests.
package plan

import (
	"context"
	"errors"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Program is a query over rules and data, ready to be evaluated.
type Program struct {
	query    step
	slots    int
	memos    int
	data     *ast.Term
	dispatch *node
	caps     *ast.Capabilities
	byField  bool
	rooms    sync.Pool // of rooms
}

// Eval gives each answer to the query: what its variables are. The input is given by what stands in each of its fields, nil where there is nothing; all of
// it is asked for only if more than these is read, and may be nil: there is none then.
func (p *Program) Eval(ctx context.Context, fields []*ast.Term, input func() *ast.Term, cancel topdown.Cancel) ([]topdown.QueryResult, error) {
	e := p.evaluation(ctx, cancel)
	s := e.take(p.slots)
	e.fields, s[dataSlot] = fields, p.data
	if !p.byField {
		s[inputSlot] = input()
	}
	if p.query(e, s) == failed {
		return nil, e.err
	}
	p.leave(e.room)
	return e.answers, nil
}

// room is what an evaluation needs whatever it comes to. When that has come to its end the next one has it, emptied; after an error or a panic nobody has it.
type room struct {
	memos []memo
	slots []*ast.Term
}

func (p *Program) enter() *room {
	if r, is := p.rooms.Get().(*room); is {
		return r
	}
	return &room{make([]memo, p.memos), make([]*ast.Term, max(p.slots, chunk))}
}

func (p *Program) leave(r *room) {
	clear(r.memos)
	clear(r.slots)
	p.rooms.Put(r)
}

func (p *Program) evaluation(ctx context.Context, cancel topdown.Cancel) *evaluation {
	r := p.enter()
	e := &evaluation{
		program: p,
		cancel:  cancel,
		room:    r,
		memos:   r.memos,
		free:    r.slots,
		builtin: topdown.BuiltinContext{Context: ctx, Cancel: cancel, Capabilities: p.caps, Cache: builtins.Cache{}},
	}
	e.give = e.given
	return e
}

// evaluation is one evaluation of a Program.
type evaluation struct {
	program *Program
	cancel  topdown.Cancel
	fields  []*ast.Term // of the input
	room    *room
	memos   []memo
	free    []*ast.Term // slots that no call has yet
	unused  []*ast.Term // room for what builtins are given
	stale   []member    // see mended
	returns *ast.Term   // what the function that returned last returned
	answers []topdown.QueryResult
	err     error

	builtin topdown.BuiltinContext
	give    func(*ast.Term) error // given
	outputs []*ast.Term
	output  *ast.Term
}

// memo is what a rule came to, for one input and one data.
type memo struct {
	input, data *ast.Term
	value       *ast.Term // nil: it is undefined
	known       bool
}

// step is one statement. It says how evaluation goes on.
type step func(e *evaluation, s []*ast.Term) int

const (
	next      = 0 // with the statement that follows; a greater number leaves so many blocks
	undefined = 1 // the block is left
	returned  = -1
	failed    = -2
)

var (
	errCancelled = errors.New("the evaluation was cancelled")
	errConflict  = errors.New("a rule or function came to more than one value")
	errKeys      = errors.New("an object came to have more than one value for a key")
	errMerge     = errors.New("rules and data say different things of one name")
	errKey       = errors.New("the data was asked for what may mean several things")
	errOperand   = errors.New("a statement was given what it is not for")
)

func (e *evaluation) fail(err error) int {
	e.err = err
	return failed
}

const chunk = 192

// take gives n slots, empty ones. Who takes some gives them back by setting e.free to what it was, after clearing them.
func (e *evaluation) take(n int) []*ast.Term {
	if len(e.free) < n {
		e.free = make([]*ast.Term, max(n, chunk))
	}
	s := e.free[:n:n]
	e.free = e.free[n:]
	return s
}

// arguments are n places for what a builtin is given. It may keep them, so nobody gets them again.
func (e *evaluation) arguments(n int) []*ast.Term {
	if len(e.unused) < n {
		e.unused = make([]*ast.Term, max(n, chunk/4))
	}
	given := e.unused[:n:n]
	e.unused = e.unused[n:]
	return given
}

// call evaluates a function; nil without an error is undefined.
func (e *evaluation) call(f *function, args []operand, s []*ast.Term) (*ast.Term, int) {
	if f.constant && args[dataSlot].of(s) == e.program.data {
		return f.value, next
	}
	var m *memo
	if f.memo >= 0 {
		input, data := args[inputSlot].of(s), args[dataSlot].of(s)
		m = &e.memos[f.memo]
		if m.known && m.input == input && m.data == data {
			return m.value, next
		}
	}
	if e.cancel.Cancelled() {
		return nil, e.fail(errCancelled)
	}
	before, stale := e.free, len(e.stale)
	c := e.take(f.slots)
	for i, a := range args {
		c[f.params[i]] = a.of(s)
	}
	var value *ast.Term
	switch f.body(e, c) {
	case failed:
		return nil, failed
	case returned:
		value = e.returns
	}
	if m != nil {
		*m = memo{c[f.params[inputSlot]], c[f.params[dataSlot]], value, true}
	}
	clear(c)
	e.free = before
	e.mend(stale)
	return value, next
}

// member is an object that a rule puts together, and a key of it whose value has changed in place.
type member struct {
	object ast.Object
	key    *ast.Term
}

// mend makes good what changing values in place does to the objects that hold them: an object's hash is of the values that it was given. It
// is done once for each object, when the rule has come to its end and before anybody else sees it; inner ones first.
func (e *evaluation) mend(from int) {
	if len(e.stale) == from {
		return
	}
	last := map[ast.Object]int{}
	for i, m := range e.stale[from:] {
		last[m.object] = i
	}
	for i, m := range e.stale[from:] {
		if last[m.object] == i {
			m.object.Insert(m.key, m.object.Get(m.key))
		}
	}
	e.stale = e.stale[:from]
}

// given is what a builtin gives each of its outputs to.
func (e *evaluation) given(t *ast.Term) error {
	if e.output != nil {
		e.outputs = append(e.outputs, e.output)
	}
	e.output = t
	return nil
}
