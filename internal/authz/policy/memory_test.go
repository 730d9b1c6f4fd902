package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// TestRememberedIsFresh is the proof that memory demands: over random requests
// and policies that read the input in every shape, a remembered decision is the
// one that a fresh evaluation gives.
func TestRememberedIsFresh(t *testing.T) {
	policies := map[string]string{
		"built-in": "",
		"body": `default allow := false
allow if { input.operation.id == "ContainerCreate"; not input.request.body.HostConfig.Privileged }
reasons contains input.request.body.Image if is_string(input.request.body.Image)
reasons contains k if some k in object.keys(input.request.body.Labels)`,
		"target and headers": `default allow := false
allow if { input.operation.target == "web"; input.request.headers["User-Agent"] != "b" }
reasons contains input.request.query.all[0]
where := {"team": input.caller.container.labels.team}`,
		"whole input": `default allow := false
f(x) if x.operation.target == "web"
allow if f(input)
reasons contains json.marshal(input)`,
		"dynamic": `default allow := false
allow if { some k; input.operation[k] == "web" }
reasons contains sprintf("%v", [input.request[s]]) if some s in ["method"]`,
		"with": `default allow := false
base if input.operation.id == "ContainerList"
allow if base with input.operation.id as input.operation.target
allow if { input.caller.uid == 0; input.caller.kind != "container" }`,
		"alias": `default allow := false
allow if { r := input.request; b := r.body; b.HostConfig.Privileged == false }
reasons contains x if { some x in input.caller.principals; x != "" }
redact contains concat("", ["/", input.operation.target])`,
		"opa-docker-authz": `default allow := false
allow if { input.Method == "POST"; count(input.BindMounts) == 0; input.Body.Image != "b" }
reasons contains input.PathArr[_]
reasons contains input.User`,
	}
	builtin, others := long.Of(1_000, 20_000), long.Of(200, 1_000)
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := builtin
			opts := Options{}
			if policy != "" {
				n = others
				opts.Paths = []string{policyDir(t, "authz.rego", module(policy))}
			}
			e := loaded(t, opts)
			g := e.current.Load()
			r := rand.New(rand.NewPCG(1, 2))
			hits := 0
			for range n {
				in := randomInput(r)
				key, ok := g.reads.appendKey(nil, in)
				if _, known := g.memory.get(key); ok && known {
					hits++
				}
				remembered, fresh := e.Decide(t.Context(), in), g.fresh(t.Context(), in)
				if !reflect.DeepEqual(remembered, fresh) {
					shown, _ := InputJSON(in)
					t.Fatalf("%s\nremembered %+v\nfresh      %+v", shown, remembered, fresh)
				}
			}
			t.Logf("%d of %d remembered", hits, n)
			if hits == 0 && name != "whole input" {
				t.Error("nothing was remembered: the test shows nothing")
			}
		})
	}
}

