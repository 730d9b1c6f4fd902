package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// stmt is one statement as a step. What is not in this list is unknown, and an error.
func (c *compiler) stmt(stmt ir.Stmt) (step, error) {
	switch st := stmt.(type) {
	case *ir.NopStmt:
		return func(*evaluation, []*ast.Term) int { return next }, nil
	case *ir.BlockStmt:
		s, leaves, err := c.blocks(st.Blocks)
		c.leaves = max(leaves-1, 0)
		return s, err
	case *ir.BreakStmt:
		n := int(st.Index) + 1
		c.leaves = n - 1
		return func(*evaluation, []*ast.Term) int { return n }, nil
	case *ir.NotStmt:
		return c.not(st)
	case *ir.ScanStmt:
		return c.scan(st)
	case *ir.WithStmt:
		return c.with(st)
	case *ir.CallStmt:
		return c.call(st)
	case *ir.CallDynamicStmt:
		return c.callDynamic(st)
	case *ir.ReturnLocalStmt:
		from := c.local(st.Source).slot
		return func(e *evaluation, s []*ast.Term) int { e.returns = s[from]; return returned }, nil
	case *ir.AssignVarStmt:
		c.follows(st.Target, st.Source)
		return c.from(st.Source, st.Target, func(_ *evaluation, s []*ast.Term, from operand, to int) int { s[to] = from.of(s); return next })
	case *ir.AssignVarOnceStmt:
		return c.from(st.Source, st.Target, func(e *evaluation, s []*ast.Term, from operand, to int) int {
			v := from.of(s)
			switch {
			case v == nil:
				return e.fail(errOperand)
			case s[to] != nil && !s[to].Equal(v):
				return e.fail(errConflict)
			}
			s[to] = v
			return next
		})
	case *ir.DotStmt:
		return c.dot(st)
	case *ir.LenStmt:
		return c.from(st.Source, st.Target, func(e *evaluation, s []*ast.Term, from operand, to int) int {
			sized, is := valueOf(from.of(s)).(interface{ Len() int })
			if !is {
				return e.fail(errOperand)
			}
			s[to] = ast.InternedTerm(sized.Len())
			return next
		})

	case *ir.AssignIntStmt:
		return c.set(st.Target, ast.InternedTerm(int(st.Value)))
	case *ir.ResetLocalStmt:
		return c.set(st.Target, nil)
	case *ir.MakeNullStmt:
		return c.set(st.Target, ast.InternedNullTerm)
	case *ir.MakeNumberIntStmt:
		return c.set(st.Target, ast.InternedTerm(int(st.Value)))
	case *ir.MakeNumberRefStmt:
		n, err := c.number(st.Index)
		if err != nil {
			return nil, err
		}
		return c.set(st.Target, n)
	case *ir.MakeArrayStmt:
		return c.set(st.Target, ast.InternedEmptyArray)
	case *ir.MakeObjectStmt: // most stay empty: what is put into them is put into one of its own
		return c.set(st.Target, ast.InternedEmptyObject)
	case *ir.MakeSetStmt:
		return c.set(st.Target, ast.InternedEmptySet)

	case *ir.EqualStmt:
		return c.compare(st.A, st.B, true)
	case *ir.NotEqualStmt:
		return c.compare(st.A, st.B, false)
	case *ir.IsArrayStmt:
		return c.holds(st.Source, func(t *ast.Term) bool { _, is := valueOf(t).(*ast.Array); return is })
	case *ir.IsObjectStmt:
		return c.holds(st.Source, func(t *ast.Term) bool { _, is := valueOf(t).(ast.Object); return is })
	case *ir.IsSetStmt:
		return c.holds(st.Source, func(t *ast.Term) bool { _, is := valueOf(t).(ast.Set); return is })
	case *ir.IsDefinedStmt:
		return c.holds(ir.Operand{Value: st.Source}, func(t *ast.Term) bool { return t != nil })
	case *ir.IsUndefinedStmt:
		return c.holds(ir.Operand{Value: st.Source}, func(t *ast.Term) bool { return t == nil })

	case *ir.ArrayAppendStmt:
		return c.from(st.Value, st.Array, func(e *evaluation, s []*ast.Term, from operand, to int) int {
			list, is := valueOf(s[to]).(*ast.Array)
			v := from.of(s)
			if !is || v == nil {
				return e.fail(errOperand)
			}
			s[to] = ast.NewTerm(list.Append(v))
			return next
		})
	case *ir.SetAddStmt:
		return c.from(st.Value, st.Set, func(e *evaluation, s []*ast.Term, from operand, to int) int {
			set, is := valueOf(s[to]).(ast.Set)
			v := from.of(s)
			if !is || v == nil {
				return e.fail(errOperand)
			}
			if set.Len() == 0 {
				s[to] = ast.SetTerm(v)
			} else {
				set.Add(v)
			}
			return next
		})
	case *ir.ObjectInsertStmt:
		return c.insert(st.Object, st.Key, st.Value, false)
	case *ir.ObjectInsertOnceStmt:
		return c.insert(st.Object, st.Key, st.Value, true)
	case *ir.ObjectMergeStmt:
		a, b, to := c.local(st.A).slot, c.local(st.B).slot, c.slot(st.Target)
		return func(e *evaluation, s []*ast.Term) int {
			x, isX := valueOf(s[a]).(ast.Object)
			y, isY := valueOf(s[b]).(ast.Object)
			if !isX || !isY {
				return e.fail(errMerge)
			}
			s[to] = ast.NewTerm(merged(x, y))
			return next
		}, nil
	}
	return nil, fmt.Errorf("unknown statement %T", stmt)
}

