// Package policy answers one question in Rego: may this caller do this
// operation? Input in, Decision out.
//
// An Engine loads a policy (the built-in one, a directory, a file or a bundle),
// vets it, and swaps it in whole; a policy that fails the vetting changes
// nothing, and the reason is kept in Status and logged. Nor does one that looks like an
// accident: what is empty, gone, cut off or still being written must not let in what the
// policy in force keeps out. The last good policy outlives the process in
// Options.StateDir. Without one the engine denies everything. It evaluates package docker.authz and reads
// from it what makes a Decision: allow, admin, reasons, codes, and the obligations (see rules).
//
// It is evaluated by OPA's own plan of it (package plan below), and by topdown where that fails or there is none, or where
// it is asked which rules said what.
//
// Unknown means no. Only `allow == true` allows. Undefined, a value of another
// type, an error in a builtin, a panic and a deadline deny with Failed set, and a
// Decision never carries Allow along with Failed.
//
// A policy is a pure function of its input: builtins that reach the network, the
// clock, randomness or the process are not in our capabilities, so a policy that
// calls one does not load. That is why a decision may be remembered: its key is
// every input value that the policy can read, byte for byte, and the memory
// lives and dies with its policy.
//
// It asks nobody and resolves nothing: the caller of Decide has identified the
// peer, parsed the request and resolved the containers that it enters, and must
// not change an Input, or what it points to, after handing it in. It must also
// obey the whole Decision: an obligation (redact, where, stamp, ceilings) that it cannot
// meet is a denial.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/internal/authz/grant"
	"vitrine/internal/fair"
)

// DefaultTimeout is how long one decision may take if who asks gives no deadline.
const DefaultTimeout = 2 * time.Second

// Options configure an Engine. The zero value is the built-in policy.
type Options struct {
	// Paths are directories, .rego files, data files and bundles (.tar.gz) that
	// together make the policy; none means the built-in one. See the policy
	// guide for how several are put together.
	Paths []string
	// BuiltinIfAbsent lets the built-in policy stand in while none of Paths
	// exists. It never replaces a policy that was read from Paths: when that
	// disappears, the last good one stays.
	BuiltinIfAbsent bool
	// StateDir is the folder in which the last good policy outlives the process, ""
	// for none. It must be there and be ours, and nobody else may write to it.
	StateDir string
	// AllowByDefault accepts a policy that allows an empty input.
	AllowByDefault bool
	// Positions makes decisions say where their reasons come from. They take several times as long then.
	Positions bool
	// Once says that few questions will be asked: the policy is loaded in a third of the time, and they take several times as long.
	Once bool
	// NoGateway: there is none, so that what only a gateway can do is a warning.
	NoGateway bool
	// Survey says, for Check, what is unwise about letting others mount what lies
	// at or below a path of the host. nil: nobody can look at the host.
	Survey func(path string) []string
	// Never says, for Check, why nobody on this host has a principal, "" if somebody
	// may. nil asks nobody.
	Never func(principal string) string
	// NoSocket: the gateway has no socket to put in place of the Engine's, for Check.
	NoSocket bool
	// Amend changes the data of the built-in rules after it was read, for who asks what a change of it would allow. It is
	// not seen in the revision: an Engine with it is for no door.
	Amend func(data map[string]any)
	// OnLoad is called when another policy, or other bindings, have begun to decide. It must not block. It may be nil.
	OnLoad func()
	// Now is the time by which bindings end. It must not go back. nil: the host's clock.
	Now func() time.Time
	// Lent are the grants that there are from the first load on; see [Engine.Lend].
	Lent []grant.Grant
	// Holds is told which bindings with an end hold, and which grants the policy does not lend, at each
	// look. It must not ask the engine. It may be nil.
	Holds func(held []grant.Grant, refused []grant.Refused)
	// Logger may be nil.
	Logger *slog.Logger
}

// Status is what an Engine says of itself.
type Status struct {
	Revision    string    // of the policy that decides now; "" if there is none
	Source      string    // where it came from
	Kept        bool      // it was kept from before the process started, as what the paths hold was refused
	LoadedAt    time.Time // when it was swapped in
	LastError   string    // why the latest attempt was refused; "" if it was not
	LastErrorAt time.Time
}

// Counts are how much a policy of the built-in rules binds; zero of another one.
type Counts struct {
	Roles, Bindings int
	Audit           []string // roles whose holders are denied nothing, but recorded
}

