package redact

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

var actions = []string{"/Action", "/status"}

// redacted reads all events of a stream.
func redacted(t *testing.T, stream string, pointers []string, limit int64) (out []string, err error) {
	t.Helper()
	p, err := Compile(pointers, nil)
	if err != nil {
		t.Fatal(err)
	}
	for e := p.Events(strings.NewReader(stream), limit); ; {
		event, err := e.Next()
		if err != nil {
			return out, err
		}
		out = append(out, string(event))
	}
}

func TestEvents(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		pointers []string
		want     string
	}{
		{"start", `{"status":"start","Action":"start","time":1.0}`, actions, `{"status":"start","Action":"start","time":1.0}`},
		{"exec", `{"status":"exec_create: mysql -psecret","Action":"exec_start: mysql -psecret","id":"a:b"}`, actions, `{"status":"exec_create:","Action":"exec_start:","id":"a:b"}`},
		{"the end of an exec", `{"Action":"exec_die"}`, actions, `{"Action":"exec_die"}`},
		{"the end of a container that is started again", `{"Action":"die","Actor":{"Attributes":{"exitCode":"1","restarting":"true"}}}`, actions, `{"Action":"die","Actor":{"Attributes":{"exitCode":"1","restarting":"true"}}}`},
		{"health", `{"Action":"health_status: healthy"}`, actions, `{"Action":"health_status: healthy"}`},
		{"what a health check printed", `{"Action":"health_status: secret"}`, actions, `{"Action":"health_status:"}`},
		{"an action that nobody knows", `{"Action":"exec_again: secret"}`, actions, `{"Action":"exec_again:"}`},
		{"escapes", `{"\u0041ction":"exec\u005fcreate\u003a secret"}`, actions, `{"\u0041ction":"exec_create:"}`},
		{"folded and repeated keys", `{"ACTION":"x: secret","action":"x: secret","Status":"x: secret"}`, actions, `{"ACTION":"x:","action":"x:","Status":"x:"}`},
		{"no string", `{"Action":["secret"],"status":{"a":"secret"}}`, actions, `{"Action":[],"status":{}}`},
		{"further down it is no action", `{"Actor":{"Action":"x: y"}}`, []string{"/Actor/Action"}, `{"Actor":{"Action":""}}`},
		{"another pointer blanks all of it", `{"Action":"start","id":"x"}`, []string{"/Action", "/*"}, `{"Action":"","id":""}`},
		{"a pointer below an action blanks all of it", `{"Action":"start"}`, []string{"/Action/*"}, `{"Action":""}`},
		{"other pointers", `{"Action":"x: y","Actor":{"Attributes":{"a":"b"}}}`, []string{"/Actor/Attributes/*"}, `{"Action":"x: y","Actor":{"Attributes":{"a":""}}}`},
		{"beside other pointers", `{"Action":"x: y","Actor":{"Attributes":{"a":"b"}}}`, append([]string{"/Actor/Attributes/*"}, actions...), `{"Action":"x:","Actor":{"Attributes":{"a":""}}}`},
		{"what stays is not written anew", `{"Action":"exec\u005fdie"}`, actions, `{"Action":"exec\u005fdie"}`},
		{"as long as may be", `{"a":"` + strings.Repeat("s", 92) + `"}`, actions, `{"a":"` + strings.Repeat("s", 92) + `"}`},
		{"several events", "{\"Action\":\"x: y\"}\n {\"Action\":\"start\"}{}\n", actions, "{\"Action\":\"x:\"}\n{\"Action\":\"start\"}\n{}"},
		{"none", "", actions, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := redacted(t, tc.in, tc.pointers, 100)
			if strings.Join(got, "\n") != tc.want || !errors.Is(err, io.EOF) {
				t.Errorf("got  %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

// The rule for actions is for events alone.
func TestDocumentHasNoActions(t *testing.T) {
	if got, err := blanked([]byte(`{"Status":"running","Action":"start"}`), actions, nil); err != nil || string(got) != `{"Status":"","Action":""}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestEventsThatCannotBeReadClosed(t *testing.T) {
	for in, want := range map[string]error{
		`nonsense`:                ErrNotJSON,
		`["secret"]`:              ErrNotJSON,
		`"secret" `:               ErrNotJSON,
		`null `:                   ErrNotJSON,
		"\x1e{\"Action\":\"a\"}":  ErrNotJSON, // application/json-seq
		`{"Action":"secret"]`:     ErrNotJSON,
		`{"Action":"secret`:       io.ErrUnexpectedEOF,
		strings.Repeat(" ", 1000): ErrTooLong,
		`{"Action":"` + strings.Repeat("s", 1000) + `"}`:  ErrTooLong,
		`{"a":` + strings.Repeat(`[`, 10) + `0]}`:         ErrNotJSON,
		`{"a":"` + strings.Repeat("s", 100) + `"}{"b":1}`: ErrTooLong,
	} {
		got, err := redacted(t, `{"Action":"start"}`+"\n"+in, actions, 100)
		if len(got) != 1 || !errors.Is(err, want) {
			t.Errorf("%.40q: %q, %v, want one event and %v", in, got, err, want)
		}
	}
}

func TestEventIsGivenWithItsLastByte(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	p, err := Compile(actions, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream := p.Events(r, 1<<20)
	for range 3 {
		go func() { _, _ = io.WriteString(w, `{"Action":"x: y"}`) }() // and nothing behind it
		if event, err := stream.Next(); err != nil || string(event) != `{"Action":"x:"}` {
			t.Fatalf("%s, %v", event, err)
		}
	}
}

// Nothing behind the colon of an action survives, whatever the stream is cut
// into, and what is given is one object each.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("{\"Action\":\"exec_create: secret\"}\n{\"status\":\"start\"}"))
	f.Add([]byte(`{"action":{"a":1}}{"STATUS":"\u003a"}[1]`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		p, err := Compile(actions, nil)
		if err != nil {
			t.Fatal(err)
		}
		for e := p.Events(strings.NewReader(string(stream)), 1<<10); ; {
			event, err := e.Next()
			if err != nil {
				return
			}
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(event, &fields); err != nil {
				t.Fatalf("%q: %v", event, err)
			}
			for key, raw := range fields {
				var s string
				if (strings.EqualFold(key, "Action") || strings.EqualFold(key, "status")) && json.Unmarshal(raw, &s) == nil && s != operation.BlankAction(s) {
					t.Fatalf("%q survived in %q", s, event)
				}
			}
		}
	})
}
