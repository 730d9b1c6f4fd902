// Package policy answers one question in Rego: may this caller do this
// operation? Input in, Decision out.
//
// An Engine loads a policy (the built-in one, a directory, a file or a bundle),
// vets it, and swaps it in whole; a policy that fails the vetting changes
// nothing, and the reason is kept in Status and logged. Until a first policy is
// good the engine denies everything. It evaluates package docker.authz and reads
// allow, reasons, admin, redact, keep_env, where and without_redaction from it.
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
// obey the whole Decision: an obligation (redact, where) that it cannot meet is a
// denial.
package policy

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout is how long one decision may take.
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
	// AllowByDefault accepts a policy that allows an empty input.
	AllowByDefault bool
	// Timeout bounds one decision; DefaultTimeout if zero.
	Timeout time.Duration
	// OnLoad is called when a policy has been swapped in. It must not block. It may be nil.
	OnLoad func()
	// Logger may be nil.
	Logger *slog.Logger
}

// Status is what an Engine says of itself.
type Status struct {
	Revision    string    // of the policy that decides now; "" if there is none
	Source      string    // where it came from
	LoadedAt    time.Time // when it was swapped in
	LastError   string    // why the latest attempt was refused; "" if it was not
	LastErrorAt time.Time
}

// Engine decides. It is safe for concurrent use.
type Engine struct {
	opts    Options
	log     *slog.Logger
	current atomic.Pointer[generation]

	loading sync.Mutex // held while a policy is loaded

	first     chan struct{} // closed when the first attempt to load has ended
	firstOnce sync.Once

	mu        sync.Mutex // guards what follows
	status    Status
	attempted string // revision of the latest attempt, "" if the sources could not be read
	fromPaths bool   // a policy was read from Options.Paths once
}

// New gives an Engine that denies everything until Load has succeeded.
func New(opts Options) *Engine {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{opts: opts, log: opts.Logger, first: make(chan struct{})}
}

// Load reads, vets and swaps in the policy. On error the last good policy stays;
// the error names every problem found, one a line.
func (e *Engine) Load(ctx context.Context) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	defer e.firstOnce.Do(func() { close(e.first) })
	src, err := e.read()
	return e.adopt(ctx, src, err)
}

// reload is Load, but does nothing if the sources are those of the latest attempt.
func (e *Engine) reload(ctx context.Context) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	src, err := e.read()
	e.mu.Lock()
	same := err == nil && src.revision == e.attempted
	if err != nil {
		same = e.status.LastError == err.Error()
	}
	e.mu.Unlock()
	if same {
		return nil
	}
	return e.adopt(ctx, src, err)
}

// read reads the sources of the policy.
func (e *Engine) read() (*sources, error) {
	e.mu.Lock()
	standIn := e.opts.BuiltinIfAbsent && !e.fromPaths
	e.mu.Unlock()
	return readSources(e.opts.Paths, standIn)
}

// adopt vets what was read and swaps it in, or says why not.
func (e *Engine) adopt(ctx context.Context, src *sources, err error) error {
	var gen *generation
	var warnings []Problem
	attempted := ""
	if err == nil {
		attempted = src.revision
		gen, warnings, err = build(ctx, src, e.opts)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil && err != nil {
		return err // stopped while loading: nothing is known of the policy
	}
	e.attempted = attempted
	if err != nil {
		e.status.LastError, e.status.LastErrorAt = err.Error(), time.Now()
		e.log.Error("policy refused", "error", err, "kept_revision", e.status.Revision)
		return err
	}
	for _, w := range warnings {
		e.log.Warn("policy warning", "at", w.At(), "problem", w.Message)
	}
	e.fromPaths = e.fromPaths || src.fromPaths
	e.current.Store(gen)
	e.status = Status{Revision: gen.revision, Source: src.label, LoadedAt: time.Now()}
	e.log.Info("policy loaded", "revision", gen.revision, "source", src.label)
	if e.opts.OnLoad != nil {
		e.opts.OnLoad()
	}
	return nil
}

// Status says which policy decides, and why the latest one was refused if it was.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Decide answers in, from memory if the same was asked before. It never panics,
// and returns after Options.Timeout at the latest; before the first Load has
// ended it waits for that as long again, so that a restart refuses nobody. The
// slices and maps of the Decision are shared: do not change them.
func (e *Engine) Decide(ctx context.Context, in *Input) Decision {
	gen := e.current.Load()
	if gen == nil {
		e.awaitFirst(ctx)
		gen = e.current.Load()
	}
	if gen == nil {
		return failed("", "no policy is loaded: "+e.whyNone())
	}
	if in == nil || in.Operation == nil {
		return failed(gen.revision, "there is no operation to decide on")
	}
	return gen.decide(ctx, in)
}

// awaitFirst waits until the first attempt to load a policy has ended.
func (e *Engine) awaitFirst(ctx context.Context) {
	timer := time.NewTimer(e.opts.Timeout)
	defer timer.Stop()
	select {
	case <-e.first:
	case <-timer.C:
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
	return Decision{Failed: true, Reasons: []string{why}, Revision: revision}
}
