package learn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"vitrine/internal/authz/answer"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
	"vitrine/internal/printable"
)

// Role is the smallest role under which a caller could have done what a record says it did.
type Role struct {
	Name      string
	Principal string
	Granted   []*record.Line // what the role allows
	// Refused are requests that it does not allow, with why.
	Refused []Refused

	operations, hazards, paths map[string][]*record.Line // for each word the requests that need it
	blanks                     map[string][]*record.Line // operations with secrets in their answers, which are blanked
	unresolved                 []*record.Line
	substituted                []*record.Line // which get the gateway's socket in place of the Engine's
	options                    Options
}

// Refused is a request that a learnt role does not allow.
type Refused struct {
	Line *record.Line
	Why  string
}

// Options of what is learnt.
type Options struct {
	Principal string
	Name      string // of the role, "" to make one of the principal
	// Grant is what is granted though it is dangerous: classes, hazards, paths of the host ("content", "privileged", "/etc/ssl"), and
	// Substitute.
	Grant []string
}

// Substitute is granted to have the gateway's socket in place of the Engine's, wherever a request mounts that.
const Substitute = "substitute"

// dangerous are hazards with which the host is the caller's: they are asked about, and not learnt. What stands here
// follows docs/policy-guide.md.
func dangerous() []operation.Hazard {
	return []operation.Hazard{
		operation.HazardPrivileged, operation.HazardEngineSocket, operation.HazardVitrineFiles, operation.HazardHostNamespace,
		operation.HazardDevices, operation.HazardCap, operation.HazardSecurityOpt, operation.HazardUnmasked, operation.HazardPropagation,
		operation.HazardRuntime, operation.HazardCgroupParent, operation.HazardUserns, operation.HazardVolumeDriver, operation.HazardSysctl,
	}
}

// errNothing is a record without a request of the principal.
var errNothing = errors.New("the record has no request of it")

// Learn makes the role, and decides every request under it: what it does not allow after all is among Refused.
func Learn(ctx context.Context, o Options, lines []*record.Line) (*Role, error) {
	r := &Role{Name: o.Name, Principal: o.Principal, options: o}
	if r.Name == "" {
		r.Name = strings.Trim(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(o.Principal[strings.IndexByte(o.Principal, ':')+1:], "-"), "-")
	}
	if r.Name == "" || r.Name == "admin" {
		r.Name = "learned"
	}
	for _, l := range lines {
		switch why := ""; {
		case !slices.Contains(l.Caller.Principals, o.Principal):
		default:
			if why = o.dangerous(l); why != "" {
				r.Refused = append(r.Refused, Refused{l, why})
			} else {
				r.Granted = append(r.Granted, l)
			}
		}
	}
	if len(r.Granted)+len(r.Refused) == 0 {
		return nil, fmt.Errorf("%s: %w", o.Principal, errNothing)
	}
	for { // ends, as each time less is granted
		if r.need(); len(r.Granted) == 0 {
			return r, nil // a role that grants nothing is no policy
		}
		denied, err := r.denied(ctx)
		if err != nil {
			return nil, err
		}
		if len(denied) == 0 {
			return r, nil
		}
		r.Granted = slices.DeleteFunc(r.Granted, func(l *record.Line) bool {
			return slices.ContainsFunc(denied, func(d Refused) bool { return d.Line == l })
		})
		r.Refused = append(r.Refused, denied...)
	}
}

// judged is a line as the policy judges it under the role: with the gateway's socket in place of the Engine's, if that was so
// when it was recorded, or is granted.
func (o *Options) judged(l *record.Line) (is *record.Line, substituted bool) {
	socket := l.World.Socket
	was := l.Verdict.Substitute && !slices.Contains(o.Grant, string(operation.HazardEngineSocket))
	if socket == nil || !was && !slices.Contains(o.Grant, Substitute) {
		return l, false
	}
	op, err := l.Operation.Operation(l.Engine)
	if err != nil {
		return l, false // Replay says so
	}
	sockets := &operation.Sockets{Gateway: []operation.Socket{*socket}, Engine: l.World.Engines}
	op, err = op.WithSockets(sockets).WithSocket(*socket)
	if err != nil || len(op.Substituted) == 0 {
		return l, false
	}
	other, shape := *l, *l.Operation
	shape.Hazards, shape.HostPaths = op.Hazards, op.HostPath
	other.Operation = &shape
	return &other, true
}

