package learn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/rego"
	"vitrine/test/long"
)

// world is an Engine with a few things, and who asks.
type world struct{ who *identity.Identity }

func (w world) Identify(context.Context, *identity.Connection) *identity.Identity { return w.who }

func (world) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if strings.HasPrefix(ref, "exec:") {
		return []string{"container:web", "container-id:web-id", "label:team=blue"}, nil
	}
	if ref == "nobody" {
		return nil, errors.New("there is none")
	}
	return []string{"container:" + ref, "container-id:" + ref + "-id"}, nil
}

func (world) HostNetworks(_ context.Context, op *operation.Operation) (fields []string, err error) {
	for _, n := range op.JoinedNetworks() {
		if n.Ref == "hostid" {
			fields = append(fields, n.At)
		}
	}
	return fields, nil
}

func (world) Objects(_ context.Context, op *operation.Operation) (list []object.Object) {
	for _, n := range op.Objects() {
		known := n.Ref != "nobody"
		o := object.Object{Role: n.Role, Kind: n.Kind, Ref: n.Ref, Known: &known}
		if known {
			o.ID, o.Name, o.Names, o.Labels = n.Ref+"-id", n.Ref, []string{n.Ref}, map[string]string{"team": map[bool]string{true: "blue", false: "red"}[len(n.Ref)%2 == 1]}
		}
		list = append(list, o)
	}
	return list
}

func (world) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (world) ImageBurdens(context.Context, string, string) ([]string, error) { return nil, nil }

func (world) Owned(context.Context, operation.Kind, string) (int, error) { return 0, nil }
func (world) Object(context.Context, operation.Kind, string) (object.Object, error) {
	return object.Object{}, nil
}
func (world) JoinedBy(context.Context, string) ([]object.Object, error)          { return nil, nil }
func (world) AnyBorrowed(func(map[string]string) bool) (image string, err error) { return "", nil }
func (world) Resolve(_ context.Context, _, path string) (resolved string, err error) {
	if rest, link := strings.CutPrefix(path, "/link"); link {
		return "/srv" + rest, nil
	}
	return path, nil
}

// ask decides a request as a door would.
func ask(t testing.TB, e *policy.Engine, shapes decide.Shapes, mode decide.Mode, a asked) record.Verdict {
	t.Helper()
	var verdict record.Verdict
	w := world{a.caller()}
	own := "" // we run in no container
	steps := decide.New(decide.Options{
		Identifier: w, Policy: e, Objects: w, HostPaths: w, OwnContainer: func() (string, error) { return own, nil },
		Record: func(audit.Record) {}, Mode: mode, Shapes: tee{shapes, &verdict},
		Sockets: &operation.Sockets{Gateway: []operation.Socket{{Listener: "agents", Path: "/run/vitrine/docker/docker.sock"}}, Engine: []string{"/run/docker.sock"}},
	})
	v := steps.Authorize(t.Context(), identity.NewLocal(), operation.ExampleRequest(a.method, a.uri, a.body))
	if v.Allow {
		if _, unmet := obligation.Meet(obligation.Door(w.who.Door), v.Operation, v.Decision.Demand()); unmet != nil {
			v.Deny(403, "obligation", unmet.Reason)
		}
	}
	v.Finish(0, false)
	return verdict
}

// tee notes the verdict.
type tee struct {
	to      decide.Shapes
	verdict *record.Verdict
}

func (s tee) Add(seen *record.Seen) *record.Kept {
	*s.verdict = seen.Verdict
	if s.to == nil {
		return nil
	}
	return s.to.Add(seen)
}

func (s tee) Again(*record.Kept, time.Time, string, string) bool { return false }

type asked struct{ who, method, uri, body string }

func (a asked) caller() *identity.Identity {
	id := &identity.Identity{Principals: strings.Split(a.who, ","), Groups: []uint32{}, Door: "gateway", Listener: "agents"}
	id.Kind = identity.KindOf(id.Principals)
	return id
}

