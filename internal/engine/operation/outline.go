package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outline is an operation without what may be a secret in it, for a record that outlives the
// request: which texts stay is a matter of their class (gen/fields.go), and what no class lets
// stay is blanked. What the request does is told beside it, as it was judged with everything in it.
// Its JSON form is part of the record's, docs/record.md.
type Outline struct {
	ID           string              `json:"id"`
	Access       Access              `json:"access"`
	Hazards      []Hazard            `json:"hazards,omitempty"`
	HazardFields map[Hazard][]string `json:"hazard_fields,omitempty"`
	HostPaths    []string            `json:"host_paths,omitempty"`
	Mints        []string            `json:"mints,omitempty"`
	Enters       []string            `json:"enters,omitempty"`
	Unknown      []string            `json:"unknown,omitempty"`
	Rail         string              `json:"rail,omitempty"`
	// Socket is the gateway's own, as it stands in the body in place of the Engine's, in the fields Substituted.
	Socket      string   `json:"socket,omitempty"`
	Substituted []string `json:"substituted,omitempty"`

	Method    string          `json:"method"`
	URI       string          `json:"uri"`
	Body      json.RawMessage `json:"body,omitempty"` // canonical, if it was JSON
	BodyState BodyState       `json:"body_state"`
	// Dropped are the parts of a policy's input of which something is left out, sorted:
	// "request.body.Env", "request.query.since", "operation.target".
	Dropped []string `json:"dropped,omitempty"`
}

// Blank stands in an Outline for a text that is left out.
const Blank = "REDACTED"

// anyExec stands for the id of an exec, which is another one each time.
const anyExec = "any"

// maxOutlineBody bounds the body of an Outline, in bytes.
const maxOutlineBody = 16 << 10

// Outline gives what may be kept of the operation.
func (o *Operation) Outline() *Outline {
	s := &Outline{
		ID: o.ID, Access: o.Access, Hazards: o.Hazards, HazardFields: o.HazardFields, HostPaths: o.TellPaths(),
		Mints: o.Mints, Enters: o.Enters, Unknown: o.Unknown, Rail: o.Rail, Socket: o.given.Path, Substituted: o.SubstitutedIn,
		Method: o.Method, URI: o.URI, BodyState: o.BodyState,
	}
	w := shaping{op: o, dropped: map[string]bool{}}
	for _, n := range namings[o.ID] {
		w.named = append(w.named, n.at)
	}
	at := o
	if o.Resource == "exec" {
		if with, ok := o.WithTargetName(anyExec); ok {
			at, s.Enters = with, []string{"exec:" + anyExec}
			w.dropped["operation.target"] = true
		}
	}
	s.URI = w.uri(at)
	if o.BodyState == BodyJSON {
		s.Body = w.body()
	}
	if slices.Contains(s.HostPaths, Blank) {
		w.dropped["operation.host_paths"] = true
	}
	if len(o.Headers) > 0 {
		w.dropped["request.headers"] = true
	}
	s.Dropped = slices.Sorted(maps.Keys(w.dropped))
	return s
}

// shaping blanks the texts of one operation.
type shaping struct {
	op      *Operation
	named   []string // the places in which it names objects
	dropped map[string]bool
}

// HidesParam says that the value of a parameter may be a secret: what it is made of, a
// source with a password in its address, a build's arguments and labels.
func (o *Operation) HidesParam(name string) bool {
	if o.entry == nil {
		return true
	}
	p := o.entry.param(name)
	return p == nil || p.class == unclassified || p.class == private || p.class == onEnv || p.class.secret()
}

// secret says of a class that counts by its values that these may be secrets.
func (c class) secret() bool {
	return slices.Contains([]class{byChanges, byEnv, byImportSource, byLogOptions, byOutputs, byRemote, byVolumeOptions}, c)
}

// kept says that the texts of a class stay: names, and what is judged by its value, but for secrets.
// A key that is a hazard whatever it holds stays if people know its values by name.
func (c class) kept() bool {
	known := []class{named, onCap, onDevices, onExtraHosts, onGroupAdd, onHostPort, onLimits, onNamedNetwork, onNetworkAddress, onSysctl, onUserns}
	return slices.Contains(known, c) || functions[c].judge != nil && !c.secret()
}

