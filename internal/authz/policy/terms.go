package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/authz/grant"
	"vitrine/internal/spelling"
)

// term is a binding of the data that ends.
type term struct {
	role  string
	index int // in the list of the role's bindings
	grant.Grant
}

// takeEnds makes plain bindings of those that end, {principal: P, until: T} and {all: [P, …],
// until: T}, and gives their ends. What is wrong with them, checkRoles has said.
func takeEnds(data map[string]any, where map[string]position) (terms []term) {
	bindings, _ := data["bindings"].(map[string]any)
	for _, role := range slices.Sorted(maps.Keys(bindings)) {
		list, _ := bindings[role].([]any)
		for i, entry := range list {
			ending, ok := entry.(map[string]any)
			if !ok {
				continue
			}
			list[i] = endless(entry)
			all := append(stringsOf(ending["all"]), stringsOf([]any{ending["principal"]})...)
			text, _ := ending["until"].(string)
			until, _ := parseUntil(text) // what is none has ended
			sum := sha256.Sum256([]byte(role + "\x00" + strings.Join(all, "\x00") + "\x00" + until.UTC().String()))
			at := where[join(join("bindings", role), strconv.Itoa(i))]
			terms = append(terms, term{role, i, grant.Grant{
				ID: "policy-" + hex.EncodeToString(sum[:4]), Role: role, To: all, Until: until.UTC(), By: Problem{File: at.file, Line: at.line}.at(),
			}})
		}
	}
	return terms
}

// endless is an entry of a binding without its end.
func endless(entry any) any {
	ending, ok := entry.(map[string]any)
	if !ok {
		return entry
	}
	if one := ending["principal"]; one != nil {
		return one
	}
	return ending["all"]
}

// parseUntil reads RFC 3339, also without seconds.
func parseUntil(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04Z07:00", s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time with its zone, such as 2026-11-27T12:00Z", s)
	}
	if grant.Beyond(t) {
		return time.Time{}, fmt.Errorf("%q is too far ahead: without an end write the principal, or the list, alone", s)
	}
	return t, nil
}

// moment is what holds of a policy's bindings at some time.
type moment struct {
	held    []grant.Grant // bindings of the policy that end, and what it lends
	refused []grant.Refused
	next    time.Time // when the first of held ends; zero: none is held
}

// over reports whether something that held has ended.
func (m *moment) over(now func() time.Time) bool { return !m.next.IsZero() && !now().Before(m.next) }

// like reports whether the same holds.
func (m *moment) like(other *moment) bool {
	return slices.EqualFunc(m.held, other.held, func(a, b grant.Grant) bool { return a.Same(&b) })
}

// momentAt says what holds of the policy at now, with the grants that there are.
func (v *vetted) momentAt(now time.Time, lent []grant.Grant) (m moment) {
	hold := func(g grant.Grant) {
		m.held = append(m.held, g)
		if m.next.IsZero() || g.Until.Before(m.next) {
			m.next = g.Until
		}
	}
	for _, t := range v.terms {
		if !t.Over(now) {
			hold(t.Grant)
		}
	}
	for _, g := range lent {
		switch why := v.lends(&g); {
		case g.Over(now):
		case why != nil:
			m.refused = append(m.refused, grant.Refused{Grant: g, Why: why.Error()})
		default:
			hold(g)
		}
	}
	return m
}

// lends says why the policy does not lend what is granted, nil if it does. A role says for how long
// it may be lent, and one that does not cannot be: that is the policy's to say, as whoever can
// write the grants should not be able to give himself more. admin is never lent.
func (v *vetted) lends(g *grant.Grant) error {
	if !v.builtin {
		return errors.New("the policy is of rules of its own, which know of no roles that could be lent")
	}
	roles, _ := v.data["roles"].(map[string]any)
	most, err := lendable(roles, g.Role)
	if err != nil {
		return err
	}
	if d := g.Until.Sub(g.From); d > most {
		return fmt.Errorf("role %s is lent for %s at most (grant.max), not for %s", g.Role, most, d)
	}
	return nil
}

func lendable(roles map[string]any, name string) (most time.Duration, err error) {
	role, exists := roles[name].(map[string]any)
	if !exists {
		return 0, fmt.Errorf("there is no role %s%s", name, spelling.Hint(name, slices.Collect(maps.Keys(roles))))
	}
	if name == adminRole {
		return 0, errors.New("role admin is never lent: bind it in the policy, with until")
	}
	if inAudit(roles, name) {
		return 0, fmt.Errorf("role %s is in mode audit, in which its holders are denied nothing: it is not lent meanwhile", name)
	}
	terms, _ := role["grant"].(map[string]any)
	text, _ := terms["max"].(string)
	most, err = time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("role %s is not lent: it has no `grant: {max: 1h}`", name)
	}
	return most, nil
}

// Lends says for how long at most the policy in opts.Paths lends a role, or why it does not.
func Lends(opts Options, role string) (most time.Duration, err error) {
	src, err := readSources(opts.Paths, opts.BuiltinIfAbsent)
	if err != nil {
		return 0, err
	}
	data, err := readData(src)
	if err != nil {
		return 0, err
	}
	v := &vetted{data: data, builtin: src.builtin}
	if !v.builtin {
		return 0, v.lends(nil)
	}
	roles, _ := data["roles"].(map[string]any)
	return lendable(roles, role)
}

