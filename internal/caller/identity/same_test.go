package identity

import (
	"errors"
	"reflect"
	"testing"
)

// TestSameClosed: two that differ in one field are not the same, whichever it is.
func TestSameClosed(t *testing.T) {
	n := func(n uint32) *uint32 { return &n }
	who := func() *Identity {
		return &Identity{
			Kind: Container, Principals: []string{"container:web"}, UID: n(1), GID: n(1), Groups: []uint32{1}, PID: 1, User: "a", Door: "gateway", Listener: "l",
			Container: &ContainerInfo{Labels: map[string]string{"a": "b"}}, Certificate: &Certificate{SANs: []string{"a"}}, Process: &Process{LoginUID: n(1), Exe: "/a"},
		}
	}
	unknown := &Identity{Err: errors.New("x")}
	if a := who(); !a.Same(a) || !a.Same(who()) || !(&Identity{}).Same(&Identity{}) || !unknown.Same(unknown) {
		t.Error("one is not the same as itself")
	}
	for name, change := range map[string]func(*Process){"LoginUID": func(p *Process) { *p.LoginUID = 2 }, "Exe": func(p *Process) { p.Exe = "/b" }} {
		other := who()
		if change(other.Process); who().Same(other) {
			t.Errorf("a process with another %s is the same", name)
		}
	}
	if other := who(); other.Same(&Identity{}) {
		t.Error("one is the same as nobody")
	} else if other.Process = nil; other.Same(who()) || who().Same(other) {
		t.Error("a process of which nothing is known is the same as one")
	}
	changes := map[string]func(*Identity){
		"Kind": func(i *Identity) { i.Kind = Host }, "Principals": func(i *Identity) { i.Principals[0] = "container:db" }, "UID": func(i *Identity) { *i.UID = 2 },
		"GID": func(i *Identity) { i.GID = nil }, "Groups": func(i *Identity) { i.Groups[0] = 2 }, "PID": func(i *Identity) { i.PID = 2 }, "User": func(i *Identity) { i.User = "b" },
		"Door": func(i *Identity) { i.Door = "plugin" }, "Listener": func(i *Identity) { i.Listener = "m" }, "Container": func(i *Identity) { i.Container.Labels["a"] = "c" },
		"Certificate": func(i *Identity) { i.Certificate.SANs[0] = "b" }, "Process": func(i *Identity) { i.Process.Exe = "/b" }, "Err": func(i *Identity) { i.Err = errors.New("x") },
	}
	for f := range reflect.TypeFor[Identity]().Fields() {
		other := who()
		if changes[f.Name] == nil {
			t.Errorf("nothing changes %s", f.Name)
			continue
		}
		if changes[f.Name](other); who().Same(other) || other.Same(who()) {
			t.Errorf("another %s is the same", f.Name)
		}
	}
}
