package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/explain"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

var update = flag.Bool("update", false, "write the golden table anew")

// goldenCallers are who asks each request: what --as says of them, and at which door.
var goldenCallers = []struct {
	name, door string
	as         []string
}{
	{"root", "gateway", []string{"unix:root", "uid:0", "gid:0"}},
	{"local", "plugin", []string{"local"}},
	{"jenkins", "gateway", []string{"unix:jenkins", "uid:1002"}},
	{"operator", "gateway", []string{"unix:op", "uid:1003", "gid:997"}},
	{"operator@plugin", "plugin", []string{"unix:op", "uid:1003", "gid:997"}},
	{"user", "gateway", []string{"uid:1001"}},
	{"look", "gateway", []string{"container:agent", "label:vitrine.role=look"}},
	{"monitor", "gateway", []string{"container:monitor", "image:vitrine/monitor"}},
	{"writer", "gateway", []string{"container:w", "image:ci/writer", "container-uid:0"}},
	{"plain", "gateway", []string{"container:plain", "container-uid:1000"}},
	{"half", "gateway", []string{"container:plain", "container-uid:0"}}, // of a binding that takes both
	{"ci", "gateway", []string{"tls:ci", "tls-sha256:00"}},
	{"ci@plugin", "plugin", []string{"tls:ci", "tls-sha256:00"}},
	{"example", "gateway", []string{"tls-o:Example"}},
	{"peer", "gateway", []string{"peer-uid:1000", "peer-gid:1000"}},
	{"nobody", "gateway", []string{"container:nobody"}},
}

// goldenRequests are those of the catalogue, one an operation, and those that say more than
// which operation it is.
func goldenRequests() (out [][3]string) {
	name := regexp.MustCompile(`\{[a-z]+\}`)
	for _, info := range operation.Operations() {
		body := ""
		if info.Method != http.MethodGet && info.Method != http.MethodHead && info.Method != http.MethodDelete {
			body = "{}"
		}
		out = append(out, [3]string{info.Method, name.ReplaceAllString(info.Path, "x"), body})
	}
	for _, body := range []string{
		`{"Image":"alpine"}`,
		`{"Image":"ci/writer"}`,
		`{"Image":"alpine","Labels":{"vitrine.role":"look"}}`,
		`{"Image":"alpine","Labels":{"a":"b"},"User":"1000"}`,
		`{"Image":"alpine","Env":["A=b"]}`,
		`{"Image":"alpine","Unheard":1}`,
		`{"Image":"alpine","HostConfig":{"Binds":["/srv/data/x:/x"]}}`,
		`{"Image":"alpine","HostConfig":{"Binds":["/etc:/x","v:/v"]}}`,
		`{"Image":"alpine","HostConfig":{"Binds":["/var/run/docker.sock:/x"]}}`,
		`{"Image":"alpine","HostConfig":{"Privileged":true,"PidMode":"host"}}`,
		`{"Image":"alpine","HostConfig":{"PidMode":"container:monitor","VolumesFrom":["plain"]}}`,
		`{"Image":"alpine","HostConfig":{"NetworkMode":"host","CapAdd":["SYS_ADMIN"],"CgroupParent":"/x"}}`,
		`{"Image":"alpine","HostConfig":{"NetworkMode":"mine","Links":["web:w"]}}`,
		`{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"volume","Source":"v","Target":"/v"}]}}`,
	} {
		out = append(out, [3]string{http.MethodPost, "/containers/create", body})
	}
	for _, name := range []string{"monitor", "plain", "web"} {
		out = append(out,
			[3]string{http.MethodPost, "/containers/create?name=" + name, `{"Image":"alpine"}`},
			[3]string{http.MethodPost, "/containers/x/rename?name=" + name, ""},
			[3]string{http.MethodPost, "/containers/" + name + "/exec", `{"Cmd":["id"]}`},
			[3]string{http.MethodPost, "/containers/" + name + "/exec", `{"Cmd":["id"],"User":"1000"}`})
	}
	return append(out,
		[3]string{http.MethodPost, "/images/create?fromImage=ci/writer", ""},
		[3]string{http.MethodPost, "/images/x/tag?repo=ci/writer&tag=1", ""},
		[3]string{http.MethodPost, "/build?t=ci/writer", ""},
		[3]string{http.MethodGet, "/containers/x/stats?stream=false", ""},
		[3]string{http.MethodGet, "/containers/x/top?ps_args=e", ""},
		[3]string{http.MethodGet, "/containers/json?unheard=1", ""},
		[3]string{http.MethodGet, "/v1.41/containers/json", ""},
		[3]string{http.MethodGet, "/unheard", ""},
		[3]string{http.MethodGet, "/containers//json", ""})
}

// TestGoldenTable holds what each caller is answered, for the whole catalogue, to a file that
// people read: a change of it is a change of what Vitrine allows, or says. `go test
// ./cmd/authz-plugin -run GoldenTable -update` writes it.
func TestGoldenTable(t *testing.T) {
	long.Alone(t)
	engine := policy.New(policy.Options{Paths: []string{"testdata/golden/data.yaml"}})
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	usual := &operation.Engine{Runtime: "runc", LogDriver: "json-file", HostUsers: true}
	options := decide.Options{Engine: func() *operation.Engine { return usual }, Policy: engine, Objects: object.Told{}}
	var table strings.Builder
	for _, r := range goldenRequests() {
		fmt.Fprintln(&table, strings.TrimSpace(strings.Join(r[:], " ")))
		answers, who := []string{}, map[string][]string{}
		for _, c := range goldenCallers {
			caller, err := evalCaller(evalFlags{as: c.as, door: c.door})
			if err != nil {
				t.Fatal(err)
			}
			req := &operation.Request{Method: r[0], URI: r[1], Proto: "HTTP/1.1", Header: http.Header{}}
			if body := []byte(r[2]); len(body) > 0 {
				req.Header.Set("Content-Type", "application/json")
				req.ContentLength, req.ReadBody = int64(len(body)), func() ([]byte, error) { return body, nil }
			}
			answer := goldenAnswer(explain.Ask(t.Context(), options, caller, req))
			if who[answer] == nil {
				answers = append(answers, answer)
			}
			who[answer] = append(who[answer], c.name)
		}
		for _, answer := range answers {
			fmt.Fprintf(&table, "  %s: %s\n", strings.Join(who[answer], " "), answer)
		}
	}
	const file = "testdata/golden/table.txt"
	if *update {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	is, was := strings.Split(table.String(), "\n"), strings.Split(string(golden), "\n")
	for i, at := 0, ""; i < max(len(is), len(was)); i++ {
		now, before := slices.Concat(is, make([]string, len(was)))[i], slices.Concat(was, make([]string, len(is)))[i]
		if !strings.HasPrefix(now, " ") {
			at = now
		}
		if now != before {
			t.Fatalf("line %d, of %s\n is  %s\n was %s", i+1, at, now, before)
		}
	}
}

// goldenAnswer is a verdict in one line.
func goldenAnswer(v *decide.Verdict, rule string) string {
	said := "allow"
	if !v.Allow {
		said = fmt.Sprintf("%d %s", v.Status, v.Code)
	}
	if rule != "" {
		said += " (" + rule + ")"
	}
	said += ": " + strings.Join(v.Reasons(), "; ")
	if v.Allow && len(v.Decision.Redact) > 0 {
		said += fmt.Sprintf("; blanks %d", len(v.Decision.Redact))
	}
	if v.Allow && len(v.Decision.KeepEnv) > 0 {
		said += "; shows " + strings.Join(v.Decision.KeepEnv, " ")
	}
	return said
}
