// Package decide is the one place that calls the steps of a decision in order:
// identify, parse, decide, record. Both doors have each request decided by Authorize, which does
// the first three, and recorded by Verdict.Finish. Differential records what is denied at the plugin's door without
// a decision; StillAllowed decides once more, without a record, what is still carried. What the policy denied a moment ago the gateway has
// denied again by its bytes, with a record, without having it parsed and decided: see Denied, which can do nothing else.
//
// A request is denied unless every step says yes: the caller is established,
// the parser understands the request in exactly one way, no rail stands in
// front of it, and the policy answers allow. An error, a deadline or a panic in
// any step is a denial. In audit mode (of all, of a listener or of a role) a denial of the policy is lifted and
// recorded; one of the parser or of a rail is not.
//
// Requests of one caller are decided in turns (package fair), at both doors, so
// that none keeps the others' waiting. A turn is kept until the request is denied, or
// the door gives it back: by Verdict.Release, and by Finish at the latest.
//
// What the policy wants on what is made (labels, limits, paths of the host) is put into the
// operation here. What the caller of Authorize must still do: answer what the verdict says,
// meet the decision's obligations (package obligation) or deny, forward nothing but
// Verdict.Carried, and call Verdict.Finish in a defer; the first call counts.
package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/authz/view"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/fair"
)

// Mode is what a denial of the policy does.
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // a denial is a denial
	Audit   Mode = "audit"   // a denial of the policy is recorded and lifted
)

// identifier says who is on a connection, and which principals a container has.
type identifier interface {
	// Identify never returns nil.
	Identify(ctx context.Context, conn *identity.Connection) *identity.Identity
	// ContainerPrincipals gives every principal of the container that a
	// reference names: a name, an id, an unambiguous prefix, or "exec:<id>". The error
	// says why that cannot be established; see [identity.WhyNot].
	ContainerPrincipals(ctx context.Context, ref string) (principals []string, err error)
}

// Objects says what references in a request mean.
type Objects interface {
	// HostNetworks gives the fields of a request that name the host's own network, to
	// join it. The error says of which that could not be told.
	HostNetworks(ctx context.Context, op *operation.Operation) (fields []string, err error)
	// Objects are what the request names.
	Objects(ctx context.Context, op *operation.Operation) []object.Object
	view.Engine
	// Owned are the ids of the containers, networks or volumes that the daemon has, and that are labelled as somebody's.
	Owned(ctx context.Context, kind operation.Kind, owner string) (ids []string, err error)
	// ExecWaits says whether an exec was made, and neither started nor forgotten since.
	ExecWaits(ctx context.Context, id string) (bool, error)
	// ImageConfig is what an image asks of the daemon for each container. platform is the variant that is asked for, "" for
	// the daemon's own.
	ImageConfig(ctx context.Context, ref, platform string) (operation.ImageConfig, error)
}

// Policy answers an input. Its zero decision denies.
type Policy interface {
	Decide(ctx context.Context, in *policy.Input) policy.Decision
}

// Authorizer is what the doors need of this package.
type Authorizer interface {
	// Authorize never returns nil and never panics.
	Authorize(ctx context.Context, conn *identity.Connection, req *operation.Request) *Verdict
}

// Options are the parts that Steps connects.
type Options struct {
	Identifier identifier
	Policy     Policy
	Objects    Objects // nil: references are taken as they are typed
	// Engine says what the daemon does by default, nil while that is not known. nil: it
	// never is.
	Engine func() *operation.Engine
	Record func(audit.Record) // called once a verdict, by Finish
	Shapes Shapes             // is told of each decision on an operation, by Finish; nil: nobody is
	Mode   Mode
	// Modes are those of listeners that have another one, by name. What a listener enforces no role lifts.
	Modes map[string]Mode
	// OwnContainer returns the full id of the container that we run in, "" for
	// none; the error says why that cannot be told, and is an [attest.ErrNotYet] if it
	// may be told when Changed tells of a change. It is asked for each request
	// that could reach it. nil: there is none.
	OwnContainer func() (id string, err error)
	Changed      func() <-chan struct{}
	Sockets      *operation.Sockets // the gateway's and the Engine's own; nil: nobody says which
	// Old says what the container with a full id was made with, for who may make it anew. nil: nobody can say.
	Old       func(ctx context.Context, id string) (*operation.Old, error)
	HostPaths hostPaths     // nil: paths of the host are judged as they are written, and nothing is said of that
	Timeout   time.Duration // of identifying and of deciding, each; default 2 s
	Patience  time.Duration // with which a request waits for its caller's turn; default 8 s
}