// dangerous says why a request is not to be granted just because it was seen.
func (o *Options) dangerous(l *record.Line) string {
	l, _ = o.judged(l)
	op := l.Operation
	switch {
	case op.Rail != "":
		return "only admin may: " + op.Rail
	case len(op.Unknown) > 0:
		return "only admin may send what nobody knows: " + strings.Join(op.Unknown, ", ")
	case op.BodyState == operation.BodyWithheld:
		return "only admin may send a body that could not be seen"
	case l.World.OwnExec: // comes with ContainerExec
		return ""
	case (op.Access == operation.Content || op.Access == operation.Secret) && !slices.Contains(o.Grant, string(op.Access)):
		return fmt.Sprintf("it reads what may be secret (class %s); --grant %s grants it", op.Access, op.Access)
	}
	for _, h := range hazards(l) {
		if !slices.Contains(dangerous(), h) || slices.Contains(o.Grant, string(h)) {
			continue
		}
		if h == operation.HazardEngineSocket && l.World.Socket != nil {
			return fmt.Sprintf("hazard %s is dangerous; --grant %s grants it with the gateway's socket in place of the Engine's, --grant %s as it is", h, Substitute, h)
		}
		return fmt.Sprintf("hazard %s is dangerous; --grant %s grants it", h, h)
	}
	for _, p := range hostPaths(l) {
		if why := o.wide(p); why != "" {
			return why
		}
	}
	return ""
}

// wide says why a path, or a volume, is not to be granted by its name.
func (o *Options) wide(p string) string {
	switch volume := strings.HasPrefix(p, "volume:"); {
	case p == operation.Blank:
		return "a path in the options of its volume is not in the record"
	case strings.ContainsAny(p, "*$"):
		return fmt.Sprintf("%q would be more than its name in host_paths", p)
	case !volume && operation.OwnsHost(p) && !slices.ContainsFunc(o.Grant, func(g string) bool { return strings.HasPrefix(g, "/") && below(p, path.Clean(g)) }):
		return fmt.Sprintf("with %s the host may be the caller's; --grant %s grants it", p, p)
	}
	return ""
}

// need finds what the granted requests need.
func (r *Role) need() {
	r.operations, r.hazards, r.paths, r.blanks = map[string][]*record.Line{}, map[string][]*record.Line{}, map[string][]*record.Line{}, map[string][]*record.Line{}
	r.unresolved, r.substituted = nil, nil
	gateway := !slices.ContainsFunc(r.Granted, func(l *record.Line) bool { return l.Caller.Door != "gateway" })
	add := func(m map[string][]*record.Line, word string, l *record.Line) { m[word] = append(m[word], l) }
	for _, l := range r.Granted {
		judged, substituted := r.options.judged(l)
		if substituted {
			r.substituted = append(r.substituted, l)
		}
		op := judged.Operation
		if !l.World.OwnExec { // what follows an exec of one's own comes with it
			add(r.operations, op.ID, l)
		}
		// Only what lists and inspects: to blank the end of a wait would hold its head back, for which clients wait.
		shows := gateway && (op.Access == operation.List || op.Access == operation.Inspect)
		blanks := blanked(op.ID)
		if shows && len(blanks) > 0 {
			add(r.blanks, op.ID, l)
		}
		for _, h := range hazards(judged) {
			if shows && h == operation.HazardEnv && slices.Contains(blanks, "env") {
				continue
			}
			add(r.hazards, string(h), l)
		}
		for _, p := range hostPaths(judged) {
			add(r.paths, p, l)
		}
		if slices.ContainsFunc(l.World.Paths, func(p record.Path) bool { return p.Unseen && (!substituted || slices.Contains(op.HostPaths, p.From)) }) {
			r.unresolved = append(r.unresolved, l)
		}
	}
	for p, of := range r.paths { // what lies below another one comes with that
		for other := range r.paths {
			if other != p && below(p, other) {
				r.paths[other] = append(r.paths[other], of...)
				delete(r.paths, p)
				break
			}
		}
	}
}