// randomInput is one of many requests that differ in what one policy or another
// reads, and in what none does.
func randomInput(r *rand.Rand) *Input {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(list ...string) []string {
		var out []string
		for _, s := range list {
			if r.IntN(4) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	ops := []operation.Operation{
		{ID: "ContainerList", Resource: "containers", Access: operation.List},
		{ID: "ContainerInspect", Resource: "containers", Access: operation.Inspect, Hazards: []operation.Hazard{"env"}},
		{ID: "ContainerCreate", Resource: "containers", Access: operation.Write},
		{ID: "SecretList", Resource: "secrets", Access: operation.List},
		{ID: "SystemEvents", Resource: "system", Access: operation.Stream},
	}
	op := ops[r.IntN(len(ops))]
	op.Target = pick("web", "db", "")
	op.Method, op.Path = pick("GET", "POST"), pick("/containers/json", "/x")
	op.URI, op.Version = op.Path, pick("", "1.41")
	op.BodyState = operation.BodyState(pick("none", "json", "withheld"))
	op.Mints = some("container:monitor", "label:vitrine.role=look", "*")
	op.Unknown = some("/Foo")
	op.HostPath = some("/", "/srv")
	op.Headers = map[string][]string{"User-Agent": {pick("a", "b")}}
	op.Query = map[string][]string{"all": {pick("0", "1")}}
	if op.BodyState == operation.BodyJSON {
		op.Body = randomBody(r)
	}
	uid := uint32(r.IntN(2))
	return &Input{
		Caller: &identity.Identity{
			Kind: identity.Kind(pick("host", "container", "tls")), UID: &uid, PID: r.IntN(1000), User: pick("", "ci"),
			Principals: some("unix:root", "label:vitrine.role=look", "container:monitor", "tls:ci"),
			Container:  &identity.ContainerInfo{Name: pick("a", "b"), Labels: map[string]string{"team": pick("x", "y"), "n": pick("1", "2")}, Mounts: []string{"/srv"}},
		},
		Operation: &op,
		Enters:    some("container:monitor", "container:other"),
	}
}

func randomBody(r *rand.Rand) any {
	value := func() any {
		values := []any{nil, true, false, "a", "b", "", json.Number("1"), json.Number("1.0"), []any{}, []any{"a"}, map[string]any{}}
		return values[r.IntN(len(values))]
	}
	body := map[string]any{}
	for _, k := range []string{"Image", "Labels", "Cmd"} {
		if r.IntN(2) == 0 {
			body[k] = value()
		}
	}
	switch r.IntN(3) {
	case 0:
		body["HostConfig"] = value()
	case 1:
		body["HostConfig"] = map[string]any{"Privileged": value(), "Binds": []any{"/:/x:ro"}}
	}
	if r.IntN(2) == 0 {
		body["Labels"] = map[string]any{"a": value()}
	}
	return body
}

// TestReads: what a policy can read of the input is found, in every way to say it.
func TestReads(t *testing.T) {
	long.Alone(t)
	tests := map[string]string{
		"input.operation.id == `x`":                         "operation.id",
		"input[`operation`].id == `x`":                      "operation.id",
		"input.request.body.HostConfig.Privileged":          "request.body/HostConfig/Privileged",
		"input.request.body.Mounts[0].Type == `x`":          "request.body/Mounts",
		"some k; input.request.headers[k] == `x`":           "request.headers",
		"x := input.caller; x.kind == `x`":                  "caller.*",
		"every p in input.caller.principals { p == `x` }":   "caller.principals",
		"count([1 | input.operation.target == `x`]) == 1":   "operation.target",
		"$`{input.operation.target}` == `x`":                "operation.target",
		"object.get(input, [`operation`, `id`], ``) == `x`": "*",
		"walk(input, [_, `x`])":                             "*",
		"input.operation.id == `x` with input.caller as {}": "caller.* operation.id",
		"input.operation.id == input.request.method":        "operation.id request.method",
		"{`a`: input.operation.id}.a == `x`":                "operation.id",
		"not input.operation.unknown[0] == `x`":             "operation.unknown",
	}
	for rule, want := range tests {
		t.Run(rule, func(t *testing.T) {
			e := loadedUnvetted(t, "import rego.v2\n\ndefault allow := false\nallow if { "+strings.ReplaceAll(rule, "`", "\"")+" }")
			if got := summarize(e.current.Load().reads); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestReadsWhatARecordLeavesOut: it is found whatever field of the input it comes to a policy in.
func TestReadsWhatARecordLeavesOut(t *testing.T) {
	e := New(Options{})
	if e.Reads([]string{"request.body"}) {
		t.Error("there is no policy")
	}
	for part, refs := range map[string]struct{ read, unread string }{
		"request.body":        {"request.body.Image request.body Body.Image Body BindMounts", "request.query Path"},
		"request.body.Env":    {"request.body.Env request.body Body.Env Body", "request.body.Image Body.Image BindMounts operation.params.Env"},
		"request.body.A.B":    {"request.body.A request.body.A.B.C", "request.body.A.C request.body.B"},
		"request.query.since": {"request.query.since operation.params.since Query.since request.uri Path", "request.query.all operation.params.all Query.all request.path"},
		"operation.target":    {"operation.target request.path request.uri Path PathPlain PathArr", "operation.id caller.target request.query"},
		"request.headers":     {"request.headers Headers", "request.body"},
		"caller.pid":          {"caller.pid caller", "caller.uid operation.pid"},
		"request":             {"", "request.body request.method"},
	} {
		for i, list := range []string{refs.read, refs.unread} {
			for ref := range strings.FieldsSeq(list) {
				e.current.Store(&generation{reads: project([]*ast.Rule{ast.MustParseRule("allow if input." + ref)})})
				if got := e.Reads([]string{"caller.door", part}); got != (i == 0) {
					t.Errorf("of %s input.%s reads something: %v", part, ref, got)
				}
			}
		}
	}
}

// summarize names what is read, a whole section as "section.*".
func summarize(reads projection) string {
	if len(reads) == len(fields()) {
		return "*"
	}
	sizes, found := map[string]int{}, map[string]int{}
	for _, f := range fields() {
		sizes[f.section]++
	}
	for _, p := range reads {
		found[p.section]++
	}
	out, last := "", ""
	for _, p := range reads {
		name := p.section + "." + p.name
		if found[p.section] == sizes[p.section] {
			name = p.section + ".*"
		}
		for _, path := range p.paths {
			for _, s := range path {
				name += "/" + s
			}
		}
		if name != last {
			out += " " + name
		}
		last = name
	}
	if out == "" {
		return ""
	}
	return out[1:]
}

// TestKeysDiffer: values that Rego can tell apart never have the same key.
func TestKeysDiffer(t *testing.T) {
	values := []value{
		tree(nil), tree(true), tree(false), str(""), str("s"), str("n"), strs(nil), strs([]string{""}), strs([]string{"a", "b"}),
		strs([]string{"ab"}), strs([]string{"a\x00b"}), tree(json.Number("1")), str("1"), tree([]any{json.Number("1")}),
		tree(map[string]any{}), tree(map[string]any{"a": nil}), tree(map[string]any{"a": "b"}), tree(map[string]any{"ab": ""}),
		tree([]any{"a", []any{"b"}}), tree([]any{[]any{"a"}, "b"}), tree([]any{[]any{"a", "b"}}),
	}
	seen := map[string]int{}
	for i, v := range values {
		key, ok := v.appendKey(nil, nil)
		if !ok {
			t.Fatalf("%d: no key", i)
		}
		if j, dup := seen[string(key)]; dup {
			t.Errorf("%v and %v have the same key", values[j], v)
		}
		seen[string(key)] = i
	}
	same, _ := tree([]any{"a"}).appendKey(nil, nil)
	if list, _ := strs([]string{"a"}).appendKey(nil, nil); string(list) != string(same) {
		t.Error("equal values have two keys")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	key := make([]byte, 2000)
	for i := range 20_000 {
		copy(key, fmt.Sprint(i))
		m.put(key, Decision{Allow: true})
		if _, ok := m.get(key); !ok {
			t.Fatal("forgotten at once")
		}
	}
	if n := (len(m.young) + len(m.old)) * len(key); n > 2*memoryBytes {
		t.Errorf("%d bytes of keys", n)
	}
	for length, want := range map[int]bool{maxKey: true, maxKey + 1: false} {
		key := make([]byte, length)
		m.put(key, Decision{})
		if _, kept := m.get(key); kept != want {
			t.Errorf("a key of %d bytes: kept %v", length, kept)
		}
	}
}

// TestMemoryCountsAKeyOnce: a request that is decided by many at one time pushes no other out.
func TestMemoryCountsAKeyOnce(t *testing.T) {
	m := newMemory()
	m.put([]byte("other"), Decision{})
	for range memoryBytes / entryBytes * 3 {
		m.put([]byte("often"), Decision{})
	}
	if _, kept := m.get([]byte("other")); !kept {
		t.Error("another key is forgotten")
	}
}

func TestMemoryKeepsWhatIsAskedFor(t *testing.T) {
	m := newMemory()
	m.put([]byte("often"), Decision{Allow: true})
	key := make([]byte, 2000)
	for i := range 20_000 {
		copy(key, fmt.Sprint(i))
		m.put(key, Decision{})
		if d, ok := m.get([]byte("often")); !ok || !d.Allow {
			t.Fatalf("forgotten after %d", i)
		}
	}
}

// TestConcurrently: many callers while the policy changes under them; each gets
// the answer of one policy or the other.
func TestConcurrently(t *testing.T) {
	dir := policyDir(t, "authz.rego", module(allowList))
	e := loaded(t, Options{Paths: []string{dir}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for range 300 {
				in := randomInput(r)
				if d := e.Decide(t.Context(), in); d.Failed || d.Allow != (in.Operation.ID == "ContainerList") {
					t.Errorf("%s: %+v", in.Operation.ID, d)
				}
			}
		})
	}
	for i := range 10 {
		write(t, dir, "authz.rego", module(allowList)+fmt.Sprintf("\nx%d := 1\n", i))
		if err := e.Load(t.Context()); err != nil {
			t.Error(err)
		}
		e.Status()
	}
	wg.Wait()
}