// uri is the request target with the parameters that may stay.
func (w *shaping) uri(o *Operation) string {
	if len(o.Query) == 0 {
		return o.URI
	}
	changed := false
	query := maps.Clone(o.Query)
	for name, values := range query {
		p := o.entry.param(name)
		switch {
		case p == nil || p.class == unclassified:
			query[name] = []string{Blank}
		case p.class == moment:
			delete(query, name)
		case p.json != 0:
			before := len(w.dropped)
			value := w.value(p.json, p.class, o.parameter(p, values), []string{"request", "query", name}, "?"+name)
			if len(w.dropped) == before {
				continue
			}
			query[name] = jsonTexts(p, value)
		case p.class.kept() || plain(values):
			continue
		case p.class == byChanges:
			values = slices.Clone(values)
			for i, v := range values {
				words := strings.Fields(v)
				switch {
				case len(words) == 0:
					values[i] = ""
				case slices.Contains(harmlessChanges, strings.ToUpper(words[0])):
					values[i] = strings.ToUpper(words[0]) + " " + Blank
				default:
					values[i] = "ENV " + Blank // or what counts as one
				}
			}
			query[name] = values
		default:
			query[name] = []string{Blank}
		}
		changed = true
		w.dropped["request.query."+name] = true
	}
	if !changed {
		return o.URI
	}
	path, _, _ := strings.Cut(o.URI, "?")
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// jsonTexts writes a parameter's value again.
func jsonTexts(p *param, value any) []string {
	list := []any{value}
	if all, is := value.([]any); is && p.list {
		list = all
	}
	var out []string
	for _, v := range list {
		text, err := encode(v)
		if err != nil {
			text = []byte("null")
		}
		out = append(out, string(text))
	}
	return out
}

// plain says of values that they are switches or small numbers, which say nothing.
func plain(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool {
		switch strings.ToLower(v) {
		case "true", "false", "all", "yes", "no":
			return false
		}
		return len(v) > 6 || strings.Trim(v, "0123456789.-") != ""
	})
}

// body is the canonical body with the texts that may stay.
func (w *shaping) body() json.RawMessage {
	text, err := encode(w.value(w.op.entry.schema, unclassified, w.op.Body, []string{"request", "body"}, ""))
	if err != nil || len(text) > maxOutlineBody {
		w.dropped["request.body"] = true
		return json.RawMessage("{}")
	}
	return text
}