func valueOf(t *ast.Term) ast.Value {
	if t == nil {
		return nil
	}
	return t.Value
}

// dot is a member of a value.
func (c *compiler) dot(st *ir.DotStmt) (step, error) {
	if s := c.field(st); s != nil {
		return s, nil
	}
	list, err := c.operands(st.Source, st.Key)
	if err != nil {
		return nil, err
	}
	from, key, to := list[0], list[1], c.slot(st.Target)
	ofData := c.follows(st.Target, st.Source)
	return func(e *evaluation, s []*ast.Term) int {
		source, k := from.of(s), key.of(s)
		switch {
		case k == nil:
			return e.fail(errOperand)
		case ofData && !plainKey(valueOf(source), k.Value):
			return e.fail(errKey)
		case source == nil:
			s[to] = nil
		default:
			s[to] = source.Get(k)
		}
		if s[to] == nil {
			return undefined
		}
		return next
	}, nil
}

// field is the step to a field of the input, or to what is on the way to one: a section, which has no value. It is nil for any other statement.
func (c *compiler) field(st *ir.DotStmt) step {
	from, isLocal := st.Source.Value.(ir.Local)
	name, isText := c.constant(st.Key)
	section, below := c.sections[from]
	if c.fields == nil || !isLocal || !isText || from != ir.Input && !below {
		return nil
	}
	place := []string{name}
	if below {
		place = []string{section, name}
	}
	c.readsInput = true
	i := slices.IndexFunc(c.fields, func(f []string) bool { return slices.Equal(f, place) })
	to := c.slot(st.Target)
	switch {
	case i < 0 && !below:
		c.sections[st.Target] = name
		return func(*evaluation, []*ast.Term) int { return next }
	case i < 0: // there is nothing, ever
		return func(*evaluation, []*ast.Term) int { return undefined }
	}
	return func(e *evaluation, s []*ast.Term) int {
		if s[to] = e.fields[i]; s[to] == nil {
			return undefined
		}
		return next
	}
}

// plainKey says that a key is of the kind that its place in the data has. topdown takes what follows data for the path of a store, in which 1 and "1" are
// one thing, and what is no part of a path an error.
func plainKey(of, key ast.Value) bool {
	switch key.(type) {
	case ast.String:
		_, list := of.(*ast.Array)
		return !list
	case ast.Number:
		_, list := of.(*ast.Array)
		return list
	}
	return false
}

// follows notes whether a local holds what was found in the data by going into it.
func (c *compiler) follows(target ir.Local, source ir.Operand) bool {
	l, is := source.Value.(ir.Local)
	c.ofData[target] = c.ofData[target] || is && (l == ir.Data || c.ofData[l])
	return c.ofData[target]
}

// from is a statement that reads one value for one local.
func (c *compiler) from(source ir.Operand, target ir.Local, do func(e *evaluation, s []*ast.Term, from operand, to int) int) (step, error) {
	from, err := c.operand(source)
	to := c.slot(target)
	return func(e *evaluation, s []*ast.Term) int { return do(e, s, from, to) }, err
}

func (c *compiler) set(target ir.Local, v *ast.Term) (step, error) {
	to := c.slot(target)
	return func(_ *evaluation, s []*ast.Term) int { s[to] = v; return next }, nil
}

// holds is a statement that is undefined unless a condition holds.
func (c *compiler) holds(of ir.Operand, is func(*ast.Term) bool) (step, error) {
	o, err := c.operand(of)
	return func(_ *evaluation, s []*ast.Term) int {
		if is(o.of(s)) {
			return next
		}
		return undefined
	}, err
}

