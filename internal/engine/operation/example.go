package operation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Example is a request of the catalogue, written out and parsed.
type Example struct {
	Method, URI string
	Body        string     // JSON, "" for none
	Operation   *Operation // what Parse says of it
}

// Examples are, by operation, requests that have each hazard which a key of its body or a parameter can tell:
// one for each set of hazards that was found by trying, those with fewest first, and a plain one before them.
// Who carries a hazard out as an example knows that there is such a request, not that there is no
// other: that is what MayHave says. They are shared: do not change them.
func Examples() map[string][]Example { return examples() }

var examples = sync.OnceValue(func() map[string][]Example {
	all := make(map[string][]Example, len(catalogue))
	for i := range catalogue {
		all[catalogue[i].id] = catalogue[i].examples()
	}
	return all
})

func (e *entry) examples() (out []Example) {
	seen := map[string]bool{}
	add := func(uri, body string) {
		op, err := Parse(ExampleRequest(e.method, uri, body))
		if err != nil || len(op.Unknown) > 0 || op.Rail != e.rail {
			return
		}
		if set := string(op.Access) + fmt.Sprint(op.Hazards); !seen[set] {
			seen[set] = true
			out = append(out, Example{Method: e.method, URI: uri, Body: body, Operation: op})
		}
	}
	for _, target := range []string{"x", "host", "bridge"} {
		add(e.plain(target))
	}
	for _, k := range e.keys() {
		if k.path[0] == "?stream" { // its access class goes by it
			add(k.written(`"false"`))
		}
		if k.class.quiet() || k.class == unclassified {
			continue
		}
		set, _ := k.values()
		add(k.written(set))
		if len(functions[k.class].hazards) > 0 {
			for _, value := range tries() {
				add(k.written(value))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Example) int { return len(a.Operation.Hazards) - len(b.Operation.Hazards) })
	return out
}

// ExampleRequest is a request with a body of JSON, or with none.
func ExampleRequest(method, uri, body string) *Request {
	req := &Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.ReadBody = func() ([]byte, error) { return []byte(body), nil }
	}
	return req
}

// MayHave are the hazards that a request of an operation can have, sorted: those of its keys and parameters, and those
// that it has in any case.
func MayHave(id string) (hazards []Hazard) {
	for i := range catalogue {
		e := &catalogue[i]
		if e.id != id {
			continue
		}
		for _, k := range e.keys() {
			if h := classHazards[k.class]; h != "" {
				hazards = append(hazards, h)
			}
			hazards = append(hazards, functions[k.class].hazards...)
		}
		for _, of := range examples()[id] {
			hazards = append(hazards, of.Operation.Hazards...)
		}
	}
	hazards = append(hazards, HazardUnknownInput)
	slices.Sort(hazards)
	return slices.Compact(hazards)
}

// tries are values, as JSON, one of which a function takes for each of its hazards. A test holds them to that.
func tries() []string {
	return []string{
		`"x"`, `"-"`, `"host"`, `"container:x"`, `"/srv"`, `"/run/docker.sock"`, `"/etc/docker"`, `"/dev/x"`, `"v"`, `"http://x"`, `"rshared"`, `"axe"`, `true`, `"true"`, `"false"`,
		`["x"]`, `[]`, `["x:y"]`, `["A=b"]`, `["ENV A=b"]`, `["seccomp=unconfined"]`, `["a *:* rwm"]`, `[{"Count":-1}]`,
		`["/srv:/x"]`, `["/run/docker.sock:/x"]`, `["/etc:/x:ro"]`, `["v:/x"]`, `["/srv:/x:rshared"]`, `["v:/x:rshared"]`,
		`{"/srv:/x":{}}`, `{"/run/docker.sock:/x":{}}`, `{"/etc:/x":{}}`, `{"v:/x":{}}`, `{"v:/x:shared":{}}`, `{"/x":"shared"}`, `[["rshared"]]`,
		`{"n":null}`, `{"host":{}}`, `"gelf"`, `{"syslog-address":"tcp://x"}`, `{"syslog-address":"unix:///run/docker.sock"}`, `{"syslog-tls-ca-cert":"/etc/docker"}`,
		`"02:42:ac:11:00:02"`, `[{"Type":"image","Attrs":{"name":"x","push":"true"}}]`, `"unconfined"`, `"kata"`, `"plugin"`, `"cluster"`,
		`{"size":"1m"}`, `{"device":"/srv","o":"bind"}`, `{"device":"/run/docker.sock","o":"bind"}`, `{"device":"/etc","o":"bind"}`,
		`{"a":"` + strings.Repeat("x", 64<<10) + `"}`, `"` + strings.Repeat("x", maxText+1) + `"`,
	}
}

