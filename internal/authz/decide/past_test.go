package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/hostpath"
)

// TestWhatARecordSays: what it does not say is missed, and what could not be told then cannot be told now.
func TestWhatARecordSaysClosed(t *testing.T) {
	none, ours := "", "c0ffee"
	full := &record.World{
		Containers: []record.Container{{Ref: "web", Principals: []string{"container:web"}}, {Ref: "lost", Why: "no answer"}},
		Joined:     []string{"container:db"},
		Networks:   &record.Networks{Fields: []string{"NetworkMode"}},
		Paths:      []record.Path{{From: "/a", To: "/b"}, {From: "/lost", Why: "no answer"}, {From: "/unseen", Why: "not mounted", Unseen: true}},
		Objects:    []object.Object{{Ref: "web"}}, Named: true,
		Starts: []record.Start{{ID: "lost", Why: "no answer"}, {ID: "c0ffee", Networks: []object.Object{{Ref: "lan"}}}},
		Own:    &ours,
	}
	op := &operation.Operation{ID: "ContainerStop", Resource: "containers", Target: "web"}
	ctx := context.Background()
	first := func(list []string, err error) (string, error) { return append(list, "")[0], err }
	ref := func(list []object.Object, err error) (string, error) {
		if len(list) == 0 {
			return "", err
		}
		return list[0].Ref, err
	}
	for name, tc := range map[string]struct {
		world *record.World
		ask   func(*past) (string, error)
		want  string
		fails string
		miss  string
	}{
		"a container":                {full, func(p *past) (string, error) { return first(p.ContainerPrincipals(ctx, "web")) }, "container:web", "", ""},
		"a container, lost":          {full, func(p *past) (string, error) { return first(p.ContainerPrincipals(ctx, "lost")) }, "", "no answer", ""},
		"a container, unasked":       {full, func(p *past) (string, error) { return first(p.ContainerPrincipals(ctx, "db")) }, "container:db", "", "who container db is"},
		"what it is joined to":       {full, func(p *past) (string, error) { return first(p.Joined(ctx, "web")) }, joinedRef, "", ""},
		"what that is":               {full, func(p *past) (string, error) { return first(p.ContainerPrincipals(ctx, joinedRef)) }, "container:db", "", ""},
		"what that is joined to":     {full, func(p *past) (string, error) { return first(p.Joined(ctx, joinedRef)) }, "", "", ""},
		"it is joined to none":       {&record.World{}, func(p *past) (string, error) { return first(p.Joined(ctx, "web")) }, "", "", ""},
		"networks":                   {full, func(p *past) (string, error) { return first(p.HostNetworks(ctx, op)) }, "NetworkMode", "", ""},
		"networks, none":             {&record.World{}, func(p *past) (string, error) { return first(p.HostNetworks(ctx, op)) }, "", "", ""},
		"networks, lost":             {&record.World{Networks: &record.Networks{Why: "no answer"}}, func(p *past) (string, error) { return first(p.HostNetworks(ctx, op)) }, "", "no answer", ""},
		"a path":                     {full, func(p *past) (string, error) { return p.Resolve(ctx, "", "/a") }, "/b", "", ""},
		"a path, lost":               {full, func(p *past) (string, error) { return p.Resolve(ctx, "", "/lost") }, "", "no answer", ""},
		"a path, unasked":            {full, func(p *past) (string, error) { return p.Resolve(ctx, "", "/c") }, "/c", "", "what /c is on the host"},
		"a path, unseen":             {full, func(p *past) (string, error) { return p.Resolve(ctx, "", "/unseen") }, "", hostpath.ErrUnseen.Error() + ": not mounted", ""},
		"objects":                    {full, func(p *past) (string, error) { return ref(p.Objects(ctx, op), nil) }, "web", "", ""},
		"objects, none of that name": {&record.World{Named: true}, func(p *past) (string, error) { return ref(p.Objects(ctx, op), nil) }, "", "", ""},
		"objects, unasked":           {&record.World{}, func(p *past) (string, error) { return ref(p.Objects(ctx, op), nil) }, "web", "", "the labels and ids of what the request names"},
		"objects, of what names none": {&record.World{}, func(p *past) (string, error) {
			return ref(p.Objects(ctx, &operation.Operation{ID: "ContainerList"}), nil)
		}, "", "", ""},
		"our own":               {full, (*past).own, "c0ffee", "", ""},
		"our own, in none":      {&record.World{Own: &none}, (*past).own, "", "", ""},
		"our own, unasked":      {&record.World{}, (*past).own, "", "", "in which container Vitrine ran"},
		"what joins at a start": {full, func(p *past) (string, error) { return ref(p.JoinedBy(ctx, "c0ffee")) }, "lan", "", ""},
		"what joins, lost":      {full, func(p *past) (string, error) { return ref(p.JoinedBy(ctx, "lost")) }, "", "no answer", ""},
		"what joins, unasked":   {full, func(p *past) (string, error) { return ref(p.JoinedBy(ctx, "other")) }, "", "", "which networks a container joins when it starts"},
		"how many there were, unasked": {full, func(p *past) (string, error) {
			has, err := p.Owned(ctx, operation.KindContainer, "x")
			return fmt.Sprint(len(has)), err
		}, "0", "", "how many containers the caller had"},
		"who borrows, unasked": {full, func(p *past) (string, error) { return p.AnyBorrowed(nil) }, "", "", "which labels containers have by their images"},
		"one in an answer": {full, func(p *past) (string, error) {
			o, err := p.Object(ctx, operation.KindContainer, "x")
			return o.ID, err
		}, "", "the record does not say what a container is", ""},
	} {
		p := &past{world: tc.world, of: op}
		got, err := tc.ask(p)
		if got != tc.want || textOf(err) != tc.fails || !slices.Equal(append(p.missing, "")[:1], []string{tc.miss}) {
			t.Errorf("%s: %q, %v, missing %q", name, got, err, p.missing)
		}
	}
	if _, err := (&past{world: full}).Resolve(ctx, "", "/unseen"); !errors.Is(err, hostpath.ErrUnseen) {
		t.Error(err)
	}
}

// TestWhoMakesNothingIsForgotten: else each owner would stay in memory.
func TestWhoMakesNothingIsForgotten(t *testing.T) {
	var m making
	_, _, first := m.begin("a", []string{"x", "y"}, 1)
	before, named, second := m.begin("a", []string{"x"}, 2)
	slices.Sort(named)
	first()
	left, names, third := m.begin("a", nil, 0)
	if before != 1 || !slices.Equal(named, []string{"x", "y"}) || left != 2 || !slices.Equal(names, []string{"x"}) {
		t.Errorf("%d and %q before, %d and %q left", before, named, left, names)
	}
	second()
	second()
	third()
	if len(m.of) > 0 {
		t.Errorf("%v", m.of)
	}
}
