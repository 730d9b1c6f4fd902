package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"  //nolint:depguard // a test's reader of JSON schemas
	"github.com/open-policy-agent/opa/v1/rego" //nolint:depguard // the same

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// kinds are records of every kind, and what is wanted of each in OCSF: type, severity, status, action and disposition.
func kinds(t *testing.T) map[string]struct {
	record audit.Record
	want   [5]int
} {
	t.Helper()
	uid, login := uint32(1000), uint32(1001)
	job := &identity.Identity{
		Kind: identity.Container, Door: "gateway", Listener: "agents", Principals: []string{"container:ci", "image:runner"},
		UID: &uid, PID: 77, Container: &identity.ContainerInfo{ID: strings.Repeat("c", 64)},
	}
	man := &identity.Identity{Kind: identity.Host, Door: "gateway", Principals: []string{"uid:1000", "unix:alice"}, UID: &uid, PID: 9, Process: &identity.Process{LoginUID: &login, Exe: "/usr/bin/docker"}}
	nobody := &identity.Identity{Kind: identity.Unknown, Door: "plugin"}
	of := func(caller *identity.Identity, method, uri, body string, change func(r *audit.Record)) audit.Record {
		var op *operation.Operation
		if body != "refused" {
			var err error
			op, err = operation.Parse(&operation.Request{
				Method: method, URI: uri, Header: map[string][]string{"Content-Type": {"application/json"}},
				ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			uri = op.URI
		}
		r := audit.New("id1", time.UnixMilli(1_800_000_000_123), caller, method, uri, op, policy.Decision{Diagnostics: policy.Diagnostics{Revision: "r1"}})
		r.Allow = true
		if change != nil {
			change(&r)
		}
		return r
	}
	denied := func(r *audit.Record) {
		r.Allow, r.Code, r.Reasons, r.Status = false, "no-role", []string{"no role"}, 403
	}
	until := time.Unix(1_900_000_000, 0)
	g := grant.Grant{ID: "g-1", Role: "ops", To: []string{"unix:alice"}, Until: until, By: "root"}
	return map[string]struct {
		record audit.Record
		want   [5]int
	}{
		"a read":            {of(job, "GET", "/containers/json?all=1", "", func(r *audit.Record) { r.Status = 200 }), [5]int{600302, 1, 1, 1, 1}},
		"not there":         {of(job, "GET", "/containers/x/json", "", func(r *audit.Record) { r.Status = 404 }), [5]int{600302, 1, 2, 1, 1}},
		"a bad request":     {of(job, "GET", "/containers/x/logs", "", func(r *audit.Record) { r.Status = 400 }), [5]int{600302, 1, 2, 1, 1}},
		"a ping":            {of(man, "HEAD", "/_ping", "", nil), [5]int{600302, 1, 1, 1, 1}},
		"a build's cache":   {of(man, "POST", "/build/cancel?id=1", "", nil), [5]int{600303, 1, 1, 1, 1}},
		"a create":          {of(man, "POST", "/containers/create?name=x", `{"Image":"a","Env":["A=hunter2"],"HostConfig":{"Binds":["/srv:/srv"]}}`, nil), [5]int{600301, 1, 1, 1, 1}},
		"a start":           {of(man, "POST", "/containers/x/start", "", nil), [5]int{600303, 1, 1, 1, 1}},
		"a removal":         {of(man, "DELETE", "/containers/x", "", denied), [5]int{600304, 3, 2, 2, 2}},
		"a prune":           {of(man, "POST", "/containers/prune", "", nil), [5]int{600304, 1, 1, 1, 1}},
		"a build":           {of(man, "POST", "/build?buildargs=%7B%22T%22%3A%22hunter2%22%7D", "", denied), [5]int{600301, 3, 2, 2, 2}},
		"audit mode":        {of(nobody, "GET", "/info", "", func(r *audit.Record) { r.Mode, r.Code, r.Reasons = "audit", "no-role", []string{"no role"} }), [5]int{600302, 2, 1, 3, 17}},
		"a differential":    {of(nobody, "GET", "/info", "", func(r *audit.Record) { denied(r); r.Differential = "path" }), [5]int{600302, 4, 2, 2, 2}},
		"not understood":    {of(nobody, "G\x00T", "/\xff?x=hunter2", "refused", denied), [5]int{600300, 3, 2, 2, 2}},
		"no request":        {of(nobody, "", "", "refused", denied), [5]int{600300, 3, 2, 2, 2}},
		"a right begins":    {audit.OfGrant(&grant.Event{Grant: g}, "r1"), [5]int{600399, 1, 1, 1, 1}},
		"a right has ended": {audit.OfGrant(&grant.Event{Grant: g, Ended: true, Why: "revoked"}, ""), [5]int{600399, 1, 1, 1, 1}},
	}
}

// TestOCSFIsWhatItsSchemaSays, for every kind of record.
func TestOCSFIsWhatItsSchemaSays(t *testing.T) {
	schema, err := os.ReadFile("testdata/ocsf-1.8.0-6003.json")
	if err != nil {
		t.Fatal(err)
	}
	judge, err := rego.New(rego.Query("result := json.match_schema(input.event, input.schema)"), rego.SetRegoVersion(ast.RegoV1)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	complaints := func(line []byte) any {
		var event any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got, err := judge.Eval(t.Context(), rego.EvalInput(map[string]any{"event": event, "schema": string(schema)}))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := got[0].Bindings["result"].([]any)
		if answer[0] == true {
			return nil
		}
		return answer[1]
	}
	if complaints([]byte(`{"class_uid":6003}`)) == nil {
		t.Fatal("the schema takes anything")
	}
	for name, k := range kinds(t) {
		line, err := audit.OCSF(nil, &k.record)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := complaints(line); wrong != nil {
			t.Errorf("%s: %v\n%s", name, wrong, line)
		}
		var got struct {
			Type        int   `json:"type_uid"`
			Activity    int   `json:"activity_id"`
			Severity    int   `json:"severity_id"`
			Status      int   `json:"status_id"`
			Action      int   `json:"action_id"`
			Disposition int   `json:"disposition_id"`
			Time        int64 `json:"time"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if is := [5]int{got.Type, got.Severity, got.Status, got.Action, got.Disposition}; is != k.want || got.Type%100 != got.Activity || got.Time != k.record.Time.UnixMilli() {
			t.Errorf("%s is %v, want %v\n%s", name, is, k.want, line)
		}
		if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("}\n")) {
			t.Errorf("%s is no line: %q", name, line)
		}
	}
}

// TestNoFormatHasMoreThanTheRecordClosed: no secret is in any, and each format has whom, what and the verdict.
func TestNoFormatHasMoreThanTheRecordClosed(t *testing.T) {
	for name, k := range kinds(t) {
		for format, f := range map[string]audit.Format{"json": audit.JSON, "ocsf": audit.OCSF} {
			line, err := f([]byte("before\n"), &k.record)
			if err != nil {
				t.Fatal(err)
			}
			account, sent := audit.OTLP(&k.record, f)
			if all := string(line) + sent.String(); strings.Contains(all, "hunter2") {
				t.Errorf("%s in %s: %s", name, format, all)
			}
			if !bytes.Equal(line, append([]byte("before\n"), sent.GetBody().GetStringValue()+"\n"...)) {
				t.Errorf("%s: sent is %s, written %s", name, sent.GetBody(), line)
			}
			if want := k.record.Caller.ContainerID; want != "" && account != want {
				t.Errorf("%s counts against %q", name, account)
			}
		}
	}
}

// TestOTLPAttributes are what one looks for.
func TestOTLPAttributes(t *testing.T) {
	all := kinds(t)
	for name, want := range map[string][]string{
		"a read":         {"vitrine.verdict=allow", "vitrine.operation=ContainerList", "url.path=/containers/json", "url.query=all=1", "http.response.status_code=200", "process.pid=77", "user.id=1000", "container.id=cccc"},
		"a removal":      {"vitrine.verdict=deny", "vitrine.code=no-role", "http.request.method=DELETE", "process.executable.path=/usr/bin/docker"},
		"audit mode":     {"vitrine.verdict=would-deny", "vitrine.caller.kind=unknown"},
		"a right begins": {"vitrine.record.id=g-1"},
	} {
		r := all[name].record
		_, sent := audit.OTLP(&r, audit.JSON)
		var got []string
		for _, a := range sent.GetAttributes() {
			v, _ := json.Marshal(a.GetValue().GetIntValue())
			if s := a.GetValue().GetStringValue(); s != "" {
				v = []byte(s)
			}
			got = append(got, a.GetKey()+"="+string(v))
		}
		for _, w := range want {
			if !strings.Contains("\n"+strings.Join(got, "\n"), "\n"+w) {
				t.Errorf("%s: no %s in %q", name, w, got)
			}
		}
	}
	for name, want := range map[string]string{"a read": "INFO vitrine.decision", "a removal": "WARN vitrine.decision", "a differential": "ERROR vitrine.decision", "audit mode": "WARN vitrine.decision", "a right begins": "INFO vitrine.grant-begin"} {
		r := all[name].record
		if _, sent := audit.OTLP(&r, audit.JSON); sent.GetSeverityText()+" "+sent.GetEventName() != want || sent.GetTimeUnixNano() != uint64(r.Time.UnixNano()) && !r.Time.IsZero() {
			t.Errorf("%s is %s", name, sent)
		}
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// TestEveryFormatIsTheReviewedOne: what the readers of OCSF and of OTLP find of each kind of record, and the sentence of it.
func TestEveryFormatIsTheReviewedOne(t *testing.T) {
	const golden = "testdata/formats.txt"
	var out strings.Builder
	all := kinds(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name].record
		var event map[string]any
		line, err := audit.OCSF(nil, &r)
		if err == nil {
			err = json.Unmarshal(line, &event)
		}
		if err != nil {
			t.Fatal(err)
		}
		delete(event["metadata"].(map[string]any)["product"].(map[string]any), "version") // of the build
		delete(event, "unmapped")                                                         // the record, which is the format of ours
		line, _ = json.MarshalIndent(event, "", " ")
		fmt.Fprintf(&out, "== %s: %s\n%s\n", name, r.Sentence(), line)
		account, sent := audit.OTLP(&r, audit.JSON)
		fmt.Fprintf(&out, "counts against %s\n", account)
		for _, a := range sent.GetAttributes() {
			v := a.GetValue()
			switch {
			case v.GetArrayValue() != nil:
				var list []string
				for _, e := range v.GetArrayValue().GetValues() {
					list = append(list, e.GetStringValue())
				}
				fmt.Fprintf(&out, "%s=%q\n", a.GetKey(), list)
			case v.GetIntValue() != 0:
				fmt.Fprintf(&out, "%s=%d\n", a.GetKey(), v.GetIntValue())
			default:
				fmt.Fprintf(&out, "%s=%q\n", a.GetKey(), v.GetStringValue())
			}
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != out.String() {
		t.Errorf("%v; the formats are others now (-update):\n%s", err, out.String())
	}
}

// TestDeniedIsNotWouldDenyClosed, whatever the mode is, and a format that fails says so in the record's place.
func TestDeniedIsNotWouldDenyClosed(t *testing.T) {
	r := audit.Record{Mode: "audit"}
	if r.Verdict() != "deny" {
		t.Error(r.Verdict())
	}
	_, sent := audit.OTLP(&r, func([]byte, *audit.Record) ([]byte, error) { return nil, errors.New("no such record") })
	if got := sent.GetBody().GetStringValue(); got != "no such record" {
		t.Errorf("%q", got)
	}
}