// value blanks what may not stay of a value. in is where a policy finds it, without what is below a
// list or a map; at the same as a naming has it.
func (w *shaping) value(typ uint16, c class, v any, in []string, at string) any {
	n := &nodeTable[typ]
	switch v := v.(type) {
	case string:
		return w.text(c, v, in, at)
	case json.Number:
		if typ == nodeAny && !c.kept() {
			return w.text(c, string(v), in, at)
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			e = w.value(n.elem, c, e, in, at+"/*")
			if e == any(Blank) && len(out) > 0 && out[len(out)-1] == any(Blank) {
				continue // how many there were says nothing
			}
			out = append(out, e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			elem, of, inside, place := n.elem, c, in, at+"/*"
			if n.kind == kindObject {
				elem, of = nodeAny, unclassified
				inside, place = append(slices.Clip(in), key), at+"/"+key
				if p := n.property(key); p != nil {
					elem = p.node
					if of = p.class; of == part {
						of = c
					}
				}
			}
			out[key] = w.value(elem, of, e, inside, place)
		}
		return out
	}
	return v
}

// text is a text of a class, or what stands for it.
func (w *shaping) text(c class, v string, in []string, at string) string {
	if v == "" || c.kept() || slices.Contains(w.named, at) {
		return v
	}
	out := Blank
	if c == byEnv {
		name, _, _ := strings.Cut(v, "=")
		if out = name + "=" + Blank; v == defaultPath || v == name {
			return v
		}
	}
	w.dropped[strings.Join(in, ".")] = true
	return out
}

// errReread is an Outline of which the request, read again, does more than it did.
var errReread = errors.New("it does not read as what it was")

// Operation is the operation that an Outline is of, without its secrets: read again by the same
// parser, with all that it was judged to do. The Outline may come from anywhere; the error says
// why it is none.
func (s *Outline) Operation(e *Engine) (*Operation, error) {
	req := &Request{Method: s.Method, URI: s.URI, Proto: "HTTP/1.1", Engine: e}
	if s.BodyState != BodyNone {
		req.Header = map[string][]string{"Content-Type": {jsonType}}
		req.ContentLength = int64(max(len(s.Body), 1))
	}
	switch s.BodyState {
	case BodyNone, BodyOpaque:
	case BodyJSON:
		req.ReadBody = func() ([]byte, error) { return s.Body, nil }
	case BodyWithheld:
		req.Withheld = true
	case BodyInvalid:
		return nil, fmt.Errorf("there is no body state %q", s.BodyState)
	default:
		return nil, fmt.Errorf("there is no body state %q", s.BodyState)
	}
	op, err := Parse(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", s.Method, s.URI, err)
	}
	if op.ID != s.ID || op.BodyState != s.BodyState {
		return nil, fmt.Errorf("%s %s is %s, and not %s: %w", s.Method, s.URI, op.ID, s.ID, errReread)
	}
	if s.Socket != "" {
		op.given, op.SubstitutedIn = Socket{Path: s.Socket}, s.Substituted
		op.Substituted = []ResolvedPath{{s.Socket, s.Socket}} // what the client wrote is not kept
		op.judge()
	}
	op.Access, op.Rail = s.Access, s.Rail
	op.lost = &lost{
		fields: map[Hazard][]string{}, hostPath: without(s.HostPaths, op.HostPath),
		mints: without(s.Mints, op.Mints), enters: without(s.Enters, op.Enters),
	}
	for _, h := range s.Hazards {
		if fields := without(s.HazardFields[h], op.HazardFields[h]); len(fields) > 0 || !slices.Contains(op.Hazards, h) {
			op.lost.fields[h] = fields
		}
	}
	hidden := slices.ContainsFunc(s.Dropped, func(at string) bool {
		return strings.HasPrefix(at, "request.body") || strings.HasPrefix(at, "request.query")
	})
	more := func() []string {
		return slices.Concat(texted(without(op.Hazards, s.Hazards)), without(op.HostPath, s.HostPaths), without(op.Mints, s.Mints), without(op.Enters, s.Enters))
	}
	if hidden { // what stands for a text may seem to do more than the text did
		op.lost.more = more()
	}
	op.Unknown = sorted(slices.Clone(s.Unknown))
	if op.judge(); len(more()) > 0 {
		return nil, fmt.Errorf("%s %s does %s: %w", s.Method, s.URI, strings.Join(more(), ", "), errReread)
	}
	return op, nil
}

// lost is what an operation does that its request does not show any longer, and what it seems to do more.
type lost struct {
	more                    []string
	fields                  map[Hazard][]string // by the hazard that is lost, or of which these are
	hostPath, mints, enters []string
}

// recall adds what is lost to what was judged, and takes away what is more.
func (o *Operation) recall() {
	if o.lost == nil {
		return
	}
	for _, h := range o.Hazards {
		if slices.Contains(o.lost.more, string(h)) {
			delete(o.HazardFields, h)
		}
	}
	o.Hazards, o.HostPath = without(o.Hazards, typed(o.lost.more)), without(o.HostPath, o.lost.more)
	o.Mints, o.Enters = without(o.Mints, o.lost.more), without(o.Enters, o.lost.more)
	for h, fields := range o.lost.fields {
		left := slices.DeleteFunc(slices.Clone(fields), func(field string) bool { return h != HazardUnknownInput && o.replacement.has(field, true) })
		if len(left) > 0 || len(fields) == 0 {
			o.addHazard(h, left)
		}
	}
	o.HostPath, o.Mints, o.Enters = append(o.HostPath, o.lost.hostPath...), append(o.Mints, o.lost.mints...), append(o.Enters, o.lost.enters...)
}

func without[E comparable](all, some []E) (rest []E) {
	for _, e := range all {
		if !slices.Contains(some, e) {
			rest = append(rest, e)
		}
	}
	return rest
}

func typed(list []string) (hazards []Hazard) {
	for _, s := range list {
		hazards = append(hazards, Hazard(s))
	}
	return hazards
}

func texted[S ~string](list []S) (out []string) {
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}
