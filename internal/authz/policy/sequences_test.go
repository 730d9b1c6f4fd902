package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

func sequenceProblems(t *testing.T, data string) string {
	t.Helper()
	var all []string
	for _, p := range Check(t.Context(), Options{Paths: []string{policyDir(t, "data.yaml", data)}, Once: true}) {
		if !strings.Contains(p.Message, " also asks ") {
			continue
		}
		if !p.Warning || p.Line == 0 {
			t.Errorf("%+v", p)
		}
		all = append(all, p.Key+": "+p.Message)
	}
	return strings.Join(all, "\n")
}

// TestSequences: whoever may do the first step of a command is told which others it has.
func TestSequences(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	const bound = "\nbindings: {admin: [local], r: ['uid:7'], other: ['uid:7', 'uid:8'], third: [['uid:7', 'gid:7']]}\n"
	with := func(role, more string) string {
		roles := "roles:\n  r: " + role + "\n"
		for _, name := range []string{"other", "third"} {
			if !strings.Contains(more, name+":") {
				more += "  " + name + ": {access: [ping]}\n"
			}
		}
		return roles + more + bound
	}
	for name, c := range map[string]struct{ data, want string }{
		"exec alone": {
			with("{access: [interactive], resources: [containers]}", ""),
			"roles.r: grants ContainerAttach, and docker attach, and docker run in the foreground also asks ContainerInspect and ContainerWait: add to operations what is meant, and redact ContainerInspect or take the hazard env\n" +
				"roles.r: grants ContainerExec, and docker exec also asks ContainerInspect: add to operations what is meant, and redact ContainerInspect or take the hazard env",
		},
		"inspect without its hazard": {
			with("{operations: [ContainerExec, ContainerInspect]}", ""),
			"roles.r: grants ContainerExec, and docker exec also asks ContainerInspect: add to operations what is meant, and redact ContainerInspect or take the hazard env",
		},
		"the end of an exec is taken out": {
			with("{access: [interactive, inspect, write], except: [ExecInspect], hazards: [env]}", ""),
			"roles.r: grants ContainerExec, and docker exec also asks ExecInspect: add to operations what is meant",
		},
		"all of exec": {with("{operations: [ContainerExec, ContainerInspect], redact: {ContainerInspect: [/Config/Env/*]}}", ""), ""},
		"another role of the same holder has it": {
			with("{operations: [ContainerExec]}", "  other: {access: [inspect], hazards: [env]}\n"), "",
		},
		"another role of the same holder may do everything": {
			with("{operations: [ContainerExec]}", "  other: {operations: ['*'], hazards: ['*']}\n"), "",
		},
		"another role of some other holder has it": {
			with("{operations: [ContainerLogs]}", "  third: {access: [inspect], hazards: [env]}\n"),
			"roles.r: grants ContainerLogs, and docker logs also asks ContainerInspect: add to operations what is meant, and redact ContainerInspect or take the hazard env",
		},
		"create":        {with("{operations: [ContainerCreate]}", ""), "roles.r: grants ContainerCreate, and docker run also asks ContainerStart: add to operations what is meant"},
		"cp":            {with("{operations: [ContainerArchive]}", ""), "roles.r: grants ContainerArchive, and docker cp also asks ContainerArchiveInfo: add to operations what is meant"},
		"stats":         {with("{operations: [ContainerStats]}", ""), "roles.r: grants ContainerStats, and docker stats also asks ContainerList and SystemEvents: add to operations what is meant"},
		"stats, once":   {with("{access: [inspect], hazards: [env]}", ""), ""},
		"an older name": {with("{operations: [ContainerGetArchive]}", ""), "roles.r: grants ContainerArchive, and docker cp also asks ContainerArchiveInfo: add to operations what is meant"},
		"of nobody":     {"roles: {r: {operations: [ContainerCreate]}}\nbindings: {admin: [local]}\n", "roles.r: grants ContainerCreate, and docker run also asks ContainerStart: add to operations what is meant"},
		"everything":    {with("{operations: ['*'], hazards: ['*']}", ""), ""},
	} {
		if got := sequenceProblems(t, c.data); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
	if got := sequenceProblems(t, "bindings: {admin: [local], look: ['uid:7'], monitor: ['uid:8']}"); got != "" {
		t.Errorf("the built-in roles: %s", got)
	}
}

// TestGrantsAgreesWithTheRules holds grants against the rules that decide, for roles of every kind.
func TestGrantsAgreesWithTheRules(t *testing.T) {
	long.Alone(t)
	t.Parallel()
	requests := map[string][3]string{
		"ContainerCreate": {"POST", "/containers/create", `{"Image":"x"}`}, "ContainerStart": {"POST", "/containers/x/start"},
		"ContainerAttach": {"POST", "/containers/x/attach"}, "ContainerInspect": {"GET", "/containers/x/json"}, "ContainerWait": {"POST", "/containers/x/wait"},
		"ContainerExec": {"POST", "/containers/x/exec", `{"Cmd":["x"]}`}, "ExecStart": {"POST", "/exec/x/start", `{}`}, "ExecInspect": {"GET", "/exec/x/json"},
		"ContainerLogs": {"GET", "/containers/x/logs"}, "ContainerArchive": {"GET", "/containers/x/archive?path=/"}, "ContainerArchiveInfo": {"HEAD", "/containers/x/archive?path=/"},
		"ContainerStats": {"GET", "/containers/x/stats"}, "ContainerList": {"GET", "/containers/json"}, "SystemEvents": {"GET", "/events"},
	}
	var ids []string
	for _, s := range sequences() {
		ids = append(append(ids, s.first), s.rest...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	random := rand.New(rand.NewPCG(1, 2))
	some := func(words []string) []any {
		var list []any
		for _, w := range words {
			if random.IntN(3) == 0 {
				list = append(list, w)
			}
		}
		return list
	}
	many := long.Of(10, 40)
	roles, bindings := map[string]any{}, map[string]any{"admin": []any{"local"}}
	for i := range many {
		operations := append(some(ids), "SystemPing")
		except := slices.DeleteFunc(some(ids), func(id any) bool { return slices.Contains(operations, id) }) // or it would not load
		role := map[string]any{"operations": operations, "access": append(some(accessClasses()), "ping")}
		for key, list := range map[string][]any{"except": except, "resources": some([]string{"containers", "exec", "system"}), "hazards": some([]string{"env"})} {
			if len(list) > 0 {
				role[key] = list
			}
		}
		if random.IntN(3) == 0 {
			role["redact"] = map[string]any{"ContainerInspect": []any{"/Config/Env/*", "/State/Health/Log/*/Output"}}
		}
		roles[fmt.Sprint("r", i)], bindings[fmt.Sprint("r", i)] = role, []any{fmt.Sprint("uid:", i)}
	}
	data, err := json.Marshal(map[string]any{"roles": roles, "bindings": bindings})
	if err != nil {
		t.Fatal(err)
	}
	e := loaded(t, Options{Paths: []string{policyDir(t, "data.json", string(data))}})
	for i := range many {
		for _, id := range ids {
			r, known := requests[id]
			if !known {
				t.Fatalf("no request for %s", id)
			}
			in := ask(t, []string{fmt.Sprint("uid:", i)}, r[0], r[1], r[2])
			in.OwnExec = strings.HasPrefix(id, "Exec")
			role := roles[fmt.Sprint("r", i)]
			if d := e.Decide(t.Context(), in); d.Failed || d.Allow != grants(role, id) {
				t.Errorf("%s by %v: %+v, and grants says %v", id, role, d, grants(role, id))
			}
		}
	}
}
