package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"vitrine/internal/authz/policy/plan"
)

const (
	allowRule = "data.docker.authz.allow"

	maxReasons = 16  // shown; what is over is counted
	maxReason  = 512 // bytes
)

// rules are what the engine reads from package docker.authz.
func rules() []string {
	return []string{"allow", "reasons", "codes", "admin", "redact", "keep_env", "where", "shared", "image_names", "stamp", "ceilings", "substitute", "recreate", "without_redaction", "audit"}
}

// generation is one policy, ready to decide. It never changes.
type generation struct {
	revision  string
	compiler  *ast.Compiler
	asked     ast.Body // the query
	query     ast.Body // the same, compiled for topdown
	queries   ast.QueryCompiler
	plan      *plan.Program // of the query; nil: topdown evaluates
	unplanned error         // why there is no plan
	store     storage.Store
	txn       storage.Transaction // reads only, and nothing writes: it lasts
	reads     projection          // what the rules as they are written can read, by which a decision is remembered
	asks      projection          // what they are given: what the query reads of it
	memory    *memory
	positions bool
	vetted    *vetted     // what it was made of
	moment    moment      // and when
	first     *generation // answers first, if it denies; nil: there is none

	// evaluate is generation.eval, except in tests of what may go wrong in it.
	evaluate func(context.Context, *given, topdown.Cancel) (Decision, error)
}

// newGeneration prepares the query over the compiled modules and their data.
func newGeneration(ctx context.Context, c *ast.Compiler, data map[string]any) (*generation, error) {
	store := inmem.NewFromObjectWithOpts(data,
		inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the policy's data: %w", err)
	}
	reads := project(allRules(c))
	g := &generation{compiler: c, store: store, txn: txn, reads: reads, asks: reads, memory: newMemory()}
	return g, g.prepare(query(c, nil))
}

// beReady makes the generation's rules ready for its data, which must be put to no others.
func (g *generation) beReady(ctx context.Context) error {
	c, nothing, err := makeReady(ctx, g.compiler, g.store, g.txn)
	if err != nil {
		return err
	}
	g.compiler = c
	var asked []*ast.Rule
	for _, name := range rules() {
		asked = append(asked, reached(c, "data.docker.authz."+name)...)
	}
	g.asks = g.reads.of(project(asked))
	return g.prepare(query(c, nothing))
}

func (g *generation) prepare(query ast.Body) (err error) {
	g.evaluate, g.asked = g.eval, query
	g.queries = g.compiler.QueryCompiler()
	if g.query, err = g.queries.Compile(query); err != nil {
		return fmt.Errorf("prepare the query: %w", err)
	}
	return nil
}

// usePlan makes the generation, and the one that answers before it, evaluate by OPA's plan of their queries. What has none is evaluated by topdown.
func (g *generation) usePlan(ctx context.Context) error {
	data, err := g.store.Read(ctx, g.txn, storage.RootPath)
	if err != nil {
		return fmt.Errorf("read the policy's data: %w", err)
	}
	value, err := ast.InterfaceToValue(data)
	if err != nil {
		return fmt.Errorf("take the policy's data: %w", err)
	}
	for ; g != nil; g = g.first {
		g.plan, g.unplanned = plan.Compile(ctx, g.compiler, capabilities(), g.asked, value, g.asks.places())
	}
	return nil
}

// lookFirst makes the generation ask the rule refused of the built-in policy
// before all others. That one reads so little of a request that its answer
// is remembered, however many different ones a caller sends. Another policy's may mean anything.
func (g *generation) lookFirst() error {
	const refused = "data.docker.authz.refused"
	first := &generation{
		revision: g.revision, compiler: g.compiler, store: g.store, txn: g.txn, memory: newMemory(),
		reads: project(reached(g.compiler, refused)),
	}
	first.asks = first.reads
	g.first = first
	return first.prepare(ast.MustParseBody(`allow = false; reasons = {r.reason | some r in ` + refused + `}; codes = {r.code | some r in ` + refused + `}`))
}

// maybe begins the variable of a rule that may be undefined.
const maybe = "maybe_"

