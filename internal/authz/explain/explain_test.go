package explain

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

const team = `roles:
  look: {access: [ping, list, inspect]}
  deployer: {access: [list], operations: [ContainerRestart], hazards: [env]}
  maker: {operations: [ContainerCreate], host_paths: [/srv/app], hazards: [host-path]}
  blue: {access: [list, inspect], hazards: [env], where: {team: blue}}
bindings:
  admin: [local]
  look: ["unix:lea"]
  deployer: ["unix:dan"]
  maker: ["unix:mia"]
  blue: ["tls:blue"]
`

// ask is the question of a caller at the gateway, under a policy of these files by their names.
func ask(t *testing.T, files map[string]string, as, method, uri, body string) *Question {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	principals := []string{as}
	foreign, err := object.ParseTold("container:red,label=team=red")
	if err != nil {
		t.Fatal(err)
	}
	return &Question{
		Policy:  policy.Options{Paths: []string{dir}, Positions: true},
		Options: decide.Options{Objects: object.Told{foreign}},
		Caller:  &identity.Identity{Kind: identity.KindOf(principals), Principals: principals, Groups: []uint32{}, Door: "gateway"},
		Request: func() *operation.Request {
			r := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: http.Header{}}
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
				r.ContentLength = int64(len(body))
				r.ReadBody = func() ([]byte, error) { return []byte(body), nil }
			}
			return r
		},
	}
}