// hazards are those of a request, with those of a network which turned out to be the host's, and of an image.
func hazards(l *record.Line) []operation.Hazard {
	list := l.Operation.Hazards
	if l.World.Networks != nil && !slices.Contains(list, operation.HazardHostNamespace) {
		list = append(slices.Clone(list), operation.HazardHostNamespace)
	}
	if l.World.Image != nil && !slices.Contains(list, operation.HazardLimits) {
		list = append(slices.Clone(list), operation.HazardLimits)
	}
	return list
}

// denied decides every granted request under the role.
func (r *Role) denied(ctx context.Context) (denied []Refused, err error) {
	engine, done, err := load(ctx, r.YAML(time.Time{}), "")
	if err != nil {
		return nil, fmt.Errorf("load the role that was learnt: %w", err)
	}
	defer done()
	for _, l := range r.Granted {
		again, err := decide.Replay(ctx, engine, &l.Shape)
		switch {
		case err != nil:
			denied = append(denied, Refused{l, err.Error()})
		case !allowed(&again.Verdict):
			denied = append(denied, Refused{l, strings.Join(again.Reasons, "; ")})
		}
	}
	return denied, nil
}

// load makes a policy of the data of a role, and of cases.
func load(ctx context.Context, data, cases string) (engine *policy.Engine, done func(), err error) {
	dir, err := os.MkdirTemp("", "vitrine-learn-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	data += `  admin: ["unix:root", "local"]` + "\n" // under bindings
	err = os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(data), 0o600)
	if err == nil && cases != "" {
		err = os.WriteFile(filepath.Join(dir, "learned.cases"), []byte(cases), 0o600)
	}
	if err == nil {
		engine = policy.New(policy.Options{Paths: []string{dir}})
		err = engine.Load(ctx)
	}
	if err != nil {
		done()
	}
	return engine, done, err
}

// YAML is the role for data.yaml. Each line says how often it was needed, and for what; now is the time that "yesterday"
// is said from.
func (r *Role) YAML(now time.Time) string {
	var b strings.Builder
	words := func(key string, of map[string][]*record.Line) {
		if len(of) == 0 {
			return
		}
		fmt.Fprintf(&b, "    %s:\n", key)
		for _, word := range slices.Sorted(maps.Keys(of)) {
			fmt.Fprintf(&b, "      - %s%s\n", quoted(word), comment(of[word], now))
		}
	}
	fmt.Fprintf(&b, "roles:\n  %s:\n", r.Name)
	words("operations", r.operations)
	words("hazards", r.hazards)
	words("host_paths", r.paths)
	if len(r.unresolved) > 0 {
		fmt.Fprintf(&b, "    unresolved: true%s\n", comment(r.unresolved, now))
	}
	if len(r.substituted) > 0 {
		fmt.Fprintf(&b, "    engine_socket: substitute%s\n", comment(r.substituted, now))
	}
	if len(r.blanks) > 0 {
		b.WriteString("    redact:\n")
		for _, id := range slices.Sorted(maps.Keys(r.blanks)) {
			fmt.Fprintf(&b, "      %s: [%s]%s\n", id, strings.Join(blanked(id), ", "), comment(r.blanks[id], now))
		}
	}
	fmt.Fprintf(&b, "bindings:\n  %s: [%s]\n", r.Name, quoted(r.Principal))
	return b.String()
}

// blanked are the secrets that a learnt role blanks in an operation's answer: what the role look does, which lists and
// inspects. Without command lines and options of network drivers most tools are of no use.
func blanked(id string) []string {
	return slices.DeleteFunc(answer.Blanked(id, answer.Places(id, answer.All)), func(s string) bool { return s == "commands" || s == "network-options" })
}

