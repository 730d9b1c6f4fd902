package learn_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

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
