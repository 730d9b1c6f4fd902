package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
)

func TestJSON(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		pointers  []string
		keepEnv   []string
		want      string
	}{
		{"nothing to blank", `{"a": 1.50 , "b":[1e400]}`, nil, nil, `{"a": 1.50 , "b":[1e400]}`},
		{"a string", `{"a":"x","b":"y"}`, []string{"/a"}, nil, `{"a":"","b":"y"}`},
		{"types are kept", `{"a":["x",-1.5e3,true,null,{"k":"x"},["x"]]}`, []string{"/a/*"}, nil, `{"a":["",0,false,null,{},[]]}`},
		{"an array of secrets becomes empty", `{"a":["x","y"]}`, []string{"/a"}, nil, `{"a":[]}`},
		{"an object becomes empty", `{"a":{"x":"y"},"b":1}`, []string{"/a"}, nil, `{"a":{},"b":1}`},
		{"a time stays a time", `{"a":"2026-01-02T03:04:05.6Z"}`, []string{"/a"}, nil, `{"a":"0001-01-01T00:00:00Z"}`},
		{"environment", `{"Config":{"Env":["A=1","B=2","C"],"Cmd":["A=1"]}}`, []string{"/Config/Env/*"}, []string{"B"}, `{"Config":{"Env":["A=","B=2",""],"Cmd":["A=1"]}}`},
		{"environment as a whole", `{"Env" : [ "A=1" , "B=2" , 3 ]}`, []string{"/Env"}, []string{"B"}, `{"Env" : ["A=","B=2",0]}`},
		{"environment of a name with quotes", `{"Env":["\u0041\"=1","\u0042=2"]}`, []string{"/Env"}, []string{"B"}, `{"Env":["A\"=","\u0042=2"]}`},
		{"environment that is a bare string", `{"Env":"A=1"}`, []string{"/Env/*"}, nil, `{"Env":"A="}`},
		{"environment that is a map", `{"Env":{"A":"1"}}`, []string{"/Env/*"}, nil, `{"Env":{"A":""}}`},
		{"environment that is null", `{"Env":null}`, []string{"/Env/*"}, nil, `{"Env":null}`},
		{"a list answer", `[{"L":{"a":"x","b":"y"}},{"L":{"a":"z"}}]`, []string{"/*/L/a"}, nil, `[{"L":{"a":"","b":"y"}},{"L":{"a":""}}]`},
		{"one index", `["x","y"]`, []string{"/1"}, nil, `["x",""]`},
		{"folded keys", `{"CONFIG":{"env":["A=1"]},"config":{"\u0045NV":["A=1"]}}`, []string{"/Config/Env/*"}, nil, `{"CONFIG":{"env":["A="]},"config":{"\u0045NV":["A="]}}`},
		{"keys folded as Unicode", `{"` + "\u017f" + `ecret":"x"}`, []string{"/Secret"}, nil, `{"` + "\u017f" + `ecret":""}`},
		{"repeated keys", `{"a":"x","a":"y","A":{"z":1}}`, []string{"/a"}, nil, `{"a":"","a":"","A":{}}`},
		{"escaped pointer", `{"a/b":{"c~d":"x"}}`, []string{"/a~1b/c~0d"}, nil, `{"a/b":{"c~d":""}}`},
		{"~01 is ~1", `{"~1":"x","/":"y"}`, []string{"/~01"}, nil, `{"~1":"","/":"y"}`},
		{"overlapping pointers", `{"a":{"b":"x","c":"y"}}`, []string{"/a/b", "/a", "/*/c"}, nil, `{"a":{}}`},
		{"the whole document", ` [1,2] `, []string{""}, nil, ` [] `},
		{"pointer to nowhere", `{"a":"x"}`, []string{"/a/b", "/c", "/a/*/d"}, nil, `{"a":"x"}`},
		{"structure in strings", `{"a":"}],\"{[","b":"x"}`, []string{"/b"}, nil, `{"a":"}],\"{[","b":""}`},
		{"a bare number", `12`, []string{"/a"}, nil, `12`},
		{"pointers that ended elsewhere", `{"c":{"b":"x","d":"y"}}`, []string{"/a/b", "/c/d"}, nil, `{"c":{"b":"x","d":""}}`},
		{"a bare value where another has a list", `{"c":"x"}`, []string{"/a/*", "/c/d"}, nil, `{"c":"x"}`},
		{"empty containers", `{"a":{},"b":[],"c":[ ]}`, []string{"/a/*", "/b/*", "/c"}, nil, `{"a":{},"b":[],"c":[]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := blanked([]byte(tc.doc), tc.pointers, tc.keepEnv)
			if err != nil || string(got) != tc.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

func TestAnswerThatIsNotJSONClosed(t *testing.T) {
	for _, doc := range []string{"", " ", "{", `{"a":1}{"b":2}`, `{"a":1}]`, "nonsense", `{"a":01}`, `{'a':1}`, "{\"a\":1}\x00"} {
		if got, err := blanked([]byte(doc), []string{"/a"}, nil); err == nil || got != nil {
			t.Errorf("%q: got %q, %v", doc, got, err)
		}
	}
}

func TestPointerThatCannotBeMetClosed(t *testing.T) {
	for _, pointers := range [][]string{{"a"}, {"/a", "b/c"}, {"/a~2"}, {"/a~"}, make([]string, MaxPointers+1)} {
		if _, err := Compile(pointers, nil); err == nil {
			t.Errorf("Compile(%q) succeeded", pointers)
		}
		if out, err := blanked([]byte("{}"), pointers, nil); err == nil || out != nil {
			t.Errorf("JSON with %q succeeded", pointers)
		}
	}
}

func TestAsManyPointersAsMayBe(t *testing.T) {
	many := strings.Split(strings.Repeat("/x,", MaxPointers-1)+"/y", ",")
	if out, err := blanked([]byte(`{"x":"1","y":"2"}`), many, nil); err != nil || string(out) != `{"x":"","y":""}` {
		t.Errorf("%s, %v", out, err)
	}
}

// A typed client must be able to decode what is left when everything is blanked.
func TestTypedClientsStillDecode(t *testing.T) {
	inspect := `{"Id":"abc","Created":"2026-01-02T03:04:05Z","State":{"Status":"running","Pid":1,"Health":{"Status":"healthy","Log":[{"Start":"2026-01-02T03:04:05.1+01:00","End":"2026-01-02T03:04:05Z","ExitCode":0,"Output":"x"}]}},
		"Config":{"Env":["A=1"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"10.0.0.1","HostPort":"80"}]},"Dns":["1.1.1.1"]},
		"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2","IPPrefixLen":16,"Gateway":"172.17.0.1","MacAddress":"02:42:ac:11:00:02","GlobalIPv6Address":"fe80::1"}}}}`
	networks := `[{"Name":"bridge","Created":"2026-01-02T03:04:05Z","IPAM":{"Config":[{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}]}}]`
	for _, tc := range []struct {
		doc      string
		into     func() any
		pointers []string
	}{
		{inspect, func() any { return new(container.InspectResponse) }, []string{"/*"}},
		{inspect, func() any { return new(container.InspectResponse) }, []string{"/*/*"}},
		{inspect, func() any { return new(container.InspectResponse) }, []string{"/NetworkSettings/Networks/*/*", "/State/Health/Log/*/*", "/HostConfig/PortBindings/*/*/*", "/HostConfig/Dns/*"}},
		{networks, func() any { return new([]network.Summary) }, []string{"/*/*", "/*/IPAM/Config/*/*"}},
		{networks, func() any { return new([]network.Summary) }, []string{"/*/IPAM/Config/*/*"}},
		{`{"Id":"sha256:abc","Created":"2026-01-02T03:04:05Z","Config":{"Env":["A=1"]},"Metadata":{"LastTagTime":"2026-01-02T03:04:05Z"}}`, func() any { return new(image.InspectResponse) }, []string{"/*/*", "/Created"}},
	} {
		v := tc.into()
		if err := json.Unmarshal([]byte(tc.doc), v); err != nil {
			t.Fatalf("the test's own document does not decode: %v", err)
		}
		out, err := blanked([]byte(tc.doc), tc.pointers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, tc.into()); err != nil {
			t.Errorf("%v: %v\n%s", tc.pointers, err, out)
		}
	}
}

// Nothing under a redacted pointer survives, the rest stays, and the result is
// valid JSON, whatever the daemon sends.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"Config":{"Env":["A=1",{"a":[1]}]},"x":[1,2.50,"s"]}`))
	f.Add([]byte(`[{"config":{"ENV":"A=1"}},[],{},null,true,-0.1e9]`))
	f.Add([]byte(`{"a":{"b":{"c":"\u0041\"}"}},"a":1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		pointers := []string{"/Config/Env/*", "/a/b", "/*/0", "/x/*/y"}
		out, err := blanked(doc, pointers, []string{"KEEP"})
		if (err == nil) != json.Valid(doc) {
			t.Fatalf("error %v, but json.Valid says %v", err, json.Valid(doc))
		}
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became invalid: %q", doc, out)
		}
		again, err := blanked(out, pointers, []string{"KEEP"})
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("not idempotent: %q became %q, then %q (%v)", doc, out, again, err)
		}
		var v any
		if json.Unmarshal(out, &v) == nil {
			for _, p := range pointers {
				checkBlank(t, v, strings.Split(p[1:], "/"), false)
			}
		}
		if same, err := blanked(doc, nil, nil); err != nil || !bytes.Equal(same, doc) {
			t.Fatalf("no pointers, but %q became %q (%v)", doc, same, err)
		}
	})
}

// checkBlank walks the decoded document on its own terms: by encoding/json.
func checkBlank(t *testing.T, v any, rest []string, env bool) {
	t.Helper()
	if len(rest) == 0 {
		checkZero(t, v, env)
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if rest[0] == "*" || strings.EqualFold(rest[0], k) {
				checkBlank(t, child, rest[1:], strings.EqualFold(k, "Env"))
			}
		}
	case []any:
		for i, child := range v {
			if rest[0] == "*" || rest[0] == fmt.Sprint(i) {
				checkBlank(t, child, rest[1:], env)
			}
		}
	}
}

func checkZero(t *testing.T, v any, env bool) {
	t.Helper()
	switch v := v.(type) {
	case nil:
	case bool:
		if v {
			t.Error("true survived")
		}
	case float64:
		if v != 0 {
			t.Errorf("number %v survived", v)
		}
	case string:
		name, value, isEnv := strings.Cut(v, "=")
		nameOnly := env && isEnv && (value == "" || name == "KEEP")
		if v != "" && v != "0001-01-01T00:00:00Z" && !nameOnly {
			t.Errorf("string %q survived", v)
		}
	case map[string]any:
		if len(v) != 0 {
			t.Errorf("object %v survived", v)
		}
	case []any:
		for _, e := range v {
			checkZero(t, e, env)
		}
		if !env && len(v) != 0 {
			t.Errorf("array %v survived", v)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	doc := []byte(`{"Config":{"Env":["A=1","B=2"],"Labels":{` + strings.Repeat(`"label.name":"some value",`, 100) + `"z":"z"}},"State":{"Pid":1}}`)
	p, err := Compile([]string{"/Config/Env/*"}, []string{"B"})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Apply(doc); err != nil {
			b.Fatal(err)
		}
	}
}

// blanked is doc without what the pointers name.
func blanked(doc []byte, pointers, keepEnv []string) ([]byte, error) {
	p, err := Compile(pointers, keepEnv)
	if err != nil {
		return nil, err
	}
	return p.Apply(doc)
}