// TestExplain: what is said to a person of one request, under the policy of a team or another one.
func TestExplain(t *testing.T) {
	long.Alone(t)
	const bind = `{"Image":"a","HostConfig":{"Binds":["/opt/x:/x"]}}`
	rego := "package docker.authz\n\nimport rego.v1\n\ndefault allow := false\n\nallow if input.operation.id == \"SystemPing\"\n\nreasons contains \"never on a Friday\" if input.operation.id != \"SystemPing\"\n"
	for name, tt := range map[string]struct {
		files            map[string]string // the team's, if there are none
		as, method, uri  string
		body             string
		allow            bool
		code             string
		says             string   // is in the message
		holds, decided   string   // "ROLE LINE", and the first line that decided, as "LINE WHAT"
		edits            []string // of the change
		opens, closed, y string   // is among what the change opens, is not, and why there is none
	}{
		"allowed": {
			as: "unix:dan", method: "POST", uri: "/containers/web/restart", allow: true,
			says: "role deployer", holds: "deployer :9", decided: ":3 role deployer grants ContainerRestart",
		},
		"no role": {
			as: "unix:new", method: "GET", uri: "/containers/json", code: "no-role", says: "unix:new may not ContainerList",
			edits: []string{"bind role monitor to unix:new: add it to bindings.monitor"}, opens: "ImageList", closed: "ContainerList",
		},
		"an operation": {
			as: "unix:dan", method: "POST", uri: "/containers/web/stop", says: "unix:dan may not ContainerStop", holds: "deployer :9",
			edits: []string{"add ContainerStop to operations of role deployer (:3)"},
		},
		"a path of the host": {
			as: "unix:mia", method: "POST", uri: "/containers/create", body: bind, says: "/opt/x", holds: "maker :10",
			decided: ":4 role maker does not take the host paths /opt/x", edits: []string{"add /opt/x to host_paths of role maker (:4)"},
		},
		"a hazard, and what else it opens": {
			as: "unix:mia", method: "POST", uri: "/containers/create", body: `{"Image":"a","HostConfig":{"Privileged":true}}`, says: "privileged", holds: "maker :10",
			decided: ":4 role maker does not take the hazards privileged", edits: []string{"add privileged to hazards of role maker (:4)"},
		},
		"an admin's alone": {
			as: "unix:lea", method: "POST", uri: "/grpc", code: "rail-operation", says: "may not", holds: "look :8", y: "only an admin may",
		},
		"what no request is": {
			as: "unix:lea", method: "GET", uri: "/nope", says: "nope", holds: "look :8", y: "nothing that a policy can say",
		},
		"what nobody knows": {
			as: "unix:mia", method: "POST", uri: "/containers/create", body: `{"Image":"a","Frobnicate":1}`, says: "Frobnicate", holds: "maker :10", y: "nobody knows what /Frobnicate does",
		},
		"what is not there for the caller": {
			as: "tls:blue", method: "GET", uri: "/containers/red/json", code: "view", says: "red is not one of the objects that this caller sees", holds: "blue :11", y: "the object is outside",
		},
		"rules of one's own": {
			files: map[string]string{"own.rego": rego},
			as:    "unix:lea", method: "GET", uri: "/info", says: "never on a Friday", decided: "own.rego:9 rule", y: "the policy is Rego of its own",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := tt.files
			if files == nil {
				files = map[string]string{"data.yaml": team}
			}
			a, err := Explain(t.Context(), *ask(t, files, tt.as, tt.method, tt.uri, tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if a.Allow != tt.allow || !strings.Contains(a.Message, tt.says) || tt.code != "" && a.Code != tt.code || !slices.Equal(a.Known, []string{tt.as}) {
				t.Errorf("%t %s: %s, known as %v", a.Allow, a.Code, a.Message, a.Known)
			}
			var holds, decided string
			for _, h := range a.Holds {
				holds += h.Role + " " + h.At[strings.LastIndex(h.At, ":"):]
			}
			if len(a.Decided) > 0 {
				decided = a.Decided[0].At + " " + a.Decided[0].What
			}
			if holds != tt.holds || !strings.Contains(decided, tt.decided) {
				t.Errorf("holds %q; decided %q", holds, a.Decided)
			}
			if tt.edits == nil {
				if a.Change != nil || !strings.Contains(a.Why, tt.y) || (a.Why == "") != (tt.y == "") {
					t.Errorf("%+v, because %q", a.Change, a.Why)
				}
				return
			}
			if a.Change == nil || a.Why != "" {
				t.Fatalf("no change, because %q", a.Why)
			}
			for i, e := range a.Change.Edits { // without the folder
				if at := strings.LastIndex(e, " (/"); at >= 0 {
					a.Change.Edits[i] = e[:at+2] + e[strings.LastIndex(e, ":"):]
				}
			}
			opens := func(id string) bool {
				return slices.ContainsFunc(a.Change.Opens, func(o opened) bool { return o.Operation == id })
			}
			if !slices.Equal(a.Change.Edits, tt.edits) || tt.opens != "" && !opens(tt.opens) || tt.closed != "" && opens(tt.closed) {
				t.Errorf("%q opens %v", a.Change.Edits, a.Change.Opens)
			}
		})
	}
}

// TestNothingIsAdvisedThatIsNotNeededClosed: the change that is told allows the request, and without any one edit of it the request is
// denied; admin is never what is advised.
func TestNothingIsAdvisedThatIsNotNeededClosed(t *testing.T) {
	long.Alone(t)
	for _, tt := range []struct{ as, method, uri, body string }{
		{"unix:new", "POST", "/containers/create", `{"Image":"a","HostConfig":{"Privileged":true,"Binds":["/etc:/x"]}}`},
		{"unix:mia", "POST", "/containers/create", `{"Image":"a","Env":["A=b"],"HostConfig":{"Privileged":true,"Binds":["/etc:/x","/srv/app:/y"]}}`},
		{"unix:lea", "POST", "/containers/web/stop", ""},
	} {
		t.Run(tt.as, func(t *testing.T) {
			t.Parallel()
			q := ask(t, map[string]string{"data.yaml": team}, tt.as, tt.method, tt.uri, tt.body)
			a, err := Explain(t.Context(), *q)
			if err != nil || a.Change == nil {
				t.Fatalf("%+v %v", a, err)
			}
			m, err := policy.ReadModel(q.Policy)
			if err != nil {
				t.Fatal(err)
			}
			op, err := operation.Parse(q.Request())
			if err != nil {
				t.Fatal(err)
			}
			var edits []edit
			for _, list := range append(q.candidates(m, op), q.more(m, op)...) {
				for _, e := range list {
					if slices.Contains(a.Change.Edits, e.say) && !slices.ContainsFunc(edits, func(o edit) bool { return o.say == e.say }) {
						edits = append(edits, e)
					}
				}
			}
			if len(edits) != len(a.Change.Edits) || slices.ContainsFunc(edits, func(e edit) bool { return strings.Contains(e.say, adminRole) }) {
				t.Fatalf("%q is advised", a.Change.Edits)
			}
			if !q.allowedUnder(t.Context(), edits) {
				t.Errorf("%q does not allow it", a.Change.Edits)
			}
			for i := range edits {
				if q.allowedUnder(t.Context(), slices.Delete(slices.Clone(edits), i, i+1)) {
					t.Errorf("%q needs no %q", a.Change.Edits, edits[i].say)
				}
			}
		})
	}
}

// TestDoorThatCannotClosed: what a policy allows and the caller's door cannot carry out is a no, with the demand's name.
func TestDoorThatCannotClosed(t *testing.T) {
	long.Alone(t)
	q := ask(t, map[string]string{"data.yaml": team}, "tls:blue", "GET", "/containers/json", "")
	engine := policy.New(q.Policy)
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.Options.Policy = engine
	if v, rule := Ask(t.Context(), q.Options, q.Caller, q.Request()); !v.Allow || rule != "" {
		t.Errorf("at the gateway: %s, %s", v.Message, rule)
	}
	q.Caller.Door = "plugin"
	if v, rule := Ask(t.Context(), q.Options, q.Caller, q.Request()); v.Allow || v.Code != "obligation" || rule != "where" {
		t.Errorf("at the plugin: %t %s, %s", v.Allow, v.Message, rule)
	}
}