// compare is a statement that is undefined unless two values are equal, or are not.
func (c *compiler) compare(a, b ir.Operand, equal bool) (step, error) {
	list, err := c.operands(a, b)
	if err != nil {
		return nil, err
	}
	x, y := list[0], list[1]
	return func(e *evaluation, s []*ast.Term) int {
		v, w := x.of(s), y.of(s)
		switch {
		case v == nil || w == nil:
			return e.fail(errOperand)
		case v.Equal(w) == equal:
			return next
		}
		return undefined
	}, nil
}

// insert puts a value into an object. What is put together of several rules is changed in place and put in again: that is noted, for mend.
func (c *compiler) insert(object ir.Local, key, value ir.Operand, once bool) (step, error) {
	list, err := c.operands(key, value)
	if err != nil {
		return nil, err
	}
	k, v, into := list[0], list[1], c.slot(object)
	return func(e *evaluation, s []*ast.Term) int {
		obj, is := valueOf(s[into]).(ast.Object)
		key, value := k.of(s), v.of(s)
		if !is || key == nil || value == nil {
			return e.fail(errOperand)
		}
		if obj.Len() == 0 {
			s[into] = ast.ObjectTerm(ast.Item(key, value))
			return next
		}
		switch there := obj.Get(key); {
		case there == nil || !once && there != value:
			obj.Insert(key, value)
		case !once:
			e.stale = append(e.stale, member{obj, key})
		case !there.Equal(value):
			return e.fail(errKeys)
		}
		return next
	}, nil
}

// merged is what rules and data say of one name, together. What both say is the data's.
func merged(data, rules ast.Object) ast.Object {
	out := ast.NewObject()
	data.Foreach(func(k, v *ast.Term) {
		other, both := valueOf(rules.Get(k)).(ast.Object)
		if own, is := v.Value.(ast.Object); is && both {
			v = ast.NewTerm(merged(own, other))
		}
		out.Insert(k, v)
	})
	rules.Foreach(func(k, v *ast.Term) {
		if data.Get(k) == nil {
			out.Insert(k, v)
		}
	})
	return out
}

// not is undefined if its block is not.
func (c *compiler) not(st *ir.NotStmt) (step, error) {
	block, err := c.nested(st.Block)
	return func(e *evaluation, s []*ast.Term) int {
		switch how := run(block, e, s); {
		case how == next:
			return undefined
		case how >= undefined: // out of its block, or further
			return how - 1
		default:
			return how
		}
	}, err
}

// scan evaluates its block for each member of what has any.
func (c *compiler) scan(st *ir.ScanStmt) (step, error) {
	source, key, value := c.local(st.Source).slot, c.slot(st.Key), c.slot(st.Value)
	c.follows(st.Value, ir.Operand{Value: st.Source})
	block, beyond, err := c.block(st.Block)
	if err != nil {
		return nil, err
	}
	if beyond > 0 {
		return nil, errors.New("a jump leads out of a loop")
	}
	c.leaves = 0
	turn := func(e *evaluation, s []*ast.Term, k, v *ast.Term) int {
		if e.cancel.Cancelled() {
			return e.fail(errCancelled)
		}
		s[key], s[value] = k, v
		return min(run(block, e, s), next)
	}
	return func(e *evaluation, s []*ast.Term) (how int) {
		switch all := valueOf(s[source]).(type) {
		case *ast.Array:
			for i := 0; i < all.Len() && how == next; i++ {
				how = turn(e, s, ast.InternedTerm(i), all.Elem(i))
			}
		case ast.Set:
			for _, t := range all.Slice() {
				if how = turn(e, s, t, t); how != next {
					return how
				}
			}
		case ast.Object:
			all.Until(func(k, v *ast.Term) bool {
				how = turn(e, s, k, v)
				return how != next
			})
		}
		return how
	}, nil
}

// with puts a value in the place of a local, or of what is at a path of it, as long as its block is evaluated.
func (c *compiler) with(st *ir.WithStmt) (step, error) {
	value, err := c.operand(st.Value)
	if err != nil {
		return nil, err
	}
	var path []*ast.Term
	for _, i := range st.Path {
		t, err := c.text(i)
		if err != nil {
			return nil, err
		}
		path = append(path, t)
	}
	of := c.local(st.Local).slot
	block, err := c.nested(st.Block)
	return func(e *evaluation, s []*ast.Term) int {
		was := s[of]
		s[of] = upserted(was, path, value.of(s))
		how := run(block, e, s)
		s[of] = was
		if how > undefined {
			how--
		}
		return how
	}, err
}

