package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"vitrine/test/long"
)

func TestJSONCanonical(t *testing.T) {
	create := entryOf(t, "ContainerCreate").schema
	for name, c := range map[string]struct{ in, want string }{
		"spelling":               {`{"image":"a","HOSTCONFIG":{"binds":null}}`, `{"Image":"a","HostConfig":{"Binds":null}}`},
		"long s and Kelvin":      {`{"ho\u017ftconfig":{"networ\u212amode":"host"}}`, `{"HostConfig":{"NetworkMode":"host"}}`},
		"raw long s":             {`{"hoſtconfig":{}}`, `{"HostConfig":{}}`},
		"free keys stay":         {`{"Labels":{"A":"1","a":"2","ſ":"3"}}`, `{"Labels":{"A":"1","a":"2","ſ":"3"}}`},
		"closed below free":      {`{"networkingconfig":{"endpointsconfig":{"Net":{"ALIASES":[]}}}}`, `{"NetworkingConfig":{"EndpointsConfig":{"Net":{"Aliases":[]}}}}`},
		"numbers are tokens":     {`{"StopTimeout":1e2,"HostConfig":{"Memory":9223372036854775807,"CpuShares":-0.50}}`, `{"StopTimeout":1e2,"HostConfig":{"Memory":9223372036854775807,"CpuShares":-0.50}}`},
		"null, absent, empty":    {` { "Cmd" : null , "Env" : [ ] , "Entrypoint":"" } `, `{"Cmd":null,"Env":[],"Entrypoint":""}`},
		"escapes":                {`{"Image":"\u0061\/\n\"\\\ud83d\ude00"}`, `{"Image":"a/\u000a\"\\😀"}`},
		"more escapes":           {`{"Image":"\b\f\r\t\u00E9\u007f\u2028"}`, "{\"Image\":\"\\u0008\\u000c\\u000d\\u0009é\u007f\u2028\"}"},
		"order stays":            {`{"Tty":true,"Image":"x","Cmd":[]}`, `{"Tty":true,"Image":"x","Cmd":[]}`},
		"a respelled key":        {`{ "\u0069mage" :"a","\u006comain" : 1, "cmd":[ "x" , "\/" ] }`, `{"Image":"a","lomain":1,"Cmd":["x","/"]}`},
		"spaces stay":            {`{"Image":"a b !#[]~"}`, `{"Image":"a b !#[]~"}`},
		"upper and lower digits": {`{"Image":"\u00AF\uFACE\uabcd\u0af9"}`, "{\"Image\":\"\u00af\uface\uabcd\u0af9\"}"},
		"exponents":              {`{"X":[1E+2,1e-2,1e999,-0.5E10,0e0]}`, `{"X":[1E+2,1e-2,1e999,-0.5E10,0e0]}`},
		"a long number":          {`{"StopTimeout":` + strings.Repeat("1", maxNumber) + `}`, `{"StopTimeout":` + strings.Repeat("1", maxNumber) + `}`},
		"unknown below unknown":  {`{"X":{"Privileged":true,"privileged":false}}`, `{"X":{"Privileged":true,"privileged":false}}`},
	} {
		_, got, _, err := decodeJSON(c.in, create, nil)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestJSONClosed(t *testing.T) {
	create := entryOf(t, "ContainerCreate").schema
	for in, want := range map[string]string{
		``:                        "body-json",
		`{`:                       "body-json",
		`{"Image":"a"`:            "body-json",
		`{"Image":"a",}`:          "body-json",
		`{"Cmd":["a",]}`:          "body-json",
		`{"Image" "a"}`:           "body-json",
		`{Image:"a"}`:             "body-json",
		`{xImage":"a"}`:           "body-json",
		`{"Image";"a"}`:           "body-json",
		`{"\x:1}`:                 "body-json",
		`{"Image":"\u00:1"}`:      "body-json",
		`{"Image":"\u00/1"}`:      "body-json",
		`{"Image":"\u00G1"}`:      "body-json",
		`{"Image":"\u12`:          "body-json",
		`{"Image":"\n`:            "body-json",
		`{"Image":"\`:             "body-json",
		"{\"Image\":\"\\na\nb\"}": "body-json",
		`{"Image":{}}`:            "body-type",
		`{"Tty":{}}`:              "body-type",
		`{"Image":true}`:          "body-type",
		`{"Cmd":[1]}`:             "body-type",
		`{"Cmd":[["a"]]}`:         "body-type",
		`{"StopTimeout":01}`:      "body-json",
		`{"StopTimeout":1.}`:      "body-json",
		`{"StopTimeout":-}`:       "body-json",
		`{"StopTimeout":1e}`:      "body-json",
		`{"StopTimeout":1e1000}`:  "body-number",
		`{"StopTimeout":` + strings.Repeat("1", 65) + `}`: "body-number",
		`{"Tty":True}`:              "body-json",
		"{\"Image\":\"a\nb\"}":      "body-json",
		`{"Image":"\x41"}`:          "body-json",
		`{"Image":"\u00g1"}`:        "body-json",
		"\ufeff{}":                  "body-json",
		`{}{}`:                      "body-trailing",
		`{}}`:                       "body-trailing",
		`{} ]`:                      "body-trailing",
		"{\"Image\":\"\xff\"}":      "body-utf8",
		`{"Image":"\ud800"}`:        "body-utf8",
		`{"Image":"\udc00\ud800"}`:  "body-utf8",
		`{"Image":"a","image":"b"}`: "body-duplicate-key",
		`{"Image":"a","Image":"b"}`: "body-duplicate-key",
		`{"HostConfig":{},"ho\u017ftConfig":null}`:      "body-duplicate-key",
		`{"Labels":{"a":"1","\u0061":"2"}}`:             "body-duplicate-key",
		`{"Privileged":false,"privileged":true}`:        "body-duplicate-key",
		`{"HostConfig":{"Binds":"/:/host"}}`:            "body-type",
		`{"HostConfig":{"Privileged":"true"}}`:          "body-type",
		`{"HostConfig":[]}`:                             "body-type",
		`[]`:                                            "body-type",
		`"x"`:                                           "body-type",
		`{"HostConfig":{"Mounts":[{"Source":1}]}}`:      "body-type",
		`{"Labels":{"a":["b"]}}`:                        "body-type",
		`{"Labels":` + strings.Repeat("[", 1000):        "body-type",
		`{"X":` + strings.Repeat("[", 1000):             "body-depth",
		`{"X":` + strings.Repeat(`{"a":`, 1000):         "body-depth",
		`{"X":[` + strings.Repeat("0,", 200000) + `0]}`: "body-complex",
	} {
		v, canonical, unknown, err := decodeJSON(in, create, nil)
		s, ok := errors.AsType[*syntaxError](err)
		if !ok || s.code != want {
			t.Errorf("%.60s: %v, want %s", in, err, want)
		}
		if v != nil || canonical != nil || unknown != nil {
			t.Errorf("%.60s: a value comes with the error", in)
		}
	}
	many := `{"X0":0`
	for i := range 100 {
		many += `,"Y` + strings.Repeat("y", i) + `":0`
	}
	_, _, _, err := decodeJSON(many+"}", create, nil)
	if s, ok := errors.AsType[*syntaxError](err); !ok || s.code != "body-unknown-keys" {
		t.Errorf("100 unknown keys: %v", err)
	}
}

// TestFoldingIsGos: a key leads to a property exactly if Go's decoder puts it
// into the field of that name.
func TestFoldingIsGos(t *testing.T) {
	host := entryOf(t, "ContainerCreate").schema
	n := &nodeTable[nodeTable[host].property("HostConfig").node]
	for _, key := range []string{"Binds", "bindS", "BINDſ", "linKs", "lin\u212as", "ſysctlS", "Bınds", "Bİnds", "ＢINDS", "", "Binds ", strings.Repeat("b", 100)} {
		for i := n.props.lo; i < n.props.hi; i++ {
			if p := &propTable[i]; strings.EqualFold(p.name, key) != (n.property(key) == p) {
				t.Errorf("%q and %s", key, p.name)
			}
		}
	}
}

// TestStringEndsClosed at the first byte that does not stand for itself, wherever that is and whatever is behind it.
func TestStringEndsClosed(t *testing.T) {
	for length := range 20 {
		for _, others := range []string{"x", " ", "~", "\x7f", "\x80", "\xff", "!", "#", "[", "]"} {
			text := strings.Repeat(others, length)
			if n := ordinary(text); n != length {
				t.Errorf("%q: %d", text, n)
			}
			for at := range length {
				for _, c := range "\"\\\x00\x1f\n" {
					if n := ordinary(text[:at] + string(c) + text[at+1:]); n != at {
						t.Errorf("%q with %q at %d: %d", text, c, at, n)
					}
				}
			}
		}
	}
}

// TestDecodersKeepNothingClosed: what one request holds is in no other's decoder, though it broke off in the middle.
func TestDecodersKeepNothingClosed(t *testing.T) {
	for _, text := range []string{`{"a":{"b":["secret",1]}}`, `{"a":{"b":["secret",]}}`, `{"a":"secret","a":"secret"}`} {
		_, _, _, _ = decodeJSON(text, nodeAny, nil)
		d := decoders.Get().(*decoder)
		for _, m := range d.members[:cap(d.members)] {
			if m != (member{}) {
				t.Errorf("%s: %+v is left", text, m)
			}
		}
		if p := strings.Join(d.path[:cap(d.path)], ""); p != "" || d.in != "" || d.out != nil || d.unknown != nil || d.depth != 0 || d.from != 0 {
			t.Errorf("%s: %q of %+v is left", text, p, d)
		}
	}
}

// FuzzJSON holds the decoder against encoding/json, which accepts more.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00e9\n",null,true]}`, `[[],{}]`, `"\ud83d\ude00"`, `{"a":1}{}`, `-0`, `1e400`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, canonical, _, err := decodeJSON(in, nodeAny, nil)
		if err != nil {
			return
		}
		if !utf8.ValidString(in) || !json.Valid([]byte(in)) {
			t.Fatalf("%q is accepted", in)
		}
		for _, text := range []string{in, string(canonical)} {
			var want any
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: %#v, want %#v (%v)", text, got, want, err)
			}
		}
		if _, again, _, err := decodeJSON(string(canonical), nodeAny, nil); err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("%q: canonical %q, and again %q (%v)", in, canonical, again, err)
		}
	})
}

// TestJSONLimitsClosed: as much as may be, and one more.
func TestJSONLimitsClosed(t *testing.T) {
	long.Alone(t)
	zeros := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	lists := func(values int) string { // a list of lists that are so many values together
		var all []string
		for values--; values > 0; values -= min(values, maxMembers) {
			all = append(all, zeros(min(values, maxMembers)-1))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":0`, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	for name, text := range map[string]func(more int) string{
		"body-depth":             func(more int) string { return strings.Repeat("[", maxDepth+more) + strings.Repeat("]", maxDepth+more) },
		"body-complex":           func(more int) string { return lists(maxValues + more) },
		"body-complex, elements": func(more int) string { return zeros(maxMembers + more) },
		"body-complex, members":  func(more int) string { return members(maxMembers + more) },
	} {
		if _, _, _, err := decodeJSON(text(0), nodeAny, nil); err != nil {
			t.Errorf("%s: as much as may be: %v", name, err)
		}
		code, _, _ := strings.Cut(name, ",")
		if _, _, _, err := decodeJSON(text(1), nodeAny, nil); err == nil || err.(*syntaxError).code != code { //nolint:errorlint // it is one
			t.Errorf("%s: one more: %v", name, err)
		}
	}
	if _, _, _, err := decodeJSON("[]", entryOf(t, "ContainerCreate").schema, nil); err == nil || !strings.HasPrefix(err.Error(), "/ must be an object and is a list") {
		t.Error(err)
	}
}