// query asks for all the rules that the policy has, in one evaluation, but for those that come to nothing. What each comes to is the variable
// of its name; of one that may be undefined a list, which is empty then.
func query(c *ast.Compiler, nothing []string) ast.Body {
	var asked []string
	for _, name := range rules() {
		ref := "data.docker.authz." + name
		found := c.GetRulesWithPrefix(ast.MustParseRef(ref)) // where["team"] := "sre" is a rule below it
		switch {
		case len(found) == 0 || name != "allow" && slices.Contains(nothing, ref):
		case slices.ContainsFunc(found, alwaysDefined):
			asked = append(asked, name+" = "+ref)
		default:
			asked = append(asked, maybe+name+" = [v | v = "+ref+"]")
		}
	}
	return ast.MustParseBody(strings.Join(asked, "; "))
}

func alwaysDefined(r *ast.Rule) bool {
	return r.Default || r.Head.RuleKind() == ast.MultiValue
}

// decide remembers what evaluating gives.
func (g *generation) decide(ctx context.Context, in *Input) Decision {
	buf := g.memory.buffer()
	defer g.memory.release(buf)
	key, ok := g.reads.appendKey((*buf)[:0], in)
	*buf = key
	if ok {
		if d, found := g.memory.get(key); found {
			return d
		}
	}
	if g.first != nil {
		if d := g.first.decide(ctx, in); len(d.Reasons) > 0 && !d.Failed {
			return d
		}
	}
	d := g.fresh(ctx, in)
	if ok && !d.Failed {
		g.memory.put(key, d)
	}
	return d
}

// fresh evaluates the input, and turns whatever goes wrong into a denial.
func (g *generation) fresh(ctx context.Context, in *Input) Decision {
	if ctx.Err() != nil {
		return failed(g.revision, ended(ctx).Error())
	}
	d, err := g.bounded(ctx, func(cancel topdown.Cancel) (Decision, error) {
		input, err := g.asks.give(in)
		if err != nil {
			return Decision{}, fmt.Errorf("the input cannot be given to the policy: %w", err)
		}
		d, err := g.evaluate(context.WithoutCancel(ctx), input, cancel)
		if err == nil {
			err = d.resolve(in.Operation.ID)
		}
		return d, err
	})
	if err != nil {
		return failed(g.revision, printable(err.Error()))
	}
	d.Revision = g.revision
	return d
}

var (
	errUndefined = errors.New(allowRule + " is undefined")
	errGone      = errors.New("the request ended before it was decided")
	errLate      = errors.New("the policy gave no answer in time")
)

// limited has a deadline, DefaultTimeout if who asks has given none.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// ended says why a decision is not waited for any longer.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errLate
	}
	return errGone
}

// bounded runs evaluate and comes back when ctx ends, whatever that does: OPA looks for
// a cancellation between the steps of a policy, but not within most builtins. A
// panic is an error.
func (g *generation) bounded(ctx context.Context, evaluate func(topdown.Cancel) (Decision, error)) (Decision, error) {
	type outcome struct {
		Decision
		error
	}
	ctx, stop := limited(ctx)
	defer stop()
	cancel := topdown.NewCancel()
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{error: fmt.Errorf("the policy engine panicked: %v", p)}
			}
			done <- o
		}()
		growStackForPlan(false) // before anything is on it
		o.Decision, o.error = evaluate(cancel)
	}()
	select {
	case o := <-done:
		if o.error != nil {
			return Decision{}, o.error
		}
		return o.Decision, nil
	case <-ctx.Done():
		cancel.Cancel()
		return Decision{}, ended(ctx)
	}
}

// eval evaluates the query. It returns no decision along with an error. A plan looks at more than topdown does, and may fail over what
// that does not come to: what topdown says counts then.
func (g *generation) eval(ctx context.Context, input *given, cancel topdown.Cancel) (Decision, error) {
	if g.plan != nil {
		if d, err := g.byPlan(ctx, input, cancel); err == nil {
			return d, nil
		}
	}
	return g.byTopdown(ctx, input, cancel)
}

