package docker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestClosedNetworkIsWhatTheDaemonFinds: by id, then name, then the beginning of an id.
func TestClosedNetworkIsWhatTheDaemonFinds(t *testing.T) {
	host := NetworkInfo{ID: "ab" + strings.Repeat("0", 62), Name: "host", Driver: "host", Scope: "local"}
	named := NetworkInfo{ID: "cd" + strings.Repeat("0", 62), Name: "ab0", Driver: "bridge", Scope: "local"}
	twin := NetworkInfo{ID: "ce" + strings.Repeat("0", 62), Name: "cd", Driver: "bridge", Scope: "local"}
	swarm := NetworkInfo{ID: "x1" + strings.Repeat("z", 23), Name: "ab00", Driver: "overlay", Scope: "swarm"}
	odd := NetworkInfo{ID: "ef" + strings.Repeat("0", 62), Name: host.ID[:63], Driver: "bridge", Scope: "local"}
	all := []NetworkInfo{named, host, twin, swarm, odd}
	for ref, want := range map[string]string{
		host.ID:       "host",
		host.ID + "0": "",
		"host":        "host",
		"HOST":        "",
		"ab":          "host",
		"a":           "host",
		"ab0":         "ab0 host",         // a name comes before the beginning of an id, while it is there
		host.ID[:63]:  odd.Name + " host", // however long it is
		host.ID[:62]:  "host",             //
		"ab00":        "ab00 host",        // whether the swarm's is there is not to be seen
		"c":           "ab0 cd",
		"cd":          "cd",
		"x1":          "ab00",
		"none":        "",
	} {
		var got []string
		for _, n := range matchNetworks(all, ref) {
			got = append(got, n.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is %q, want %q", ref, got, want)
		}
	}
}

func (e *engine) setNetworks(list ...NetworkInfo) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks = list
}

// TestNetworksAreListedWhenOneIsAskedFor, and then not before one has changed.
func TestNetworksAreListedWhenOneIsAskedFor(t *testing.T) {
	e := newEngine(t)
	e.setNetworks(NetworkInfo{ID: "0a", Name: "front"})
	inv := e.inventory()
	inv.FollowNetworks()
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	if n := e.count("/networks"); n != 0 {
		t.Errorf("asked %d times for nothing", n)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if found, err := inv.Networks(t.Context(), "front"); err != nil || found[0].ID != "0a" {
				t.Errorf("found %v, %v", found, err)
			}
		})
	}
	all.Wait()
	if n := e.count("/networks"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if _, err := inv.Networks(t.Context(), "back"); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	e.setNetworks(NetworkInfo{ID: "0b", Name: "back"})
	e.say(`{"Type":"network","Action":"connect","Actor":{"ID":"0a"}}`)
	e.say(`{"Type":"network","Action":"create","Actor":{"ID":"0b"}}`)
	wait.Until(t, "it is found", func() bool { _, err := inv.Networks(t.Context(), "back"); return err == nil })
	if n := e.count("/networks"); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
	e.cut()
	wait.Until(t, "cut", func() bool { return e.count("/events") == 2 })
	wait.Until(t, "ready again", inv.Ready)
	e.setNetworks()
	if _, err := inv.Networks(t.Context(), "back"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was known before nobody listened still is: %v", err)
	}
}