// Steps is the Authorizer.
type Steps struct {
	Options
	ids   idSource
	turns *fair.Queue
	execs ownExecs
	// waiting are execs that the daemon keeps for their callers.
	waiting waitingExecs
	olds    olds
	making  making
	// volumes are held for requests of callers in a view.
	volumes inUse
	denied  denials
	// sessions makes the names by which the daemon knows callers' sessions with BuildKit.
	sessions sessionKey
	nobody   *identity.Identity // the caller, as long as nobody has looked
}

// New connects the steps. Options.Identifier, Policy and Record are required.
func New(o Options) *Steps {
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 8 * time.Second
	}
	return &Steps{Options: o, ids: newIDSource(), turns: fair.New(), denied: newDenials(), sessions: newSessionKey(), nobody: &identity.Identity{Kind: identity.Unknown}}
}

// Authorize decides one request.
func (s *Steps) Authorize(ctx context.Context, conn *identity.Connection, req *operation.Request) (v *Verdict) {
	v = &Verdict{
		Status: http.StatusForbidden, Caller: s.nobody,
		request: req, steps: s, id: s.ids.next(), start: time.Now(),
	}
	defer func() {
		if p := recover(); p != nil {
			v.deny(http.StatusForbidden, "internal-error", fmt.Sprintf("the decision panicked: %v", p))
		}
		v.decided = time.Since(v.start) - v.waited
		if !v.Allow {
			v.Release()
		}
	}()

	if !s.take(ctx, conn, v) {
		return v
	}
	ctx = fair.With(ctx, &v.turn)
	s.identify(ctx, conn, v)
	v.epoch = s.epoch()
	if !s.parse(ctx, v) {
		return v
	}
	if v.Caller.Kind == identity.Self {
		v.self()
		return v
	}
	s.decide(ctx, v)
	if v.Status == http.StatusForbidden && v.Caller.Exhausted() { // our fault, and it passes
		v.deny(http.StatusServiceUnavailable, "exhausted", "no descriptor was left to look at its process; try again, on another connection")
	}
	return v
}

// take waits until it is the caller's turn. It reports false when there was no time for it.
func (s *Steps) take(ctx context.Context, conn *identity.Connection, v *Verdict) bool {
	if conn == nil || conn.Account == "" {
		return true
	}
	v.account = conn.Account
	v.turn = s.turns.Of(v.account)
	limited := withDeadline(ctx, s.Patience)
	defer limited.stop()
	err := v.turn.Take(limited) //nolint:contextcheck // limited inherits ctx
	v.waited = time.Since(v.start)
	if err != nil {
		v.deny(http.StatusServiceUnavailable, "busy", err.Error()+"; try again")
	}
	return err == nil
}

// identify is step 1.
func (s *Steps) identify(ctx context.Context, conn *identity.Connection, v *Verdict) {
	limited := withDeadline(ctx, s.Timeout)
	defer limited.stop()
	v.Caller = s.Identifier.Identify(limited, conn) //nolint:contextcheck // limited inherits ctx
}

// perByte is what the reading of a body costs its caller.
const perByte = time.Nanosecond

// parse is step 2. The time that the caller takes to send its body is not the
// decision's, and no turn is held for it.
func (s *Steps) parse(ctx context.Context, v *Verdict) bool {
	req := *v.request
	req.Sockets = s.Sockets
	if s.Engine != nil {
		req.Engine = s.Engine()
	}
	if read := req.ReadBody; read != nil {
		req.ReadBody = func() (text []byte, err error) {
			if req.Arrived {
				defer func() { v.turn.Pay(time.Duration(len(text)) * perByte) }()
				return read()
			}
			from := time.Now()
			v.turn.Give()
			defer func() {
				v.turn.Pay(time.Duration(len(text)) * perByte)
				_ = v.turn.Take(context.WithoutCancel(ctx)) // its own requests are before it, and they end
				v.waited += time.Since(from)
			}()
			return read()
		}
	}
	op, err := operation.Parse(&req)
	if err == nil {
		v.Operation, v.asked, v.engine = op, op, req.Engine
		return true
	}
	refusal, ok := errors.AsType[*operation.Refusal](err)
	if !ok {
		refusal = &operation.Refusal{Status: http.StatusBadRequest, Code: "bad-request", Reason: err.Error()}
	}
	v.deny(refusal.Status, refusal.Code, refusal.Reason)
	return false
}

// question is what the policy is asked about a request, and what came out beside its answer.
type question struct {
	in      policy.Input // its Operation changes on the way to what would be carried
	objects *named
	written *operation.Operation // as it was before anything stood in the place of what the caller wrote
	typed   *operation.Operation // without the policy's own labels and limits
	hints   []string             // what a denial says before the policy's reasons
	unlike  []string             // those of hints that say why it makes nothing anew
}