// clients are what four ask, written by hand after docker's command line, python3-docker, docker-compose and Prometheus; test/e2e/learn has real ones.
func clients() map[string][]asked {
	of := map[string][]string{
		"container:prometheus": {
			"GET /_ping", "GET /v1.41/containers/json?limit=0", "GET /v1.41/networks", "GET /v1.41/containers/web/json", "GET /v1.41/containers/web2/json",
		},
		"container:traefik": {
			"GET /_ping", "HEAD /_ping", "GET /v1.24/version", "GET /v1.24/containers/json?limit=0", "GET /v1.24/containers/web/json",
			"GET /v1.24/events?filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D",
		},
		"unix:ci": {
			"HEAD /_ping", "GET /v1.41/info", "GET /v1.41/version", "GET /v1.41/containers/json?all=1", "POST /v1.41/images/create?fromImage=alpine&tag=3",
			`POST /v1.41/containers/create?name=job {"Image":"alpine:3","Cmd":["make"],"Env":["TOKEN=hunter2"],"HostConfig":{"Binds":["/srv/ci/a:/src"],"NetworkMode":"build"}}`,
			`POST /v1.41/containers/create?name=job2 {"Image":"alpine:3","Cmd":["test"],"HostConfig":{"Binds":["/link/ci/a:/src","cache:/cache"],"NetworkMode":"default"}}`,
			`POST /v1.41/containers/create?name=bad {"Image":"alpine:3","HostConfig":{"Privileged":true}}`,
			`POST /v1.41/containers/create?name=net {"Image":"alpine:3","HostConfig":{"NetworkMode":"hostid"}}`,
			"POST /v1.41/containers/job/start", "POST /v1.41/containers/job/wait?condition=next-exit", "DELETE /v1.41/containers/job?force=1&v=1",
			"POST /v1.41/containers/job/attach?stream=1&stdout=1", "GET /v1.41/containers/job/logs?stdout=1&follow=1&since=17", "GET /v1.41/containers/job/json",
			`POST /v1.41/containers/job/exec {"Cmd":["ps"],"Env":["A=hunter2"]}`, "POST /v1.41/containers/nobody/stop",
			`POST /v1.41/volumes/create {"Name":"cache","Driver":"local"}`, `POST /v1.41/networks/create {"Name":"build","Driver":"bridge"}`,
			"DELETE /v1.41/networks/build", "GET /v1.41/networks/build", "POST /v1.41/containers/prune", "POST /v1.41/build?t=app&buildargs=%7B%22A%22%3A%22hunter2%22%7D",
			"GET /v1.41/containers/job/archive?path=/etc/passwd",
		},
		"container:portainer,label:team=blue": {
			"GET /v1.41/system/df", "GET /v1.41/images/json", "GET /v1.41/images/alpine/json", "GET /v1.41/volumes", "GET /v1.41/services", "GET /v1.41/containers/web/stats?stream=false",
			"POST /v1.41/containers/web/restart", "POST /v1.41/containers/web2/stop?t=5", "GET /v1.41/containers/web/top", "POST /v1.41/swarm/leave", "GET /v1.41/containers/x/logs?stdout=1",
		},
	}
	out := map[string][]asked{}
	for who, list := range of {
		for _, line := range list {
			words := strings.SplitN(line, " ", 3)
			a := asked{who: who, method: words[0], uri: words[1]}
			if len(words) > 2 {
				a.body = words[2]
			}
			out[who] = append(out[who], a)
		}
	}
	return out
}

// tools are what the tools of the presets ask, by the cases beside those, which were written from the tools' sources.
func tools(t testing.TB) map[string][]asked {
	t.Helper()
	out := map[string][]asked{}
	for _, name := range rego.Presets() {
		_, cases, err := rego.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(cases)) {
			words := strings.SplitN(strings.TrimSpace(line)+" ", " ", 5)
			if words[0] == "allow" && len(words) == 5 {
				out[words[1]] = append(out[words[1]], asked{words[1], words[2], words[3], strings.TrimSpace(words[4])})
			}
		}
	}
	return out
}

// traffic is n requests of these clients.
func traffic(by map[string][]asked, n int, r *rand.Rand) (list []asked) {
	var all []asked
	for _, who := range slices.Sorted(maps.Keys(by)) {
		all = append(all, by[who]...)
	}
	list = append(list, all...)
	for len(list) < n {
		a := all[r.IntN(len(all))]
		if at := strings.Index(a.uri, "/containers/web"); at >= 0 && r.IntN(2) == 0 {
			a.uri = strings.Replace(a.uri, "/containers/web", fmt.Sprintf("/containers/w%d-", r.IntN(long.Of(3, 50))), 1)
		}
		list = append(list, a)
	}
	return list
}

type tree = map[string]any

