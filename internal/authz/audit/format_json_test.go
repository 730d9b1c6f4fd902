package audit

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/grant"
	"vitrine/internal/engine/operation"
)

// TestJSONIsWhatEncodingJSONSaysClosed: of a record with any one of its fields, with all, and with none, and whatever stands in a text.
func TestJSONIsWhatEncodingJSONSaysClosed(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 52, 1, 120, time.UTC)
	whole := Record{
		Time: at, ID: "a-1", Door: "gateway", Listener: "agents",
		Caller:    Caller{Kind: "host", Principals: []string{"unix:root", "uid:0"}, UID: new(uint32(1<<32 - 1)), PID: 42, LoginUID: new(uint32), Exe: "/bin/sh", ContainerID: "c", Why: "gone"},
		Operation: "ContainerCreate", Access: operation.Write, Hazards: []operation.Hazard{"a", "b"}, HostPaths: []string{"/srv", "/etc"}, Method: "POST", URI: "/a?b=c&d=<e>",
		Status: 403, Allow: true, Code: "policy", Reasons: []string{"no", "never"}, PolicyRevision: "r1", DurationUsec: 12, Mode: "audit", Differential: "other", Redacted: true,
		Changed: []Change{{What: "id"}}, Event: "grant-begin", Grant: &grant.Grant{ID: "g"}, Duration: time.Second,
	}
	usual := whole
	usual.Differential, usual.Changed, usual.Event, usual.Grant = "", nil, "", nil
	all := map[string]Record{"all": whole, "usual": usual, "none": {}, "another place": {Time: at.In(time.FixedZone("x", 3600))}, "no principals": {Time: at, Caller: Caller{Principals: []string{}}}}
	for _, of := range []Record{whole, usual} {
		from := reflect.ValueOf(of)
		for i := range from.NumField() {
			with, without := Record{Time: at, Caller: Caller{Principals: []string{}}}, of
			reflect.ValueOf(&with).Elem().Field(i).Set(from.Field(i))
			reflect.ValueOf(&without).Elem().Field(i).SetZero()
			name := from.Type().Field(i).Name
			all["with "+name+" "+of.Event], all["without "+name+" "+of.Event] = with, without
		}
		from = from.FieldByName("Caller")
		for i := range from.NumField() {
			with, without := Record{Time: at}, of
			reflect.ValueOf(&with.Caller).Elem().Field(i).Set(from.Field(i))
			reflect.ValueOf(&without.Caller).Elem().Field(i).SetZero()
			name := from.Type().Field(i).Name
			all["with the caller's "+name+" "+of.Event], all["without the caller's "+name+" "+of.Event] = with, without
		}
	}
	for c := range 256 {
		r := usual
		r.URI = "/" + string([]byte{byte(c)}) + "x"
		all[fmt.Sprintf("byte %d", c)] = r
	}
	for name, s := range map[string]string{"line separators": "a\u2028\u2029", "another script": "größe 漢", "escapes": `\"`} {
		r := usual
		r.Reasons = []string{"a", s, "b"}
		all[name] = r
	}
	odd := Record{Time: at, ID: "größe", Caller: Caller{Principals: []string{}}}
	all["nobody, oddly called"] = odd
	for _, year := range []int{-1, 0, 9999, 10_000} {
		r := usual
		r.Time = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		all[fmt.Sprint("year ", year)] = r
	}
	for name, r := range all {
		want, wants := appendLine([]byte("before "), &r)
		got, err := JSON([]byte("before "), &r)
		if (err != nil) != (wants != nil) || string(got) != string(want) {
			t.Errorf("%s: %v, want %v\n%s%s", name, err, wants, got, want)
		}
	}
}

// FuzzJSONIsWhatEncodingJSONSays holds the two against each other.
func FuzzJSONIsWhatEncodingJSONSays(f *testing.F) {
	f.Add("POST", "/v1.41/containers/create?name=job", "it has \"none\" of <a> & \\", "", int64(1_800_000_000), int64(12), uint32(1000), 403, byte(0))
	f.Fuzz(func(t *testing.T, method, uri, reason, listener string, at, usec int64, uid uint32, status int, has byte) {
		r := Record{Time: time.Unix(at, usec).UTC(), Method: method, URI: uri, Reasons: []string{reason, uri}, Listener: listener, DurationUsec: usec, Status: status, Caller: Caller{PID: status}}
		if has&1 != 0 {
			r.Caller.Principals, r.Caller.UID = []string{reason, method}, &uid
		}
		if has&2 != 0 {
			r.HostPaths, r.Allow, r.Code = []string{uri}, true, reason
		}
		if has&4 != 0 {
			r.Mode, r.Redacted, r.Caller.LoginUID, r.Caller.Exe = reason, true, &uid, uri
		}
		if has&8 != 0 {
			r.Changed = []Change{{What: reason}}
		}
		want, wants := appendLine(nil, &r)
		got, err := JSON(nil, &r)
		if (err != nil) != (wants != nil) || string(got) != string(want) {
			t.Errorf("%v, want %v\n%s%s", err, wants, got, want)
		}
	})
}

// TestJSONOfMostAllocatesNothing: a record that has nothing unusual is written as it stands.
func TestJSONOfMostAllocatesNothing(t *testing.T) {
	r := Record{Time: time.Now().UTC(), ID: "a-1", Caller: Caller{Principals: []string{"unix:root"}}, Reasons: []string{strings.Repeat("no ", 20) + "\"~\""}, URI: "/a?b=c&d"}
	b := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { _, _ = JSON(b, &r) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
