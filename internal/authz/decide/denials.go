package decide

import (
	"bytes"
	"context"
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/fair"
)

// A client that is denied and tries again, and again, sends the same bytes. So a denial of the policy is remembered for a moment, by all that
// it was made of, and is what the same request is answered, without being read once more:
//
//   - the request as it arrived, all of it, compared byte for byte. Its sender controls each of them, and the same bytes are read in the same
//     way, as the parser asks nobody (package operation);
//   - who sent it. That is proven anew for each request, and compared in all that a policy can see of it;
//   - the policy that decided, with what it lent then: by its epoch, which no other one has;
//   - the defaults of the Engine, which are no hazard.
//
// Nothing else is in such a denial: what named a container, a network or a path of the host, or had anything looked up, is not
// remembered, nor is what failed, what a rail or a door denied, and what audit mode let through. Were that wrong for some request, it would be denied
// for a moment more: what is kept here is an answer, and no request, and can do nothing but deny. It is recorded, and counts for its caller's
// turns, each time as if it had been decided.
//
// What is kept is bounded for each account, of which only so many have room; of others nothing is remembered. A request is kept when it
// comes the second time, so that those who never repeat one pay for a hash.

const (
	// deniedFor is how long a denial is remembered.
	deniedFor = time.Second
	// deniedBytes bounds what is remembered of one account, deniedAccounts how many there are: a megabyte in all.
	deniedBytes    = 32 << 10
	deniedAccounts = 32
	// deniedNoted is how many of an account's denials are known when they come again.
	deniedNoted = 16
	// deniedOverhead is about what one costs beside its texts.
	deniedOverhead = 1 << 10
)

// denials are those that are remembered.
type denials struct {
	mu   sync.Mutex
	seed maphash.Seed
	of   map[string]*deniedAccount
}

// deniedAccount is what is remembered of one. It is guarded by denials.mu.
type deniedAccount struct {
	noted [deniedNoted]uint64 // hashes of requests, the latest anywhere
	next  int
	kept  []*Denied // the oldest first
	size  int
	until time.Time // when nothing of it is of use any longer
}

// Denied is a request that was denied a moment ago. It never changes, but that its answer is written when it is asked for first.
type Denied struct {
	steps   *Steps
	raw     []byte
	end     time.Time
	epoch   uint64
	caller  *identity.Identity
	engine  operation.Engine
	message string
	record  audit.Record
	shape   *record.Kept // nil if nobody is told of shapes

	writing sync.Once
	answer  []byte
}

// Denial is the answer to a request that is denied.
type Denial struct {
	Status  int
	Message string
	Caller  *identity.Identity
}

func newDenials() denials { return denials{seed: maphash.MakeSeed(), of: map[string]*deniedAccount{}} }

// epochs is a Policy that numbers what decides; a [policy.Engine].
type epochs interface{ Epoch() uint64 }

var _ epochs = (*policy.Engine)(nil)

// epoch is the policy's, 0 if there is none that holds.
func (s *Steps) epoch() uint64 {
	if p, is := s.Policy.(epochs); is {
		return p.Epoch()
	}
	return 0
}

// defaults are the Engine's, the zero value while nothing is known of it.
func (s *Steps) defaults() operation.Engine {
	if s.Engine != nil {
		if e := s.Engine(); e != nil {
			return *e
		}
	}
	return operation.Engine{}
}

// Denied finds a request of the same account, byte for byte, that was denied a moment ago; nil if there is none. It may be anybody's
// of that account: see [Denied.Again].
func (s *Steps) Denied(conn *identity.Connection, raw []byte) *Denied {
	m := &s.denied
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.of[conn.Account]
	if a == nil {
		return nil
	}
	for _, d := range a.kept {
		if bytes.Equal(d.raw, raw) {
			return d
		}
	}
	return nil
}

// Again denies the request once more, and records that, if all is as it was. Not ok is no answer: then it has to be decided. It
// never panics.
func (d *Denied) Again(ctx context.Context, conn *identity.Connection) (_ Denial, ok bool) {
	s, start := d.steps, time.Now()
	turn := s.turns.Of(conn.Account)
	defer turn.Give()
	defer func() { _ = recover() }() // it is decided then, and that says so
	limited := &deadline{Context: ctx, at: start.Add(s.Patience)}
	defer limited.stop()
	if turn.Take(limited) != nil { //nolint:contextcheck // limited inherits ctx
		return Denial{}, false // whoever decides says so
	}
	took := time.Now()
	identifying := &deadline{Context: fair.With(ctx, &turn), at: took.Add(s.Timeout)}
	defer identifying.stop()
	caller := s.Identifier.Identify(identifying, conn) //nolint:contextcheck // it inherits ctx
	if !took.Before(d.end) || s.epoch() != d.epoch || s.defaults() != d.engine || !d.caller.Same(caller) || s.olds.has(ownerOf(caller)) {
		return Denial{}, false
	}
	r := d.record
	r.ID, r.Time = s.ids.next(), start.UTC()
	if d.shape != nil && !s.Shapes.Again(d.shape, r.Time, r.ID, r.PolicyRevision) {
		return Denial{}, false
	}
	r.Duration = time.Since(took)
	r.DurationUsec = r.Duration.Microseconds()
	s.Record(r)
	return Denial{Status: r.Status, Message: d.message, Caller: caller}, true
}