func (g *generation) byPlan(ctx context.Context, input *given, cancel topdown.Cancel) (Decision, error) {
	answers, err := g.plan.Eval(ctx, input.fields, input.term, cancel)
	if err != nil {
		return Decision{}, fmt.Errorf("the plan of the policy failed: %w", err)
	}
	return theDecision(answers)
}

func (g *generation) byTopdown(ctx context.Context, input *given, cancel topdown.Cancel) (Decision, error) {
	growStack(false)
	q := topdown.NewQuery(g.query).WithQueryCompiler(g.queries).WithCompiler(g.compiler).WithStore(g.store).WithTransaction(g.txn).
		WithInput(input.term()).WithCancel(cancel).WithMetrics(metrics.NoOp()).WithStrictBuiltinErrors(true)
	var says tracer
	if g.positions {
		q = q.WithQueryTracer(&says)
	}
	var answers []topdown.QueryResult
	err := q.Iter(ctx, func(answer topdown.QueryResult) error {
		answers = append(answers, answer)
		return nil
	})
	if err != nil {
		return Decision{}, fmt.Errorf("the policy failed: %w", err)
	}
	d, err := theDecision(answers)
	d.Rules = says.of(d.Reasons)
	return d, err
}

// theDecision is what a query's one answer says. It checks the type of everything that the policy answered.
func theDecision(answers []topdown.QueryResult) (Decision, error) {
	if len(answers) != 1 {
		return Decision{}, fmt.Errorf("%d answers where there should be one", len(answers))
	}
	r := answerReader{answer: answers[0]}
	d := Decision{
		Allow:            r.boolean("allow", true),
		Admin:            r.boolean("admin", false),
		WithoutRedaction: r.boolean("without_redaction", false),
		Substitute:       r.boolean("substitute", false),
		Recreate:         r.several("recreate"),
		Audit:            r.boolean("audit", false),
		Redact:           r.strings("redact"),
		KeepEnv:          r.strings("keep_env"),
		Where:            r.labels("where"),
		Shared:           r.lists("shared"),
		ImageNames:       r.strings("image_names"),
		Stamp:            r.labels("stamp"),
		Ceilings:         r.ceilings("ceilings"),
		Diagnostics:      Diagnostics{Reasons: r.strings("reasons"), Codes: r.strings("codes")},
	}
	if r.err != nil {
		return Decision{}, r.err
	}
	if err := checkCodes(d.Codes); err != nil {
		return Decision{}, err
	}
	d.Reasons = presentable(d.Reasons)
	return d, nil
}

// answerReader takes the rules' values from the answer, and keeps the first error.
type answerReader struct {
	answer topdown.QueryResult
	err    error
}

func (r *answerReader) fail(rule, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("data.docker.authz.%s %s", rule, what)
	}
}

// value is nil if the rule is undefined.
func (r *answerReader) value(rule string) ast.Value {
	if t := r.answer[ast.Var(rule)]; t != nil {
		return t.Value
	}
	if t := r.answer[ast.Var(maybe+rule)]; t != nil {
		if list, ok := t.Value.(*ast.Array); ok && list.Len() == 1 {
			return list.Elem(0).Value
		}
	}
	return nil
}

func (r *answerReader) boolean(rule string, required bool) bool {
	switch v := r.value(rule).(type) {
	case nil:
		if required { // allow, which is read before all others
			r.err = errUndefined
		}
		return false
	case ast.Boolean:
		return bool(v)
	default:
		r.fail(rule, "is "+ast.ValueName(v)+", not a boolean")
		return false
	}
}

// strings are sorted.
func (r *answerReader) strings(rule string) []string {
	v := r.value(rule)
	if v == nil {
		return nil
	}
	all, is := elements(v)
	if !is {
		r.fail(rule, "is "+ast.ValueName(v)+", not a set of strings")
	}
	if len(all) == 0 {
		return nil
	}
	out := make([]string, len(all))
	for i, t := range all {
		s, is := t.Value.(ast.String)
		if !is {
			r.fail(rule, "holds "+ast.ValueName(t.Value)+", not only strings")
		}
		out[i] = string(s)
	}
	slices.Sort(out)
	return out
}

