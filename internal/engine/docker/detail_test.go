package docker

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"vitrine/test/wait"
)

// TestDetail: what an inspect of a container in two networks says.
func TestDetail(t *testing.T) {
	e := newEngine(t)
	e.run(1, "web", nil)
	e.mu.Lock()
	e.containers[id(1)]["State"] = map[string]any{
		"Status": "running", "Running": true, "Pid": 1001, "ExitCode": 0, "OOMKilled": true,
		"Health": map[string]any{"Status": "unhealthy"}, "FinishedAt": "0001-01-01T00:00:00Z",
	}
	e.containers[id(1)]["RestartCount"] = 3
	e.containers[id(1)]["HostConfig"] = map[string]any{
		"NetworkMode": "front", "CpuShares": 512, "Privileged": true, "PidMode": "host",
		"IpcMode": "container:" + id(3), "VolumesFrom": []string{"/data:ro", "data", id(2)},
	}
	e.containers[id(1)]["Mounts"] = []any{map[string]any{"Type": "bind", "Source": "/run", "RW": true}}
	e.containers[id(1)]["NetworkSettings"] = map[string]any{"Networks": map[string]any{
		"front": map[string]any{"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""},
		"back":  map[string]any{"IPAddress": "", "GlobalIPv6Address": "fd00::2"},
		"gone":  nil,
	}}
	e.mu.Unlock()
	inv := e.inventory()
	c, err := inv.Refresh(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	want := &Detail{
		State: "running", Health: "unhealthy", OOMKilled: true, Restarts: 3, FinishedAt: "0001-01-01T00:00:00Z",
		Rights: Rights{Privileged: true, PidMode: "host"}, Mounts: []Mount{{"bind", "/run", true}},
		CPUShares: 512, NetworkMode: "front", Networks: []Network{{Name: "back", IPv6: "fd00::2"}, {Name: "front", IPv4: "172.18.0.2"}},
		Joined: []string{id(2), id(3), "data"},
	}
	if !reflect.DeepEqual(c.Detail, want) {
		t.Errorf("got %+v\nwant %+v", c.Detail, want)
	}
}

// TestWhatIsHeldOfDetails is what decisions ask for: of many containers there is much else.
func TestWhatIsHeldOfDetails(t *testing.T) {
	e := newEngine(t)
	for n, host := range []map[string]any{{"NetworkMode": "host"}, {"NetworkMode": "container:" + id(1)}, {"NetworkMode": "front", "VolumesFrom": []string{"data"}}} {
		e.run(n+1, fmt.Sprint("web", n), nil)
		e.mu.Lock()
		e.containers[id(n+1)]["HostConfig"] = host
		e.mu.Unlock()
	}
	mounts := []Mount{{"bind", "/run", true}}
	e.mu.Lock()
	e.containers[id(3)]["Mounts"] = []any{map[string]any{"Type": "bind", "Source": "/run", "RW": true}}
	e.mu.Unlock()
	for details, want := range map[bool][]Detail{
		false: {{}, {NetworkMode: "container:" + id(1), Joined: []string{id(1)}}, {Mounts: mounts, Joined: []string{"data"}}},
		true:  {{NetworkMode: "host"}, {NetworkMode: "container:" + id(1), Joined: []string{id(1)}}, {NetworkMode: "front", Mounts: mounts, Joined: []string{"data"}}},
	} {
		inv := e.inventory()
		if details {
			inv.KeepDetails()
		}
		for n, want := range want {
			if _, err := inv.Refresh(t.Context(), id(n+1)); err != nil {
				t.Fatal(err)
			}
			if c, _ := inv.Lookup(id(n + 1)); !reflect.DeepEqual(*c.Detail, want) {
				t.Errorf("details %v: %+v, want %+v", details, *c.Detail, want)
			}
		}
	}
}

// TestSameTextsAreHeldOnce: keys and values of labels, and images; as long as there is room, and it begins anew then.
func TestSameTextsAreHeldOnce(t *testing.T) {
	e := newEngine(t)
	inv := e.inventory()
	var all [2]Container
	for n := range all {
		e.run(n+1, fmt.Sprint("web", n), map[string]string{"com.example.team": "the blue one"})
		c, err := inv.Refresh(t.Context(), id(n+1))
		if err != nil {
			t.Fatal(err)
		}
		all[n] = c
	}
	texts := func(c Container) (all []string) {
		for key, value := range c.Labels {
			all = append(all, key, value)
		}
		return append(all, c.Image, c.ImageID)
	}
	for i, s := range texts(all[0]) {
		if other := texts(all[1])[i]; s != other || unsafe.StringData(s) != unsafe.StringData(other) {
			t.Errorf("%q and %q are two", s, other)
		}
	}
	var w words
	for n := range 10_000 {
		if s := fmt.Sprint(n); w.held(s) != s || len(w.of) > 4096 {
			t.Fatalf("%d are held", len(w.of))
		}
	}
	if long := strings.Repeat("x", 1000); w.held(long) != long || w.of[long] != "" {
		t.Error("a long text is held")
	}
}

// TestKeepDetails: the end of a container, its exit code too, is known without
// waiting for the next reconciliation, also if it is removed at once.
func TestKeepDetails(t *testing.T) {
	e := newEngine(t)
	e.set(1, "web", "busybox:1", 1001, nil)
	inv := e.inventory()
	inv.KeepDetails()
	codes := make(chan string, 1)
	inv.OnEvent(func(ev Event) {
		if ev.Action == "die" {
			codes <- ev.Attributes["exitCode"]
		}
	})
	e.follow(inv)
	wait.Until(t, "ready", inv.Ready)
	e.mu.Lock()
	e.containers[id(1)]["State"] = map[string]any{"Status": "exited", "Running": false, "ExitCode": 137, "OOMKilled": true}
	e.streams[0] <- `{"Type":"container","Action":"die","timeNano":1700000000000000000,"Actor":{"ID":"` + id(1) + `","Attributes":{"exitCode":"137","name":"web"}}}` + "\n"
	e.mu.Unlock()
	if code := <-codes; code != "137" {
		t.Errorf("exit code %q of the event", code)
	}
	wait.Until(t, "exited", func() bool {
		c, _ := inv.Lookup("web")
		return c.Detail.State == "exited" && c.Detail.ExitCode == 137 && c.Detail.OOMKilled && len(inv.Append(nil)) == 1
	})
}

// answers is an engine of a few answers, by path and query.
type answers map[string]string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, a[r.URL.RequestURI()]
	if body == "" {
		status, body = http.StatusForbidden, "no role is bound to the caller"
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestCounts: names that are none are none, and a volume that is not dangling is
// attached; without an answer to all, there are no counts.
func TestCounts(t *testing.T) {
	engine := answers{
		"/images/json": `[{"RepoTags":["web:1","web:latest"],"Size":4096},{"RepoTags":["<none>:<none>"],"Size":1},{"RepoTags":null,"Size":2}]`,
		"/volumes":     `{"Volumes":[{},{},{}]}`,
		"/volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D": `{"Volumes":[{}]}`,
		"/networks": `[{},{}]`,
	}
	got, err := NewClient(engine).Counts(t.Context())
	want := Counts{Images: []Image{{[]string{"web:1", "web:latest"}, 4096}, {[]string{}, 1}, {nil, 2}}, Volumes: 3, Dangling: 1, Networks: 2}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v, got %+v, want %+v", err, got, want)
	}
	for path := range engine {
		answer := engine[path]
		delete(engine, path)
		if got, err := NewClient(engine).Counts(t.Context()); err == nil || !strings.Contains(err.Error(), "no role is bound") || !reflect.DeepEqual(got, Counts{}) {
			t.Errorf("without %s: error %v, got %+v", path, err, got)
		}
		engine[path] = answer
	}
}

// TestEnvironmentsAreNotKeptClosed: whoever does not ask for them has none in memory, where there are as many as others like.
func TestEnvironmentsAreNotKeptClosed(t *testing.T) {
	for _, details := range []bool{false, true} {
		e := newEngine(t)
		e.run(1, "web", nil)
		e.mu.Lock()
		e.containers[id(1)]["Config"].(map[string]any)["Env"] = []string{"PASSWORD=x"}
		e.mu.Unlock()
		inv := e.inventory()
		if details {
			inv.KeepDetails()
		}
		c, err := inv.Refresh(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Detail.Env) == 1 != details {
			t.Errorf("details %v: %q", details, c.Detail.Env)
		}
	}
}