// Counts says how many roles there are, and entries of bindings that hold.
func (e *Engine) Counts() (n Counts) {
	gen := e.current.Load()
	if gen == nil || gen.vetted == nil || !gen.vetted.builtin {
		return n
	}
	data := gen.vetted.dataIn(gen.moment)
	roles, _ := data["roles"].(map[string]any)
	bindings, _ := data["bindings"].(map[string]any)
	n.Roles = len(roles)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if inAudit(roles, name) {
			n.Audit = append(n.Audit, name)
		}
	}
	for _, list := range bindings {
		entries, _ := list.([]any)
		n.Bindings += len(entries)
	}
	return n
}

// Engine decides. It is safe for concurrent use.
type Engine struct {
	opts    Options
	log     *slog.Logger
	current atomic.Pointer[generation]
	swaps   atomic.Uint64 // of current, each counted when it is done

	loading sync.Mutex // held while a policy is loaded; guards from keeper to seen

	first     chan struct{} // closed when the first attempt to load has ended
	firstOnce sync.Once

	keeper    keeper
	recalled  bool     // the keeper has been asked
	keptErr   error    // why what it keeps cannot be trusted
	inForce   *sources // the last good policy: of this process, or as kept
	attempted string   // state of the sources of the latest attempt, or why they could not be read
	seen      string   // the same of the latest look at them

	holding sync.Mutex // held while current changes; guards lent
	lent    []grant.Grant
	moved   chan struct{} // what holds may have changed

	mu     sync.Mutex // guards what follows
	status Status
}

// New gives an Engine that denies everything until Load has succeeded.
func New(opts Options) *Engine {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{opts: opts, log: opts.Logger, lent: opts.Lent, first: make(chan struct{}), moved: make(chan struct{}, 1), keeper: keeper{opts.StateDir, opts.Paths}}
}

// Load reads, vets and swaps in the policy. On error the last good policy stays;
// the error names every problem found, one a line.
func (e *Engine) Load(ctx context.Context) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	defer e.firstOnce.Do(func() { close(e.first) })
	src, err := readSources(e.opts.Paths, e.opts.BuiltinIfAbsent)
	if err == nil {
		src.amend = e.opts.Amend
	}
	return e.adopt(ctx, src, err)
}

// reload is Load once the sources are other ones than at the latest attempt, and the
// same at two looks in a row. It reports whether to look again soon.
func (e *Engine) reload(ctx context.Context) (again bool) {
	e.loading.Lock()
	defer e.loading.Unlock()
	src, err := readSources(e.opts.Paths, e.opts.BuiltinIfAbsent)
	now := state(src, err)
	settled := now == e.seen
	e.seen = now
	if now == e.attempted || src != nil && e.inForce != nil && src.revision == e.inForce.revision && e.Status().LastError == "" {
		return false
	}
	if settled {
		_ = e.adopt(ctx, src, err) // logged there, and kept in Status
	}
	return !settled || errors.Is(err, errBeingWritten)
}

// state tells two outcomes of reading the sources apart.
func state(src *sources, err error) string {
	if err != nil {
		return err.Error()
	}
	return src.state()
}

// adopt vets what was read and swaps it in, or says why not.
func (e *Engine) adopt(ctx context.Context, src *sources, err error) error {
	e.recall()
	attempted := state(src, err)
	var gen *generation
	var warnings []Problem
	if err == nil {
		gen, warnings, err = build(ctx, src, e.opts)
	}
	if err == nil {
		err = e.plausible(src)
	}
	if ctx.Err() != nil && err != nil {
		return err // stopped while loading: nothing is known of the policy
	}
	e.attempted, e.seen = attempted, attempted
	if err != nil {
		e.refuse(ctx, err)
		return err
	}
	for _, w := range warnings {
		e.log.Warn("policy warning", w.attributes()...)
	}
	if err := e.swap(ctx, gen, Status{Revision: gen.revision, Source: src.label, LoadedAt: time.Now()}); err != nil {
		e.refuse(ctx, err)
		return err
	}
	e.inForce = src
	if err := e.keeper.save(src); err != nil {
		e.log.Warn("the last good policy will not outlive a restart", "error", err)
	}
	return nil
}

// recall reads what the keeper keeps, once.
func (e *Engine) recall() {
	if e.recalled {
		return
	}
	e.recalled = true
	if e.inForce, e.keptErr = e.keeper.load(); e.keptErr != nil {
		e.log.Error("the last good policy cannot be had", "error", e.keptErr)
	}
}

// plausible objects to sources that look like an accident.
func (e *Engine) plausible(src *sources) error {
	if e.keptErr != nil && e.inForce == nil && !src.fromPaths {
		return fmt.Errorf("there is no policy in %s, and there may have been one: %w; "+
			"if there never was, take the kept one away", strings.Join(e.opts.Paths, " "), e.keptErr)
	}
	return src.accident(e.inForce, e.opts.Paths)
}