func base() tree {
	return tree{
		"roles": tree{
			"ci": tree{
				"access": []any{"ping", "list", "inspect", "write", "interactive", "stream", "build", "content"}, "hazards": []any{"env", "host-path", "named-volume", "named-network", "outbound"},
				"host_paths": []any{"/srv/ci", "volume:cache"}, "except": []any{"ContainerPrune"},
			},
			"see":  tree{"access": []any{"ping", "list", "inspect"}, "operations": []any{"SystemEvents"}, "redact": tree{"*": []any{"env", "exec", "health", "errors"}}},
			"blue": tree{"access": []any{"ping", "list", "inspect", "write"}, "where": tree{"team": "blue"}, "stamp": tree{"team": "blue"}, "hazards": []any{"env"}, "except": []any{"SystemDataUsage"}},
		},
		"bindings": tree{"admin": []any{"unix:root", "local"}, "ci": []any{"unix:ci"}, "see": []any{"container:prometheus", "container:traefik"}, "blue": []any{"container:portainer"}},
	}
}

func engine(t testing.TB, data tree) (*policy.Engine, string) {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	e := policy.New(policy.Options{Paths: []string{dir}})
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, dir
}

// mutate changes one thing in a policy.
func mutate(data tree, r *rand.Rand) {
	roles, bindings := data["roles"].(tree), data["bindings"].(tree)
	names := []string{"blue", "ci", "see"}
	role := roles[names[r.IntN(3)]].(tree)
	lists := []string{"access", "hazards", "host_paths", "except", "operations"}
	pick := func(words ...string) any { return words[r.IntN(len(words))] }
	switch key := lists[r.IntN(len(lists))]; r.IntN(8) {
	case 0:
		if list, has := role[key].([]any); has && len(list) > 1 {
			role[key] = slices.Delete(slices.Clone(list), 0, 1)
		}
	case 1:
		id := pick("ContainerStop", "ContainerTop", "ImageCreate", "ContainerPrune", "SystemDataUsage")
		role["operations"] = []any{id}
		if but, has := role["except"].([]any); has { // both is refused
			role["except"] = slices.DeleteFunc(slices.Clone(but), func(other any) bool { return other == id })
		}
	case 2:
		role["redact"] = tree{"*": []any{pick("env", "health", "volume-options", "commands")}}
	case 3:
		role["where"], role["stamp"] = tree{"team": pick("blue", "red")}, tree{"team": "blue"}
	case 4:
		bindings["ci"] = []any{pick("container:portainer", "unix:ci", "container:traefik")}
	case 5:
		role["hazards"] = []any{pick("env", "privileged", "outbound", "host-namespace"), "host-path"}
		role["host_paths"] = []any{pick("/srv", "/srv/ci/a", "/link", "volume:cache")}
	case 6:
		role["ceilings"] = tree{"memory": pick("1GiB", "2GiB")}
	case 7:
		delete(role, "where")
		delete(role, "stamp")
		delete(role, "redact")
	}
}

// TestDiffPredictsWhatChangesWhenEnforced: of each request, what two policies make of its shape is what they make of
// the request itself, in both directions, with what is blanked, seen and labelled.
func TestDiffPredictsWhatChangesWhenEnforced(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	requests := traffic(clients(), long.Of(300, 100_000), r)
	was, _ := engine(t, base())
	store := record.New(record.Options{Limit: 64 << 20})
	for _, a := range requests {
		ask(t, was, store, decide.Audit, a)
	}
	lines := linesOf(t, store)
	once := map[string]asked{} // by shape
	for _, a := range requests {
		once[fmt.Sprint(a)] = a
	}
	changes := map[string]int{}
	uncertain, total := 0, 0
	for n := range long.Of(20, 50) {
		data := base()
		for range 1 + r.IntN(2) {
			mutate(data, r)
		}
		is, _ := engine(t, data)
		report := learn.Compare(t.Context(), was, is, lines)
		if len(report.Failed) > 0 {
			t.Fatal(report.Failed)
		}
		type key struct{ change, caller, operation string }
		predicted, actual, unsure := map[key]bool{}, map[key]bool{}, map[key]bool{}
		for _, d := range report.Differences {
			predicted[key{d.Change, d.Caller, d.Operation}] = true
			changes[d.Change]++
			if len(d.Uncertain) > 0 {
				unsure[key{"", d.Caller, d.Operation}] = true
				uncertain++
			}
			total++
		}
		for _, a := range once {
			before, after := ask(t, was, nil, decide.Enforce, a), ask(t, is, nil, decide.Enforce, a)
			change := ""
			switch ok := func(v record.Verdict) bool { return v.Answer != record.Deny }; {
			case ok(before) && !ok(after):
				change = "allow-deny"
			case !ok(before) && ok(after):
				change = "deny-allow"
			case ok(before) && !equal(before, after):
				change = "answer"
			}
			op, err := operation.Parse(operation.ExampleRequest(a.method, a.uri, a.body))
			if err != nil {
				t.Fatal(err)
			}
			k := key{change, strings.Split(a.who, ",")[0], op.ID}
			if change != "" {
				actual[k] = true
			}
		}
		for k := range actual {
			if !predicted[k] && !unsure[key{"", k.caller, k.operation}] {
				t.Errorf("policy %d: %v comes unforeseen", n, k)
			}
		}
		for k := range predicted {
			if !actual[k] && !unsure[key{"", k.caller, k.operation}] {
				t.Errorf("policy %d: %v was foreseen and does not come", n, k)
			}
		}
	}
	t.Logf("%d shapes of %d requests; %v, %d of %d differences uncertain", len(lines), len(requests), changes, uncertain, total)
	if changes["allow-deny"] == 0 || changes["deny-allow"] == 0 || changes["answer"] == 0 || uncertain*2 > total {
		t.Errorf("%v, %d of %d differences uncertain", changes, uncertain, total)
	}
}