// elements are those of a set or an array.
func elements(v ast.Value) (all []*ast.Term, is bool) {
	switch v := v.(type) {
	case ast.Set:
		return v.Slice(), true
	case *ast.Array:
		for i := range v.Len() {
			all = append(all, v.Elem(i))
		}
		return all, true
	}
	return nil, false
}

// object is nil if the rule is undefined, or no object.
func (r *answerReader) object(rule, of string) ast.Object {
	v := r.value(rule)
	if v == nil {
		return nil
	}
	object, ok := v.(ast.Object)
	if !ok {
		r.fail(rule, "is "+ast.ValueName(v)+", not an object of "+of)
		return nil
	}
	return object
}

func (r *answerReader) labels(rule string) map[string]string {
	return r.labelsOf(rule, r.object(rule, "labels"))
}

// several is a set of objects of labels. One that is empty would be every object, and is an error.
func (r *answerReader) several(rule string) (out []map[string]string) {
	v := r.value(rule)
	if v == nil {
		return nil
	}
	set, ok := v.(ast.Set)
	if !ok {
		r.fail(rule, "is "+ast.ValueName(v)+", not a set of objects of labels")
		return nil
	}
	for _, t := range set.Slice() {
		object, _ := t.Value.(ast.Object)
		labels := r.labelsOf(rule, object)
		if len(labels) == 0 {
			r.fail(rule, "holds what is no object of labels")
		}
		out = append(out, labels)
	}
	return out
}

func (r *answerReader) labelsOf(rule string, object ast.Object) map[string]string {
	if object == nil || object.Len() == 0 {
		return nil
	}
	out := make(map[string]string, object.Len())
	object.Foreach(func(k, v *ast.Term) {
		label, ok := k.Value.(ast.String)
		text, ok2 := v.Value.(ast.String)
		if !ok || !ok2 {
			r.fail(rule, "maps labels to more than strings")
			return
		}
		out[string(label)] = string(text)
	})
	return out
}

// lists is an object of sets or arrays of strings.
func (r *answerReader) lists(rule string) map[string][]string {
	object := r.object(rule, "lists of names")
	if object == nil || object.Len() == 0 {
		return nil
	}
	out := make(map[string][]string, object.Len())
	object.Foreach(func(k, v *ast.Term) {
		kind, ok := k.Value.(ast.String)
		names, ok2 := texts(v.Value)
		if !ok || !ok2 {
			r.fail(rule, "maps kinds to more than lists of names")
			return
		}
		out[string(kind)] = names
	})
	return out
}

// texts are the strings of a set or an array; it is not ok if there is anything else in it.
func texts(v ast.Value) (out []string, ok bool) {
	all, ok := elements(v)
	for _, t := range all {
		s, is := t.Value.(ast.String)
		ok, out = ok && is, append(out, string(s))
	}
	return out, ok
}

// presentable bounds the reasons, which may quote what a caller sent, and makes
// them safe to print.
func presentable(reasons []string) []string {
	for i, s := range reasons {
		reasons[i] = printable(s)
	}
	if over := len(reasons) - maxReasons; over > 0 {
		reasons = append(reasons[:maxReasons:maxReasons], fmt.Sprintf("and %d more reasons", over))
	}
	return reasons
}

// printable is s on one line, without control characters, and not too long.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

// What an evaluation takes of its goroutine's stack, in bytes, by topdown and by a plan: so much of it makes a stack of 256 KiB, or of 16, at once,
// where it would be copied at each doubling. A function takes its room when it is called, and clears it only if it is used.
const (
	stackRoom = 127 << 10
	planRoom  = 12 << 10
)

//go:noinline
func growStack(use bool) {
	if use {
		var room [stackRoom]byte
		touch(&room[0])
	}
}

//go:noinline
func growStackForPlan(use bool) {
	if use {
		var room [planRoom]byte
		touch(&room[0])
	}
}

//go:noinline
func touch(*byte) {}