// refuse says why the sources are not taken. If no policy decides yet, the kept one does now.
func (e *Engine) refuse(ctx context.Context, why error) {
	status := e.Status()
	if e.current.Load() == nil && e.inForce != nil {
		e.inForce.tested, e.inForce.vetted = true, true // they passed when it was kept
		gen, _, err := build(ctx, e.inForce, e.opts)
		if err == nil {
			err = e.swap(ctx, gen, Status{Revision: gen.revision, Source: e.inForce.label, LoadedAt: time.Now(), Kept: true})
		}
		if err != nil {
			e.log.Error("the last good policy cannot be had", "error", err)
		}
		status = e.Status()
	}
	decides := "nothing: everything is denied until a file is mended"
	if status.Revision != "" {
		decides = "the last good policy, revision " + status.Revision
	}
	for _, p := range problems(why, false) {
		e.log.Error("policy refused", append(p.attributes(), "decides", decides)...)
	}
	status.LastError, status.LastErrorAt = why.Error(), time.Now()
	e.mu.Lock() // after the log: who sees it here finds more there
	e.status = status
	e.mu.Unlock()
}

// swap puts a policy in force, with what is lent.
func (e *Engine) swap(ctx context.Context, gen *generation, status Status) error {
	e.holding.Lock()
	defer e.holding.Unlock()
	if m := gen.vetted.momentAt(e.now(), e.lent); !m.like(&gen.moment) {
		var err error
		if gen, err = gen.vetted.generation(ctx, m); err != nil {
			return err
		}
	} else {
		gen.moment = m
	}
	e.put(gen)
	e.mu.Lock()
	e.status = status
	e.mu.Unlock()
	e.log.Info("policy loaded", "revision", status.Revision, "source", status.Source, "kept", status.Kept)
	if gen.unplanned != nil {
		e.log.Warn("decisions of this policy take several times as long", "problem", gen.unplanned)
	}
	e.tell(gen.moment)
	e.loaded()
	return nil
}

// put makes a generation decide, or none.
func (e *Engine) put(gen *generation) {
	e.current.Store(gen)
	e.swaps.Add(1) // afterwards: whoever sees the number is decided by this one, or a later one
}

// Epoch numbers what decides. As long as it is the same, the same input is answered the same; 0 is no promise: there is no policy, or
// something that it lends has ended.
func (e *Engine) Epoch() uint64 {
	n := e.swaps.Load()
	if gen := e.current.Load(); gen == nil || gen.moment.over(e.now) {
		return 0
	}
	return n
}

func (e *Engine) loaded() {
	if e.opts.OnLoad != nil {
		e.opts.OnLoad()
	}
}

// Status says which policy decides, and why the latest one was refused if it was.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Decide answers in, from memory if the same was asked before. It never panics,
// and returns at ctx's deadline at the latest, or after DefaultTimeout; before the first Load has
// ended it waits for that first, so that a restart refuses nobody. The
// slices and maps of the Decision are shared: do not change them.
func (e *Engine) Decide(ctx context.Context, in *Input) Decision {
	gen := e.current.Load()
	if gen == nil {
		e.awaitFirst(ctx)
		gen = e.current.Load()
	}
	if gen != nil && gen.moment.over(e.now) {
		gen = e.renewed(ctx)
	}
	if gen == nil {
		d := failed("", "no policy is loaded: "+e.whyNone())
		d.code = codeNone
		return d
	}
	if in == nil || in.Operation == nil {
		return failed(gen.revision, "there is no operation to decide on")
	}
	return gen.decide(ctx, in)
}

// ReadsObjects says that the policy which decides now reads input.objects.
func (e *Engine) ReadsObjects() bool {
	gen := e.current.Load()
	return gen != nil && gen.reads.objects()
}

// awaitFirst is AwaitFirst for one decision.
func (e *Engine) awaitFirst(ctx context.Context) {
	defer fair.Rest(ctx)()
	ctx, cancel := limited(ctx)
	defer cancel()
	e.AwaitFirst(ctx)
}

// AwaitFirst waits until the first attempt to load a policy has ended, or ctx.
func (e *Engine) AwaitFirst(ctx context.Context) {
	select {
	case <-e.first:
	case <-ctx.Done():
	}
}

func (e *Engine) whyNone() string {
	if why := e.Status().LastError; why != "" {
		return "the latest one was refused (see the log, or policy check)"
	}
	return "none was found yet"
}

// failed is the denial for a policy that could not answer.
func failed(revision, why string) Decision {
	return Decision{Diagnostics: Diagnostics{Failed: true, Reasons: []string{why}, Revision: revision, code: codeFailed}}
}