// decide is step 3: the policy, and the rails that only an admin passes.
func (s *Steps) decide(ctx context.Context, v *Verdict) {
	limited := withDeadline(ctx, s.Timeout)
	defer limited.stop()
	q := s.question(limited, v) //nolint:contextcheck // limited inherits ctx
	late := limited.Err() != nil
	s.judge(limited, v, q)                                        //nolint:contextcheck // as above
	if late && v.Decision.Failed && v.Code == v.Decision.Code() { // there was no time to ask the policy, which passes
		v.deny(http.StatusServiceUnavailable, v.Code, append(slices.Clip(v.reasons), "try again")...)
	}
}

func (s *Steps) judge(ctx context.Context, v *Verdict, q *question) {
	settled, err := s.ask(ctx, v, q)
	if settled {
		return
	}
	if q.in.Operation.ID == "ContainerStats" {
		v.instead = func() string { return s.stats(context.WithoutCancel(ctx), q.in) }
	}
	if !v.Decision.Admin && s.barred(ctx, v, q, err) {
		return
	}
	if s.answer(ctx, v, q); v.Allow {
		s.hold(ctx, v, q)
	}
}

// question gathers what the policy is to know: what the request names, what it enters, and whether its exec is the caller's own.
func (s *Steps) question(ctx context.Context, v *Verdict) *question {
	q := &question{hints: s.joinsHost(ctx, v)}
	q.objects = s.objects(ctx, v)
	v.named = q.objects
	q.written = v.Operation
	q.in = policy.Input{Caller: v.Caller, Operation: v.Operation}
	in := &q.in
	in.Enters, v.unresolved = s.enters(ctx, v)
	if in.Operation.Resource == "exec" {
		in.OwnExec = s.execs.has(ownerOf(v.Caller), in.Operation.Target)
		v.world.OwnExec = in.OwnExec
		if in.Operation.ID == "ExecStart" && !in.OwnExec && !slices.Contains(in.Enters, "*") { // as whom, whoever made it has said
			in.Enters = slices.Concat(in.Enters, []string{principal.ContainerGID.Any(), principal.ContainerUID.Any()})
		}
	}
	if p, ok := s.Policy.(objectReader); q.objects != nil && ok && p.ReadsObjects() {
		in.Objects = q.objects.get
	}
	v.Enters = in.Enters
	return q
}

// ask has the policy decide, and again whenever the request becomes another one on the way. settled says that the verdict is there; the
// error, why the request cannot be made into what the policy wants.
func (s *Steps) ask(ctx context.Context, v *Verdict, q *question) (settled bool, err error) {
	in := &q.in
	q.unlike = s.replacing(ctx, v, in, q.objects)
	unsocketed, settled := s.socketed(ctx, v, in)
	if settled {
		return true, nil
	}
	q.hints = slices.Concat(q.hints, q.unlike, unsocketed)
	d, settled := s.outside(ctx, v, in, q.objects)
	if settled {
		return true, nil
	}
	d, err = s.onHost(ctx, v, in, d)
	q.typed = in.Operation
	if err == nil {
		d, err = s.stamped(ctx, v, in, d)
	}
	if err == nil {
		d, err = s.within(ctx, in, d)
	}
	if err == nil {
		d = s.carried(ctx, v, in, d)
	}
	v.Decision = d
	return false, err
}

// barred denies, whatever the policy says, what only an admin may do, and what could not be made into what the policy wants.
func (s *Steps) barred(ctx context.Context, v *Verdict, q *question, err error) bool {
	code, rail := s.rail(ctx, v, &q.in, q.typed)
	switch {
	case rail != "":
		v.deny(http.StatusForbidden, code, append([]string{rail}, s.sayUnresolved(ctx, v, &q.in)...)...)
	case err != nil:
		v.denyPath(err)
	default:
		return false
	}
	return true
}

// answer is the policy's, or that of audit mode. An admin's request, and one that the policy would deny, are forwarded as they are written.
func (s *Steps) answer(ctx context.Context, v *Verdict, q *question) {
	d := &v.Decision
	switch {
	case d.Allows():
		v.Allow, v.Status = true, 0
		if !d.Admin {
			v.Operation = q.in.Operation
		}
	case s.audits(v.Caller, d):
		v.Operation = q.written
		v.Allow, v.Status, v.lifted = true, 0, true
	default:
		v.Operation = q.in.Operation
		v.deny(http.StatusForbidden, v.policyCode(), slices.Concat(q.hints, d.Reasons, s.sayUnresolved(ctx, v, &q.in))...)
	}
}

