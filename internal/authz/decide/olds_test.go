package decide

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

func anOld(name string) *old {
	return &old{Old: operation.Old{Name: name}, end: time.Now().Add(oldsAfter)}
}

// TestWhatIsRememberedOfOldContainersIsBounded: by caller, who loses the oldest of his own, and in all, where the one loses who has most.
func TestWhatIsRememberedOfOldContainersIsBounded(t *testing.T) {
	var m olds
	for i := range oldsEach + 1 {
		m.add("a", anOld(fmt.Sprint(i)))
	}
	if n := len(m.of["a"]); n != oldsEach || m.n != n || m.get("a", "0") != nil || m.get("a", "1") == nil {
		t.Errorf("%d of one, %d in all", n, m.n)
	}
	for c := range 4 {
		for i := range oldsAll / 4 {
			m.add(fmt.Sprint("caller", c), anOld(fmt.Sprint(i)))
		}
	}
	if m.n != oldsAll {
		t.Errorf("%d in all", m.n)
	}
	m = olds{}
	for i := range oldsEach {
		m.add("most", anOld(fmt.Sprint(i)))
	}
	for i := range oldsAll - oldsEach {
		m.add(fmt.Sprint("other", i), anOld("x"))
	}
	if m.n != oldsAll || m.get("most", "0") == nil {
		t.Errorf("%d in all, which there may be", m.n)
	}
	m.add("last", anOld("x"))
	if m.n != oldsAll || m.get("most", "0") != nil || m.get("last", "x") == nil || m.get("other0", "x") == nil {
		t.Errorf("%d in all, the one who has most lost nothing", m.n)
	}
}

// TestOldContainersEnd: after their time, and leave nothing of their caller.
func TestOldContainersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m olds
		m.add("a", anOld("x"))
		m.add("a", anOld("x")) // again
		if m.n != 1 || len(m.of["a"]) != 1 {
			t.Errorf("%d, %v", m.n, m.of)
		}
		time.Sleep(oldsAfter)
		if m.get("a", "x") != nil {
			t.Error("it is replaced after its time")
		}
		m.add("b", anOld("y"))
		if m.n != 1 || len(m.of) != 1 || m.has("a") || !m.has("b") {
			t.Errorf("%d, %v", m.n, m.of)
		}
		m.add("b", anOld(""))
		if m.get("b", "") != nil || m.get("a", "y") != nil || m.get("b", "y") == nil {
			t.Error("a name is another's, or none")
		}
	})
}

// TestWhichContainersFitClosed: every label has its value, and a role that names no label may replace none.
func TestWhichContainersFitClosed(t *testing.T) {
	yes := map[string]string{"update": "yes"}
	for name, tc := range map[string]struct {
		which  []map[string]string
		labels map[string]string
		want   bool
	}{
		"the label":             {[]map[string]string{yes}, map[string]string{"update": "yes", "a": "b"}, true},
		"the second of two":     {[]map[string]string{{"a": "b"}, yes}, yes, true},
		"another value":         {[]map[string]string{yes}, map[string]string{"update": "no"}, false},
		"no label":              {[]map[string]string{yes}, nil, false},
		"an empty one, missing": {[]map[string]string{{"update": ""}}, nil, false},
		"one of two":            {[]map[string]string{{"update": "yes", "a": "b"}}, yes, false},
		"nothing is asked":      {[]map[string]string{{}}, yes, false},
		"no role":               {nil, yes, false},
	} {
		if fits(tc.which, tc.labels) != tc.want {
			t.Errorf("%s: not %v", name, tc.want)
		}
	}
	d := &policy.Decision{Recreate: []map[string]string{yes}, Diagnostics: policy.Diagnostics{Revision: "2"}}
	for name, tc := range map[string]struct {
		o    *old
		want bool
	}{
		"of this policy":    {&old{labels: yes, revision: "2"}, true},
		"of another policy": {&old{labels: yes, revision: "1"}, false},
		"of a record":       {&old{labels: yes, revision: "1", fields: []string{}}, true},
		"of other labels":   {&old{revision: "2"}, false},
		"of none":           {nil, false},
	} {
		if tc.o.counts(d) != tc.want {
			t.Errorf("%s: not %v", name, tc.want)
		}
	}
}

// TestWhichContainerIsEnteredClosed: none, if it is not one.
func TestWhichContainerIsEnteredClosed(t *testing.T) {
	enters := func(name string) object.Object {
		return object.Object{Role: operation.RoleEnters, Kind: operation.KindContainer, Name: name}
	}
	target := object.Object{Role: operation.RoleTarget, Kind: operation.KindContainer, Name: "target"}
	network := object.Object{Role: operation.RoleEnters, Kind: operation.KindNetwork, Name: "net"}
	for want, list := range map[string][]object.Object{"web": {target, network, enters("web")}, "": {enters("web"), enters("db")}} {
		n := &named{ask: func() []object.Object { return list }}
		if got := n.entered(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (*named)(nil).entered(); got != "" {
		t.Errorf("of what nobody can say: %q", got)
	}
}

// TestWhatHasNoIDIsNothingThatWasMadeClosed: of what the daemon has named nothing is known, and so it is not what has no id either.
func TestWhatHasNoIDIsNothingThatWasMadeClosed(t *testing.T) {
	var m olds
	m.add("a", anOld("x"))
	if m.replacedBy("a", "") != nil {
		t.Error("what has no id is in the place of a container")
	}
	op, err := operation.Parse(operation.ExampleRequest("POST", "/networks/shop/connect", `{"Container":"web"}`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"": "is another one", "c1": ""} {
		before := &old{Old: operation.Old{Name: "web", Config: []byte(`{}`), Host: []byte(`{}`), Networks: []byte(`{"shop":{"NetworkID":"0f"}}`)}, made: id, alike: true}
		_, err := asBefore(op, before, &named{ask: func() []object.Object {
			return []object.Object{{Kind: operation.KindNetwork, Ref: "shop", ID: "0f"}, {Role: operation.RoleEnters, Kind: operation.KindContainer, Ref: "web", Name: "web", ID: id}}
		}})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