// upserted is a value with another one at a path. What is no object on the way becomes one.
func upserted(t *ast.Term, path []*ast.Term, v *ast.Term) *ast.Term {
	if len(path) == 0 {
		return v
	}
	object, is := valueOf(t).(ast.Object)
	if !is {
		object = ast.NewObject()
	}
	out := ast.NewObject()
	object.Foreach(out.Insert)
	out.Insert(path[0], upserted(object.Get(path[0]), path[1:], v))
	return ast.NewTerm(out)
}

// call is a call of a function of the rules, or of a builtin.
func (c *compiler) call(st *ir.CallStmt) (step, error) {
	f := c.functions[st.Func]
	if f == nil {
		return c.callBuiltin(st)
	}
	args, err := c.arguments(st.Args, f)
	if err != nil {
		return nil, err
	}
	to := c.slot(st.Result)
	return func(e *evaluation, s []*ast.Term) (how int) {
		if s[to], how = e.call(f, args, s); how == next && s[to] == nil {
			return undefined
		}
		return how
	}, nil
}

// arguments are what a function is called with. That it is handed the input does not mean that it reads it.
func (c *compiler) arguments(list []ir.Operand, f *function) (args []operand, err error) {
	if len(list) != len(f.params) {
		return nil, fmt.Errorf("%d arguments where there should be %d", len(list), len(f.params))
	}
	c.readsInput = c.readsInput || f.readsInput
	if list[inputSlot].Value != ir.Input {
		c.whole = true
		return c.operands(list...)
	}
	args, err = c.operands(list[dataSlot:]...)
	return append([]operand{{slot: inputSlot}}, args...), err
}

func (c *compiler) callBuiltin(st *ir.CallStmt) (step, error) {
	decl, do := c.builtins[st.Func], topdown.GetBuiltin(st.Func)
	if decl == nil || do == nil {
		return nil, fmt.Errorf("unknown function %s", st.Func)
	}
	if decl.Nondeterministic {
		return nil, fmt.Errorf("%s needs more than its arguments", st.Func)
	}
	args, err := c.operands(st.Args...)
	if err != nil {
		return nil, err
	}
	to, void := c.slot(st.Result), decl.Decl.Result() == nil
	return func(e *evaluation, s []*ast.Term) int {
		if e.cancel.Cancelled() {
			return e.fail(errCancelled)
		}
		given := e.arguments(len(args))
		for i, a := range args {
			if given[i] = a.of(s); given[i] == nil {
				return e.fail(errOperand)
			}
		}
		e.outputs, e.output = nil, nil
		if err := do(e.builtin, given, e.give); err != nil {
			return e.fail(err)
		}
		switch {
		case void:
			return next
		case decl.Relation:
			if e.output != nil {
				e.outputs = append(e.outputs, e.output)
			}
			s[to] = ast.ArrayTerm(e.outputs...)
			return next
		case e.output == nil:
			return undefined
		case len(e.outputs) > 0:
			return e.fail(errConflict)
		}
		s[to] = e.output
		return next
	}, nil
}

// callDynamic is a call of the function that some texts together name. If there is none, what follows in the block is left out; if
// it comes to nothing, so are the three blocks around it, in which the planner looks for the same name in the data.
func (c *compiler) callDynamic(st *ir.CallDynamicStmt) (step, error) {
	path, err := c.operands(st.Path...)
	if err != nil {
		return nil, err
	}
	var args []operand
	for _, a := range st.Args {
		args = append(args, c.local(a))
	}
	to := c.slot(st.Result)
	c.whole = true // whoever is called may be handed anything
	const around = 3
	c.leaves = around
	return func(e *evaluation, s []*ast.Term) (how int) {
		at := e.program.dispatch
		for _, p := range path {
			name, is := valueOf(p.of(s)).(ast.String)
			if at = at.below[string(name)]; at == nil || !is {
				return undefined
			}
		}
		if at.function == nil {
			return undefined
		}
		if len(args) != len(at.function.params) {
			return e.fail(errOperand)
		}
		if s[to], how = e.call(at.function, args, s); how == next && s[to] == nil {
			return undefined + around
		}
		return how
	}, nil
}

// node is where a function is found by its path.
type node struct {
	function *function
	below    map[string]*node
}

func (n *node) put(path []string, f *function) {
	for _, name := range path {
		if n.below == nil {
			n.below = map[string]*node{}
		}
		if n.below[name] == nil {
			n.below[name] = &node{}
		}
		n = n.below[name]
	}
	n.function = f
}