// Answer is the message as the door writes it, which it does once. It must not be changed.
func (d *Denied) Answer(write func(message string) []byte) []byte {
	d.writing.Do(func() { d.answer = write(d.message) })
	return d.answer
}

// note remembers a denial when it comes the second time. r is its record, shape what the record of shapes has of it.
func (m *denials) note(v *Verdict, r *audit.Record, shape *record.Kept) {
	if v.request.Raw == nil || v.account == "" || !v.plainlyDenied(r.Status) || v.steps.Shapes != nil && shape == nil {
		return
	}
	if !m.again(v.account, v.request.Raw, v.start) || !v.namesNothing() {
		return
	}
	d := &Denied{
		steps: v.steps, raw: bytes.Clone(v.request.Raw), end: v.start.Add(deniedFor), epoch: v.epoch, caller: v.Caller,
		message: v.Message, record: *r, shape: shape,
	}
	if v.engine != nil {
		d.engine = *v.engine
	}
	m.keep(v.account, d)
}

// plainlyDenied says that it was the policy in force that denied, and nothing else.
func (v *Verdict) plainlyDenied(status int) bool {
	d := &v.Decision
	known := slices.Contains([]identity.Kind{identity.Host, identity.Container, identity.Peer}, v.Caller.Kind)
	return known && !v.Allow && status == http.StatusForbidden && v.Status == http.StatusForbidden && v.asked != nil && v.asked.Carry == operation.CarryPlain &&
		!d.Allow && !d.Failed && v.Code == v.policyCode() && v.epoch != 0 && v.epoch == v.steps.epoch()
}

// namesNothing says that nothing can have been looked up for it: it names nothing of which the Engine, the host or we know something that changes.
func (v *Verdict) namesNothing() bool {
	op, w := v.asked, &v.world
	named := op.Target != "" || len(op.Enters)+len(op.HostPath) > 0 || len(op.JoinedNetworks()) > 0
	found := len(v.containers.known)+len(w.Joined)+len(w.Paths)+len(w.Starts) > 0 || w.Networks != nil || w.Old != nil || w.Own != nil || w.OwnExec
	return !named && !found && (v.named == nil || !v.named.read.Load()) && !v.steps.olds.has(ownerOf(v.Caller))
}

// again says whether a request of an account was noted before, and notes it if there is room.
func (m *denials) again(account string, raw []byte, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.of[account]
	if a == nil {
		if len(m.of) >= deniedAccounts {
			m.sweep(now)
		}
		if len(m.of) >= deniedAccounts {
			return false
		}
		a = &deniedAccount{}
		m.of[account] = a
	}
	a.until = now.Add(deniedFor)
	hash := maphash.Bytes(m.seed, raw)
	if slices.Contains(a.noted[:], hash) {
		return true
	}
	a.noted[a.next] = hash
	a.next = (a.next + 1) % deniedNoted
	return false
}

// sweep forgets the accounts of which nothing is of use.
func (m *denials) sweep(now time.Time) {
	for account, a := range m.of {
		if !now.Before(a.until) {
			delete(m.of, account)
		}
	}
}

// keep keeps a denial, in place of an earlier one of the same request; the account's oldest go for it.
func (m *denials) keep(account string, d *Denied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.of[account]
	if a == nil { // it was swept meanwhile
		return
	}
	a.forget(func(o *Denied) bool { return bytes.Equal(o.raw, d.raw) || !d.end.Add(-deniedFor).Before(o.end) })
	a.kept = append(a.kept, d)
	for a.size += d.size(); a.size > deniedBytes; {
		oldest := a.kept[0]
		a.forget(func(o *Denied) bool { return o == oldest })
	}
}

func (a *deniedAccount) forget(which func(*Denied) bool) {
	a.kept = slices.DeleteFunc(a.kept, which)
	a.size = 0
	for _, d := range a.kept {
		a.size += d.size()
	}
}

// size is about what it costs, in bytes: the reasons are in the message and in the answer, too, and the shape says who asked.
func (d *Denied) size() int {
	n := deniedOverhead + len(d.raw) + 3*len(d.message) + len(d.record.URI)
	if d.shape != nil {
		n += len(d.shape.Text())
	}
	return n
}