// vetted is a policy that was compiled and vetted; what is left to say is which of its
// bindings hold.
type vetted struct {
	compiler  *ast.Compiler
	data      map[string]any // all bindings, without their ends
	terms     []term
	builtin   bool
	extra     bool // an operator's rules stand beside the built-in ones
	revision  string
	positions bool
	once      bool
}

// generation makes what decides while m holds. A panic is an error: what has ended must end.
func (v *vetted) generation(ctx context.Context, m moment) (g *generation, err error) {
	defer func() {
		if p := recover(); p != nil {
			g, err = nil, fmt.Errorf("the policy engine panicked: %v", p)
		}
	}()
	data := v.dataIn(m)
	g, err = newGeneration(ctx, v.compiler, data)
	if err != nil {
		return nil, err
	}
	if v.builtin && !v.extra {
		g.reads.showOnlyBound(data)
	}
	g.vetted, g.moment = v, m
	g.revision, g.positions = v.revision, v.positions
	if v.once { // positions are those of the rules as they are written, and topdown's to tell
		return g, nil
	}
	if v.builtin {
		if err := g.beReady(ctx); err != nil {
			return nil, err
		}
		if err := g.lookFirst(); err != nil {
			return nil, err
		}
	}
	return g, g.usePlan(ctx)
}

// dataIn is the data with the bindings that hold in m; those that are lent come last.
func (v *vetted) dataIn(m moment) map[string]any {
	if len(v.terms)+len(m.held) == 0 {
		return v.data
	}
	data := maps.Clone(v.data)
	was, _ := v.data["bindings"].(map[string]any)
	bindings := map[string]any{}
	for role, list := range was {
		bindings[role] = v.without(role, list, m)
	}
	for _, g := range m.held {
		if g.From.IsZero() {
			continue // of the policy, and in its place
		}
		all := make([]any, len(g.To))
		for i, p := range g.To {
			all[i] = p
		}
		list, _ := bindings[g.Role].([]any)
		bindings[g.Role] = append(slices.Clone(list), any(all))
	}
	data["bindings"] = bindings
	return data
}

// without leaves the bindings out that have ended.
func (v *vetted) without(role string, list any, m moment) any {
	entries, ok := list.([]any)
	if !ok {
		return list
	}
	var still []any
	for i, entry := range entries {
		ended := slices.ContainsFunc(v.terms, func(t term) bool {
			return t.role == role && t.index == i && !slices.ContainsFunc(m.held, func(g grant.Grant) bool { return g.ID == t.ID })
		})
		if !ended {
			still = append(still, entry)
		}
	}
	if still == nil {
		still = []any{}
	}
	return still
}

// Lend tells the engine which grants there are. Those that the policy lends hold until they end.
func (e *Engine) Lend(ctx context.Context, grants []grant.Grant) {
	e.holding.Lock()
	defer e.holding.Unlock()
	e.lent = grants
	e.renew(ctx)
}

// renewed is the generation that decides now, made anew if something has ended; nil if that failed.
func (e *Engine) renewed(ctx context.Context) *generation {
	e.holding.Lock()
	defer e.holding.Unlock()
	e.renew(context.WithoutCancel(ctx))
	return e.current.Load()
}

// renew makes the policy decide by what holds now. If that cannot be done nothing is
// allowed; the caller holds e.holding.
func (e *Engine) renew(ctx context.Context) {
	was := e.current.Load()
	if was == nil {
		return
	}
	m := was.vetted.momentAt(e.now(), e.lent)
	if m.like(&was.moment) {
		e.tell(m)
		return
	}
	gen, err := was.vetted.generation(ctx, m)
	if err != nil {
		e.put(nil)
		e.mu.Lock()
		e.status.Revision = ""
		e.status.LastError, e.status.LastErrorAt = "leave out the bindings that have ended: "+err.Error(), time.Now()
		e.mu.Unlock()
		e.log.Error("nothing is allowed: the bindings that have ended cannot be left out", "error", err)
		e.tell(moment{})
		e.loaded() // what is open is looked at again, and denied
		return
	}
	e.put(gen)
	e.tell(m)
	e.loaded()
}

// tell says what holds; the caller holds e.holding.
func (e *Engine) tell(m moment) {
	if e.opts.Holds != nil {
		e.opts.Holds(m.held, m.refused)
	}
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

// lookAtClock bounds how late an end is noticed that came by setting the host's clock forward.
const lookAtClock = time.Second

// Expire ends bindings when their time is over, until ctx ends. A decision that
// comes first does so, too.
func (e *Engine) Expire(ctx context.Context) error {
	timer := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.moved:
		case <-timer.C:
		}
		gen := e.current.Load()
		if gen != nil && gen.moment.over(e.now) {
			gen = e.renewed(ctx)
		}
		if gen != nil && !gen.moment.next.IsZero() {
			timer.Reset(min(lookAtClock, gen.moment.next.Sub(e.now())))
		}
	}
}

// now is the time by which bindings end.
func (e *Engine) now() time.Time { return e.opts.now() }

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}