// hold keeps what is allowed to the caller's view, to what it may make anew and to how much it may have, and to the objects that were judged. Each may deny it.
func (s *Steps) hold(ctx context.Context, v *Verdict, q *question) {
	s.see(ctx, v, q.objects)
	if v.Allow {
		s.replaceable(ctx, v, q.objects, q.unlike)
	}
	if v.Allow {
		s.count(ctx, v)
	}
	if v.Allow {
		s.countExecs(ctx, v)
	}
	if v.Allow {
		if why := v.pin(q.objects); why != "" {
			v.deny(http.StatusForbidden, "object", why)
		}
	}
}

// audits reports whether a denial of the policy is lifted: everywhere, at the caller's listener, or for who holds a role in
// mode audit. Whom a policy that failed would have meant nobody knows, so that is lifted by a setting alone.
func (s *Steps) audits(caller *identity.Identity, d *policy.Decision) bool {
	mode, own := s.Modes[caller.Listener]
	switch {
	case caller.Door == string(obligation.Gateway) && own:
		return mode == Audit
	case s.Mode == Audit:
		return true
	}
	return d.Audit && !d.Failed
}

// joinsHost adds the hazard of the host's network namespace where a reference means the
// host's network, or cannot be resolved: the reason then says so.
func (s *Steps) joinsHost(ctx context.Context, v *Verdict) (reasons []string) {
	if s.Objects == nil || slices.Contains(v.Operation.Hazards, operation.HazardHostNamespace) {
		return nil
	}
	fields, err := s.Objects.HostNetworks(ctx, v.Operation)
	if len(fields) > 0 || err != nil {
		v.world.Networks = &record.Networks{Fields: fields, Why: textOf(err)}
		v.Operation = v.Operation.WithHazard(operation.HazardHostNamespace, fields...)
	}
	if err != nil {
		return []string{fmt.Sprintf("a network counts as the host's (%s), because it cannot be told which it is: %v", operation.HazardHostNamespace, err)}
	}
	return nil
}

// rail says why only an admin may do this, "" if no rail stands before it. typed is the request without the
// policy's labels.
func (s *Steps) rail(ctx context.Context, v *Verdict, in *policy.Input, typed *operation.Operation) (code, why string) {
	op := in.Operation
	switch {
	case op.Rail != "":
		return "rail-operation", op.Rail
	case op.BodyState == operation.BodyWithheld:
		return "rail-body", "the daemon did not show the request's body (over 1 MiB, or not JSON); send it to the gateway's socket"
	case op.BodyState == operation.BodyInvalid:
		return "rail-body", "the request's body cannot be judged"
	}
	if why = s.ownContainer(ctx, v, in); why != "" {
		return "rail-own-container", why
	}
	why = reserved(typed, given(typed, &v.Decision))
	if d := &v.Decision; v.again && why != "" { // the request is what was carried: the gateway has given the label, unless an admin has
		if d.Failed || !d.Allow && !s.audits(v.Caller, d) {
			return "", "" // what is denied anyway is denied for its own reason
		}
		why = "the label " + operation.OwnerLabel + " that it was given is not what it would be given now"
	}
	return "rail-owner-label", why
}

// policyCode is the code of the policy's no. Of a caller whom nobody can tell, that is what stands in the way.
func (v *Verdict) policyCode() string {
	code := v.Decision.Code()
	if v.Caller.Kind == identity.Unknown && (code == "no-role" || code == "policy") {
		return "unknown-caller"
	}
	return code
}

// deny makes the verdict a denial.
func (v *Verdict) deny(status int, code string, reasons ...string) {
	if status < 400 {
		status = http.StatusForbidden
	}
	v.Allow, v.Status, v.Code = false, status, code
	if v.instead != nil && (code == v.policyCode() || code == "obligation") {
		if hint := v.instead(); hint != "" {
			reasons = append(slices.Clip(reasons), hint)
		}
	}
	v.reasons = reasons
	who := v.Caller.String()
	if v.Caller.Kind == identity.Unknown && v.Caller.Err != nil {
		who = "an unknown caller (" + v.Caller.Why() + ")"
	}
	what := "do this"
	if op := v.Operation; op != nil {
		what = op.ID + " (" + op.Method + " " + op.Path + ")"
	}
	why := strings.Join(reasons, "; ")
	if why == "" {
		why = "the policy gives no reason"
	}
	v.Message = "vitrine: " + who + " may not " + what + ": " + why + " [" + code + "]"
}

// idSource numbers requests: unique in this process, and with a random prefix
// in all likelihood among processes.
type idSource struct {
	prefix string
	n      *atomic.Uint64
}