// equal holds what a door carries out.
func equal(a, b record.Verdict) bool {
	a.Code, b.Code = "", ""
	norm := func(v *record.Verdict) string { text, _ := json.Marshal(v); return string(text) }
	return norm(&a) == norm(&b)
}

func linesOf(t testing.TB, s *record.Store) []*record.Line {
	t.Helper()
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("a secret is in the record")
	}
	lines, problems, err := record.Read(strings.NewReader(b.String()), "record")
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return lines
}

// TestReplayIsWhatWasDecided: under the same policy nothing differs, and nothing is missing.
func TestReplayIsWhatWasDecided(t *testing.T) {
	long.Alone(t)
	e, _ := engine(t, base())
	store := record.New(record.Options{})
	for _, a := range traffic(clients(), 200, rand.New(rand.NewPCG(3, 4))) {
		ask(t, e, store, decide.Enforce, a)
	}
	lines := linesOf(t, store)
	for _, l := range lines {
		again, err := decide.Replay(t.Context(), e, &l.Shape)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(again.Verdict)
		was, _ := json.Marshal(l.Verdict)
		if !reflect.DeepEqual(text, was) || len(again.Missing) > 0 {
			t.Errorf("%s of %s: %s, was %s; missing %v", l.Operation.URI, l.Caller, text, was, again.Missing)
		}
	}
	if r := learn.Compare(t.Context(), e, e, lines); len(r.Differences) > 0 || r.Uncertain > 0 || r.Shapes != len(lines) {
		t.Errorf("%+v", r)
	}
}

// TestLearntRoleIsTheSmallest: all that it grants passes, and without any word of it something does not.
func TestLearntRoleIsTheSmallest(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e, _ := engine(t, tree{"bindings": tree{"admin": []any{"unix:root", "local"}}})
	for who, requests := range clients() {
		store := record.New(record.Options{})
		for _, a := range requests {
			ask(t, e, store, decide.Audit, a)
		}
		lines := linesOf(t, store)
		r, err := learn.Learn(t.Context(), learn.Options{Principal: strings.Split(who, ",")[0]}, lines)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Granted)+len(r.Refused) != len(lines) || len(r.Granted) == 0 {
			t.Errorf("%s: %d granted and %d refused of %d", who, len(r.Granted), len(r.Refused), len(lines))
		}
		for _, d := range r.Refused {
			t.Logf("%s: %s: %s", who, d.Line.Operation.URI, d.Why)
		}
		text := r.YAML(time.Now())
		all := strings.Split(strings.TrimSpace(text), "\n")
		denies := func(lines []string) int {
			dir := t.TempDir()
			data := strings.Join(lines, "\n") + "\n  admin: [\"unix:root\", \"local\"]\n"
			if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			e := policy.New(policy.Options{Paths: []string{dir}})
			if err := e.Load(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			n := 0
			for _, l := range r.Granted {
				if again, err := decide.Replay(t.Context(), e, &l.Shape); err != nil || again.Answer == record.Deny {
					n++
				}
			}
			return n
		}
		if n := denies(all); n > 0 {
			t.Errorf("%s: %d of its requests are denied by\n%s", who, n, text)
		}
		tried := 0
		for i, line := range all {
			if tried == long.Of(3, 1000) {
				break
			}
			if !strings.HasPrefix(line, "      ") || strings.Contains(line, ": [") && (strings.Contains(text, "- env ") || !strings.Contains(line, "[env")) {
				continue // a key, or what takes away
			}
			without := slices.Delete(slices.Clone(all), i, i+1)
			if key := i - 1; !strings.HasPrefix(all[key], "      ") && (i+1 == len(all) || !strings.HasPrefix(all[i+1], "      ")) {
				without = slices.Delete(without, key, key+1) // the last one of its list
				if !slices.ContainsFunc(without, func(l string) bool { return strings.HasPrefix(l, "      ") }) {
					continue // and of the role
				}
				if strings.Contains(all[key], "host_paths") {
					continue // without the key a role takes any path
				}
			}
			if tried++; denies(without) == 0 {
				t.Errorf("%s: nothing needs %s", who, line)
			}
		}
		cases, left, err := r.Cases(t.Context())
		if err != nil || strings.Count(cases, "\n")+left < len(lines)/2 || strings.Contains(cases, "hunter2") {
			t.Errorf("%s: %v, %d left of %d\n%s", who, err, left, len(lines), cases)
		}
	}
}