// keyed is one key of a body, or a parameter, with its class.
type keyed struct {
	e     *entry
	path  []string // keys, "[]" and "*" to it; of a parameter first its name
	node  uint16
	class class
}

func (k keyed) isParam() bool { return k.path[0][0] == '?' }

// keys are those of the body, and the parameters.
func (e *entry) keys() (all []keyed) {
	var walk func(typ uint16, path []string)
	walk = func(typ uint16, path []string) {
		n := &nodeTable[typ]
		switch n.kind {
		case kindArray:
			walk(n.elem, append(slices.Clone(path), "[]"))
		case kindMap:
			walk(n.elem, append(slices.Clone(path), "*"))
		case kindObject:
			for _, p := range propTable[n.props.lo:n.props.hi] {
				at := append(slices.Clone(path), p.name)
				all = append(all, keyed{e: e, path: at, node: p.node, class: p.class})
				walk(p.node, at)
			}
		case kindAny, kindBool, kindString, kindNumber, kindStrings:
		}
	}
	if e.body != bodyNone {
		walk(e.schema, nil)
	}
	for _, p := range paramTable[e.params.lo:e.params.hi] {
		all = append(all, keyed{e: e, path: []string{"?" + p.name}, node: p.json, class: p.class})
		walk(p.json, []string{"?" + p.name})
	}
	return all
}

// written is a request, and its body, that has the value, as JSON, for the key; without any if it is "".
func (k keyed) written(value string) (uri, body string) {
	uri, body = k.e.plain("x")
	path := k.path
	if k.isParam() {
		path = path[1:]
	}
	if value == "" && len(path) > 0 {
		value = "null"
	}
	for _, key := range slices.Backward(path) {
		switch key {
		case "[]":
			value = "[" + value + "]"
		case "*": // a network's name, the only one that is judged
			value = `{"bridge":` + value + "}"
		default:
			value = `{"` + key + `":` + value + "}"
		}
	}
	switch {
	case !k.isParam():
		body = value
	case value != "":
		uri += "?" + k.query(value).Encode()
	}
	return uri, body
}

// plain is a request on the target that says no more than it must.
func (e *entry) plain(target string) (uri, body string) {
	uri = strings.NewReplacer("{id}", target, "{name}", target, "{checkpoint}", "x").Replace(e.path)
	if e.body == bodyRequired {
		body = "{}"
	}
	return uri, body
}

func (k keyed) query(value string) url.Values {
	name := k.path[0][1:]
	var decoded any
	if k.e.param(name).json != 0 || json.Unmarshal([]byte(value), &decoded) != nil {
		return url.Values{name: {value}}
	}
	return url.Values{name: texts(decoded)}
}

// values are some value of the key's type, and its type's zero.
func (k keyed) values() (set, zero string) {
	switch n := &nodeTable[k.node]; n.kind {
	case kindBool:
		return "true", "false"
	case kindString:
		return `"x"`, `""`
	case kindNumber:
		return "1", "0"
	case kindStrings:
		return `["x"]`, "[]"
	case kindArray:
		elem, _ := keyed{node: n.elem}.values()
		return "[" + elem + "]", "[]"
	case kindObject:
		p := propTable[n.props.lo]
		first, _ := keyed{node: p.node}.values()
		return `{"` + p.name + `":` + first + `}`, "null"
	case kindMap:
		return `{"x":null}`, "{}"
	case kindAny:
	}
	return `"x"`, `""` // a parameter
}
