package decide

import (
	"fmt"
	"testing"

	"vitrine/internal/caller/identity"
)

func TestOwnExecsAreTheirMakersClosed(t *testing.T) {
	uid := func(n uint32) *uint32 { return &n }
	callers := []*identity.Identity{
		{Kind: identity.Host, UID: uid(1000), Principals: []string{"unix:alice"}},
		{Kind: identity.Host, UID: uid(1001), Principals: []string{"unix:alice"}}, // a name alone is nobody
		{Kind: identity.Peer, UID: uid(1000), Listener: "dev"},
		{Kind: identity.Peer, UID: uid(1000), Listener: "ops"},
		{Kind: identity.Container, UID: uid(1000), Container: &identity.ContainerInfo{ID: "c1", Name: "web"}},
		{Kind: identity.Container, UID: uid(1001), Container: &identity.ContainerInfo{ID: "c1", Name: "web"}},
		{Kind: identity.Container, UID: uid(1000), Container: &identity.ContainerInfo{ID: "c2", Name: "web"}},
		{Kind: identity.TLS, UID: uid(1000), Certificate: &identity.Certificate{CommonName: "ci", SHA256: "aa"}},
		{Kind: identity.TLS, UID: uid(1000), Certificate: &identity.Certificate{CommonName: "ci", SHA256: "bb"}},
	}
	nobody := []*identity.Identity{
		{Kind: identity.Unknown, UID: uid(1000)},
		{Kind: identity.Local},
		{Kind: identity.Self},
		{},
		{Kind: identity.Host},
		{Kind: identity.Container, UID: uid(1000)},
		{Kind: identity.Container, Container: &identity.ContainerInfo{ID: "c1"}},
		{Kind: identity.TLS},
	}
	var x ownExecs
	for i, c := range callers {
		x.add(ownerOf(c), fmt.Sprint("exec", i))
	}
	for _, c := range nobody {
		x.add(ownerOf(c), "nobody's")
	}
	for i := range callers {
		for j, c := range callers {
			if x.has(ownerOf(c), fmt.Sprint("exec", i)) != (i == j) {
				t.Errorf("exec of %+v, asked for %+v", callers[i], c)
			}
		}
		for _, c := range nobody {
			if x.has(ownerOf(c), fmt.Sprint("exec", i)) || x.has(ownerOf(c), "nobody's") || x.has(ownerOf(c), "") {
				t.Errorf("%+v has an exec of its own", c)
			}
		}
	}
	x.add(ownerOf(callers[1]), "exec0")
	if x.has(ownerOf(callers[1]), "exec0") {
		t.Error("an exec was taken over")
	}
}

// TestOwnExecsAreBounded: who makes many loses its own oldest, not others'.
func TestOwnExecsAreBounded(t *testing.T) {
	var x ownExecs
	x.add("honest", "mine")
	for i := range 3 * execsEach {
		x.add("busy", fmt.Sprint("busy", i))
	}
	if !x.has("honest", "mine") || x.has("busy", "busy0") || !x.has("busy", fmt.Sprint("busy", 3*execsEach-1)) || len(x.made["busy"]) != execsEach {
		t.Errorf("%d of one caller are remembered", len(x.made["busy"]))
	}
	for i := range 2 * execsAll {
		x.add(fmt.Sprint("crowd", i%(execsAll/100)), fmt.Sprint("crowd", i))
	}
	total := 0
	for owner, ids := range x.made {
		total += len(ids)
		if len(ids) == 0 || len(ids) > execsEach {
			t.Errorf("%s has %d", owner, len(ids))
		}
	}
	if total != len(x.owner) || total > execsAll || !x.has("honest", "mine") {
		t.Errorf("%d execs of %d are remembered", total, len(x.owner))
	}
}