func quoted(word string) string {
	if regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`).MatchString(word) {
		return word
	}
	return fmt.Sprintf("%q", word)
}

// comment says how often something was needed, and for what.
func comment(lines []*record.Line, now time.Time) string {
	if now.IsZero() {
		return ""
	}
	var n uint64
	latest := lines[0]
	for _, l := range lines {
		if n += l.Count; l.Last.After(latest.Last) {
			latest = l
		}
	}
	return fmt.Sprintf(" # %s, last %s, e.g. %s", requests(n), ago(latest.Last, now), example(latest))
}

const maxExample = 120

// example is a request on one line: a name in it cannot end a comment.
func example(l *record.Line) string {
	return short(l.Operation.Method + " " + l.Operation.URI)
}

// short is the beginning of a text, on one line. It does not hold the rest in memory.
func short(s string) string {
	if len(s) > maxExample {
		s = s[:maxExample] + "…"
	}
	return printable.Line(strings.Clone(s))
}

// Report is what the role does not grant, in comments.
func (r *Role) Report(now time.Time) string {
	var b strings.Builder
	var granted, refused uint64
	for _, l := range r.Granted {
		granted += l.Count
	}
	for _, d := range r.Refused {
		refused += d.Line.Count
	}
	fmt.Fprintf(&b, "# Of %s: %s allowed by this role (each was decided under it), %s not.\n", printable.Line(r.Principal), requests(granted), requests(refused))
	for _, d := range r.Refused {
		fmt.Fprintf(&b, "# not granted: %s%s\n#   %s\n", printable.Line(d.Line.Operation.ID), strings.Replace(comment([]*record.Line{d.Line}, now), " #", ":", 1), printable.Line(d.Why))
	}
	if lossy := slices.ContainsFunc(r.Granted, func(l *record.Line) bool { return l.Lossy }); lossy {
		b.WriteString("# Some requests were decided by a policy that reads what the record leaves out.\n")
	}
	return b.String()
}

// Cases are the requests as lines for a file beside the role: those that come out as they must when nobody but their principal
// and their names are known, which is how cases are decided. left is how many do not.
func (r *Role) Cases(ctx context.Context) (text string, left int, err error) {
	if len(r.Granted) == 0 {
		return "", len(r.Refused), nil
	}
	data := r.YAML(time.Time{})
	var lines []string
	add := func(word string, l *record.Line) {
		line := fmt.Sprintf("%-5s %s %s %s", word, r.Principal, l.Operation.Method, l.Operation.URI)
		if len(l.Operation.Body) > 0 {
			line += " " + string(l.Operation.Body)
		}
		if !slices.Contains(lines, line) && !strings.ContainsAny(line, "\r\n") && !strings.ContainsAny(r.Principal, " ,") {
			lines = append(lines, line)
		}
	}
	for _, l := range r.Granted {
		add("allow", l)
	}
	for _, d := range r.Refused {
		add("deny", d.Line)
	}
	for len(lines) > 0 {
		text = strings.Join(lines, "\n") + "\n"
		_, done, err := load(ctx, data, text)
		if err == nil {
			done()
			return text, left, nil
		}
		wrong := wrongLines(err)
		if len(wrong) == 0 {
			return "", 0, fmt.Errorf("check the cases: %w", err)
		}
		var kept []string
		for i, line := range lines {
			if !wrong[i+1] {
				kept = append(kept, line)
			}
		}
		lines, left = kept, left+len(wrong)
	}
	return "", left, nil
}

// wrongLines are the lines of the file of cases that do not hold.
func wrongLines(err error) map[int]bool {
	wrong := map[int]bool{}
	var walk func(error)
	walk = func(err error) {
		if many, is := err.(interface{ Unwrap() []error }); is {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		if p, is := errors.AsType[policy.Problem](err); is && strings.HasSuffix(p.File, ".cases") && p.Line > 0 {
			wrong[p.Line] = true
		}
	}
	walk(err)
	return wrong
}
