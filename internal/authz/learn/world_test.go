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
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
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

func (world) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

func (world) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, nil }
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