// TestNetworksOfAContainer are those that the last inspect said, which is asked for when it comes into one or leaves it.
func TestNetworksOfAContainer(t *testing.T) {
	e := newEngine(t)
	in := func(networks ...string) {
		all := map[string]any{}
		for _, name := range networks {
			all[name] = map[string]any{}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.containers[id(1)]["NetworkSettings"] = map[string]any{"Networks": all}
	}
	e.set(1, "web", "busybox:1", 1001, nil)
	in("edge")
	inv := e.inventory()
	inv.FollowNetworks()
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	is := func(networks ...string) func() bool {
		return func() bool { c, ok := inv.Lookup("web"); return ok && slices.Equal(c.Networks, networks) }
	}
	if !is("edge")() {
		t.Error("it is not in its network")
	}
	say := func(action, network string) {
		e.say(fmt.Sprintf(`{"Type":"network","Action":%q,"Actor":{"ID":"0a","Attributes":{"container":%q,"name":%q}}}`, action, id(1), network))
	}
	before := e.count("/containers/" + id(1) + "/json")
	say("connect", "edge") // as it is each time that it starts
	in("db", "edge")
	say("connect", "db")
	wait.Until(t, "in both", is("db", "edge"))
	if n := e.count("/containers/"+id(1)+"/json") - before; n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	in("db")
	say("disconnect", "edge")
	wait.Until(t, "in one", is("db"))
}

// TestNetworksWithoutEventsAreAskedForEachTime.
func TestNetworksWithoutEventsAreAskedForEachTime(t *testing.T) {
	e := newEngine(t)
	e.setNetworks(NetworkInfo{ID: "0a", Name: "front"})
	inv := e.inventory()
	for range 2 {
		if _, err := inv.Networks(t.Context(), "front"); err != nil {
			t.Error(err)
		}
	}
	if n := e.count("/networks"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestNetworkThatCannotBeToldClosed: no answer is not the answer that there is none.
func TestNetworkThatCannotBeToldClosed(t *testing.T) {
	e := newEngine(t)
	inv := e.inventory()
	e.block()
	defer e.unblock()
	began := time.Now()
	if found, err := inv.Networks(t.Context(), "front"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := inv.ServiceNetwork(t.Context(), "front"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("found %v, %v", found, err)
	}
	if took := time.Since(began); took > wait.Patience(3*time.Second) {
		t.Errorf("took %v", took)
	}
}

// TestNamedObjects: volumes, images and services are asked for, by whatever names them.
func TestNamedObjects(t *testing.T) {
	e := newEngine(t)
	e.others = map[string]string{
		"/volumes/data":           `{"Name":"data","Labels":{"team":"blue"}}`,
		"/images/shop/web:1/json": `{"Id":"sha256:1","RepoTags":["shop/web:1","x:2"],"Config":{"Labels":{"a":"b"}}}`,
		"/services/s1":            `{"ID":"s1x","Spec":{"Name":"shop","Labels":{"team":"blue"},"TaskTemplate":{"ContainerSpec":{"Image":"app"}}}}`,
		"/volumes/odd":            `{}`,
		"/tasks/t1":               `{"ID":"t1x","ServiceID":"s1","Spec":{},"Labels":{"team":"red"}}`,
		"/tasks/t2":               `{"ID":"t2x","ServiceID":"gone","Labels":{"team":"blue"}}`,
		"/secrets/none":           `503 {"message":"This node is not a swarm manager. Use \"docker swarm init\""}`,
		"/secrets/lost":           `503 {"message":"the swarm has no leader: This node is not a swarm manager"}`,
		"/nodes/n1":               `{"ID":"n1x","Spec":{"Role":"manager"},"Description":{"Hostname":"host"}}`,
	}
	inv := e.inventory()
	if v, err := inv.Volume(t.Context(), "data"); err != nil || v.ID != "data" || v.Labels["team"] != "blue" {
		t.Errorf("volume %+v, %v", v, err)
	}
	if i, err := inv.Image(t.Context(), "shop/web:1"); err != nil || i.ID != "sha256:1" || len(i.Names) != 2 || i.Labels["a"] != "b" {
		t.Errorf("image %+v, %v", i, err)
	}
	if got, err := inv.Swarm(t.Context(), "secrets", "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a swarm: %+v, %v", got, err)
	}
	if got, err := inv.Swarm(t.Context(), "secrets", "lost"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("of a swarm that does not answer: %+v, %v", got, err)
	}
	// A task is its service's; of a service that cannot be told nothing is known.
	if got, err := inv.Swarm(t.Context(), "tasks", "t1"); err != nil || got.ID != "t1x" || got.Image != "app" || got.Labels["team"] != "blue" || len(got.Names) > 0 {
		t.Errorf("a task is %+v, %v", got, err)
	}
	if got, err := inv.Swarm(t.Context(), "tasks", "t2"); err == nil {
		t.Errorf("of no service: %+v", got)
	}
	if got, err := inv.Swarm(t.Context(), "nodes", "n1"); err != nil || got.ID != "n1x" || !slices.Equal(got.Names, []string{"host"}) {
		t.Errorf("a node is %+v, %v", got, err)
	}
	if s, err := inv.Swarm(t.Context(), "services", "s1"); err != nil || s.ID != "s1x" || s.Names[0] != "shop" || s.Image != "app" {
		t.Errorf("service %+v, %v", s, err)
	}
	if v, err := inv.Volume(t.Context(), "gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("volume %+v, %v", v, err)
	}
	if v, err := inv.Volume(t.Context(), "odd"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("volume %+v, %v", v, err)
	}
}

// TestImageConfigClosed: what is shown of it, or an error.
func TestImageConfigClosed(t *testing.T) {
	e := newEngine(t)
	e.others = map[string]string{"/images/shop/web:1/json": `{"Id":"sha256:1","Config":{"Cmd":["sh"]}}`, "/images/odd/json": `{"Id":"sha256:2"}`}
	inv := e.inventory()
	if c, err := inv.ImageConfig(t.Context(), "shop/web:1", ""); err != nil || string(c) != `{"Cmd":["sh"]}` {
		t.Errorf("%s, %v", c, err)
	}
	if c, err := inv.ImageConfig(t.Context(), "odd", ""); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("of an answer without: %s, %v", c, err)
	}
	if c, err := inv.ImageConfig(t.Context(), "gone", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("of none: %s, %v", c, err)
	}
}

// TestConfigOfAnUntoldPlatformClosed: what the engine does not say of itself is no word about the image.
func TestConfigOfAnUntoldPlatformClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		info, version string
		want          error
		shown         bool
	}{
		"untold": {contained, "1.48", ErrPlatform, false},
		"told":   {contained, "1.49", nil, true},
		"mute":   {"", "1.49", nil, false},
	} {
		e := newEngine(t)
		e.others, e.version = map[string]string{"/images/web/json": `{"Config":{"Cmd":["sh"]}}`, "/info": tc.info}, tc.version
		inv := e.inventory()
		inv.FollowDefaults()
		c, err := inv.ImageConfig(t.Context(), "web", "")
		if (len(c) > 0) != tc.shown || (err == nil) != tc.shown || !errors.Is(err, tc.want) && tc.want != nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %s, %v", name, c, err)
		}
	}
}