// TestLearntRoleOfHalfTheTraffic: of the other half at most 2 % is denied, and only operations that the first never had.
func TestLearntRoleOfHalfTheTraffic(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	e, _ := engine(t, tree{"bindings": tree{"admin": []any{"unix:root", "local"}}})
	r := rand.New(rand.NewPCG(5, 6))
	all := clients()
	maps.Copy(all, tools(t))
	requests := traffic(all, 20_000, r) // so many that not all of one kind are in one half by chance
	r.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	halves := [2]*record.Store{record.New(record.Options{}), record.New(record.Options{})}
	for i, a := range requests {
		ask(t, e, halves[i%2], decide.Audit, a)
	}
	first, second := linesOf(t, halves[0]), linesOf(t, halves[1])
	asking := 0
	for who := range all {
		who, _, _ = strings.Cut(who, ",")
		role, err := learn.Learn(t.Context(), learn.Options{Principal: who, Grant: []string{"content"}}, first)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(data(role)), 0o600); err != nil {
			t.Fatal(err)
		}
		learnt := policy.New(policy.Options{Paths: []string{dir}})
		if err := learnt.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		had := map[string]bool{}
		for _, l := range role.Granted {
			had[l.Operation.ID] = true
		}
		refused := map[string]bool{}
		for _, d := range role.Refused {
			refused[d.Line.Operation.ID+d.Line.Operation.URI] = true
		}
		var n, denied uint64
		for _, l := range second {
			if !slices.Contains(l.Caller.Principals, who) || refused[l.Operation.ID+l.Operation.URI] {
				continue
			}
			n += l.Count
			again, err := decide.Replay(t.Context(), learnt, &l.Shape)
			if err != nil {
				t.Fatal(err)
			}
			if again.Answer == record.Deny {
				denied += l.Count
				t.Logf("denied: %s %d times %s", who, l.Count, l.Operation.URI)
				if had[l.Operation.ID] {
					t.Errorf("%s: %s is denied: %v", who, l.Operation.URI, again.Reasons)
				}
			}
		}
		if denied*50 > n {
			t.Errorf("%s: %d of %d are denied", who, denied, n)
		}
		if n >= 20 {
			asking++
		}
	}
	if asking < 10 {
		t.Errorf("only %d clients asked for anything", asking)
	}
}