// TestConfigOfAnotherVariantClosed: of an image of several platforms the daemon takes, for a new container, the one that is asked for.
func TestConfigOfAnotherVariantClosed(t *testing.T) {
	const path = "/images/web/json"
	for name, tc := range map[string]struct {
		platform, of, want string
		unasked            bool
	}{
		"the engine's own":         {"", "", `{"Cmd":["amd64"]}`, true},
		"another":                  {"linux/arm64", `{"Os":"linux","Architecture":"arm64","Config":{"Cmd":["arm64"]}}`, `{"Cmd":["arm64"]}`, false},
		"a variant of another":     {"linux/arm/v7", `{"Os":"linux","Architecture":"arm","Config":{"Cmd":["arm"]}}`, `{"Cmd":["arm"]}`, false},
		"not asked for by the API": {"linux/arm64", `{"Os":"linux","Architecture":"amd64","Config":{"Cmd":["amd64"]}}`, "", false},
		"of another system":        {"linux/amd64", `{"Os":"windows","Architecture":"amd64","Config":{"Cmd":["amd64"]}}`, "", false},
		"not there":                {"linux/arm64", "", "", false},
		"written otherwise":        {"arm64", "", "", true},
		"with more":                {"linux/arm/v7/x", "", "", true},
		"with nothing":             {"linux//v7", "", "", true},
	} {
		e := newEngine(t)
		e.others = map[string]string{path: `{"Os":"linux","Architecture":"amd64","Config":{"Cmd":["amd64"]}}`}
		asked := ""
		e.variant = func(platform string) string { asked = platform; return tc.of }
		c, err := e.inventory().ImageConfig(t.Context(), "web", tc.platform)
		if string(c) != tc.want || (err == nil) != (tc.want != "") || errors.Is(err, ErrNotFound) || (asked == "") != tc.unasked {
			t.Errorf("%s: %s, %v; asked for %s", name, c, err, asked)
		}
		if name == "a variant of another" && asked != `{"os":"linux","architecture":"arm","variant":"v7"}` {
			t.Errorf("asked for %s", asked)
		}
	}
	e := newEngine(t)
	if c, err := e.inventory().ImageConfig(t.Context(), "web", "linux/arm64"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of none at all: %s, %v", c, err)
	}
}

// TestExecWaits: what was made and has neither run nor gone.
func TestExecWaits(t *testing.T) {
	e := newEngine(t)
	e.others = map[string]string{
		"/exec/new/json": `{"Running":false,"ExitCode":null}`, "/exec/runs/json": `{"Running":true,"ExitCode":null}`, "/exec/done/json": `{"Running":false,"ExitCode":0}`,
	}
	for id, want := range map[string]bool{"new": true, "runs": false, "done": false} {
		if waits, err := e.inventory().ExecWaits(t.Context(), id); waits != want || err != nil {
			t.Errorf("%s: %v, %v", id, waits, err)
		}
	}
	if waits, err := e.inventory().ExecWaits(t.Context(), "gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of none: %v, %v", waits, err)
	}
}