// TestTheEnginesSocketIsLearntAsTheGatewaysClosed: only where that is asked for, or was so, and without the hazard.
func TestTheEnginesSocketIsLearntAsTheGatewaysClosed(t *testing.T) {
	long.Alone(t)
	inAudit, _ := engine(t, tree{"bindings": tree{"admin": []any{"unix:root", "local"}}})
	ryuk := asked{"unix:ci", "POST", "/v1.41/containers/create?name=ryuk", `{"Image":"ryuk:1","HostConfig":{"Binds":["/var/run/docker.sock:/var/run/docker.sock"]}}`}
	store := record.New(record.Options{})
	ask(t, inAudit, store, decide.Audit, ryuk)
	lines := linesOf(t, store)
	for _, tt := range []struct {
		grant      []string
		refused    string
		substitute bool
	}{
		{nil, "--grant substitute", false},
		{[]string{learn.Substitute}, "", true},
		{[]string{"engine-socket", "host-path", "/var/run/docker.sock"}, "", false},
	} {
		r, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci", Grant: tt.grant}, lines)
		if err != nil {
			t.Fatal(err)
		}
		said := r.YAML(time.Time{}) + r.Report(time.Now())
		if tt.refused != "" {
			if len(r.Granted) > 0 || !strings.Contains(said, tt.refused) {
				t.Errorf("%v: granted %d\n%s", tt.grant, len(r.Granted), said)
			}
			continue
		}
		if len(r.Granted) != 1 || strings.Contains(said, "engine_socket: substitute") != tt.substitute || strings.Contains(said, "- engine-socket") == tt.substitute {
			t.Errorf("%v: granted %d\n%s", tt.grant, len(r.Granted), said)
			continue
		}
		if !tt.substitute {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(data(r)), 0o600); err != nil {
			t.Fatal(err)
		}
		learnt := policy.New(policy.Options{Paths: []string{dir}})
		if err := learnt.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := record.New(record.Options{})
		if v := ask(t, learnt, again, decide.Enforce, ryuk); v.Answer != record.Allow || !v.Substitute {
			t.Errorf("under the role it is %+v", v)
		}
		once, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci"}, linesOf(t, again))
		if err != nil || once.YAML(time.Time{}) != r.YAML(time.Time{}) {
			t.Errorf("learnt again, without a grant: %v\n%s", err, once.YAML(time.Time{}))
		}
		if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte(strings.Replace(data(r), "    engine_socket: substitute\n", "", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := learnt.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := ask(t, learnt, nil, decide.Enforce, ryuk); v.Answer != record.Deny {
			t.Errorf("without the line it is %+v", v)
		}
	}
}

// data is a policy of a role that was learnt.
func data(r *learn.Role) string { return r.YAML(time.Time{}) + "  admin: [\"unix:root\", \"local\"]\n" }

// TestDangerousIsNotLearntClosed, unless it is asked for.
func TestDangerousIsNotLearntClosed(t *testing.T) {
	long.Alone(t)
	e, _ := engine(t, tree{"bindings": tree{"admin": []any{"unix:root", "local"}}})
	store := record.New(record.Options{})
	for _, a := range clients()["unix:ci"] {
		ask(t, e, store, decide.Audit, a)
	}
	ask(t, e, store, decide.Audit, asked{"unix:ci", "POST", "/plugins/x/disable", ""})
	ask(t, e, store, decide.Audit, asked{"unix:ci", "POST", "/containers/create", `{"Nope":1}`})
	ask(t, e, store, decide.Audit, asked{"unix:ci", "GET", "/secrets", ""})
	lines := linesOf(t, store)
	r, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci"}, lines)
	if err != nil {
		t.Fatal(err)
	}
	said := r.Report(time.Now()) + r.YAML(time.Now())
	for _, want := range []string{"hazard privileged is dangerous", "hazard host-namespace is dangerous", "class content", "only admin may: ", "what nobody knows: /Nope"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in\n%s", want, said)
		}
	}
	if strings.Contains(r.YAML(time.Time{}), "privileged") || strings.Contains(r.YAML(time.Time{}), "ContainerLogs") {
		t.Error(r.YAML(time.Time{}))
	}
	more, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:ci", Grant: []string{"privileged", "content"}}, lines)
	if err != nil || !strings.Contains(more.YAML(time.Time{}), "privileged") || !strings.Contains(more.YAML(time.Time{}), "ContainerLogs") {
		t.Error(err, more.YAML(time.Time{}))
	}
	if _, err := learn.Learn(t.Context(), learn.Options{Principal: "unix:none"}, lines); err == nil {
		t.Error("nobody was seen")
	}
	hostile := &record.Line{Count: 1, Shape: record.Shape{Caller: asked{who: "unix:ci"}.caller(), Operation: &operation.Outline{ID: "SystemPing", Access: "ping", Method: "GET", URI: "/_ping", BodyState: "none"}}}
	hostile.Caller.Principals = []string{"unix:ci"}
	r, err = learn.Learn(t.Context(), learn.Options{Principal: "unix:ci", Name: "a"}, []*record.Line{hostile})
	if err != nil || strings.Count(r.YAML(time.Now()), "\n") != 6 {
		t.Error(err, r)
	}
}
