package tenants

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine/test/vitrine"
)

const ceilingsData = `
roles:
  job:
    access: [ping, list, inspect, write]
    hazards: [env]
    own: true
    shared: {images: ["bb"]}
    ceilings: {memory: 64MiB, cpus: 0.5, pids: 50, containers: 3}
bindings:
  admin: ["unix:root", "local"]
  job: ["uid:4301", "uid:4302"]
`

// TestCeilings: the daemon is given the limits, holds a container to them, and many who ask at once have no more than there may be.
func TestCeilings(t *testing.T) {
	t.Parallel()
	w := worldOf(t, ceilingsData)
	const body = `{"Image":"bb:1","Cmd":["sleep","1000"]}`
	id := w.made(a, "/containers/create?name=first", body)
	limits := func() string {
		return strings.TrimSpace(w.e.Docker("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}", id))
	}
	if got := limits(); got != "67108864 500000000 50" {
		t.Errorf("it has %s", got)
	}
	if answer := w.ask(a, http.MethodPost, "/containers/first/start", ""); answer.Status != http.StatusNoContent {
		t.Fatalf("start: %s", answer)
	}
	for _, more := range []string{`{"Memory":-1}`, `{"Memory":134217728,"MemorySwap":-1}`, `{"PidsLimit":-1}`, `{"PidsLimit":0}`, `{"NanoCpus":600000000}`, `{"NanoCpus":9999}`, `{"CpuQuota":-1}`, `{"CpuPeriod":1000}`} {
		w.refused(http.MethodPost, "/containers/first/update", more, http.StatusForbidden)
	}
	for _, more := range []string{`"Memory":67108865`, `"Memory":67108864,"MemorySwap":-1`, `"NanoCpus":500000001`, `"CpuQuota":60000`, `"PidsLimit":51`, `"NanoCpus":1`, `"CpuQuota":-1,"NanoCpus":600000000`} {
		w.refused(http.MethodPost, "/containers/create", `{"Image":"bb:1","HostConfig":{`+more+`}}`, http.StatusForbidden)
	}
	if answer := w.ask(a, http.MethodPost, "/containers/first/update", `{"Memory":33554432,"MemorySwap":67108864,"PidsLimit":20}`); answer.Status != http.StatusOK {
		t.Errorf("less: %s", answer)
	}
	if got := limits(); got != "33554432 500000000 20" {
		t.Errorf("after an update it has %s", got)
	}

	for _, none := range []string{`"CpuQuota":-1`, `"CpuQuota":-1,"NanoCpus":500000000`, `"CpuQuota":-1,"CpuPeriod":100000`} {
		w.made(a, "/containers/create?name=none", `{"Image":"bb:1","Cmd":["sleep","1000"],"HostConfig":{`+none+`}}`)
		if answer := w.ask(a, http.MethodPost, "/containers/none/start", ""); answer.Status != http.StatusNoContent {
			t.Fatalf("start with %s: %s", none, answer)
		}
		if got := strings.TrimSpace(w.e.Docker("exec", "none", "sh", "-c", "cat /sys/fs/cgroup/cpu.max || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us")); got != "50000" && got != "50000 100000" {
			t.Errorf("with %s the kernel gives it %s", none, got)
		}
		if answer := w.ask(a, http.MethodDelete, "/containers/none?force=1", ""); answer.Status != http.StatusNoContent {
			t.Fatalf("remove: %s", answer)
		}
	}

	// Containers of an image that claims to be a's are not counted as his, and he makes none of it.
	w.e.Docker("commit", "first", "bb:claims")
	const claiming = 3
	for range claiming {
		w.e.Docker("create", "bb:claims", "true")
	}
	w.refused(http.MethodPost, "/containers/create", `{"Image":"bb:claims"}`, http.StatusForbidden)

	var made, refused atomic.Int64
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			c, err := w.users[a].Dial(w.p.Socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			switch answer, err := vitrine.Ask(c, http.MethodPost, "/containers/create", body); {
			case err != nil:
				t.Error(err)
			case answer.Status == http.StatusCreated:
				made.Add(1)
			case answer.Status == http.StatusForbidden && strings.Contains(answer.Body, "[ceiling]"):
				refused.Add(1)
			default:
				t.Errorf("%s", answer)
			}
		})
	}
	all.Wait()
	if has := len(strings.Fields(w.e.Docker("ps", "-aq", "--no-trunc", "--filter", "label=vitrine.owner=uid:4301"))) - claiming; has > 3 || made.Load() == 0 || int64(has) != made.Load()+1 {
		t.Errorf("%d containers, of which 12 requests made %d; %d were refused", has, made.Load(), refused.Load())
	}
	w.made(b, "/containers/create", body) // another owner's number is its own
	if answer := w.ask(a, http.MethodDelete, "/containers/first?force=1", ""); answer.Status != http.StatusNoContent {
		t.Errorf("remove: %s", answer)
	}
}

const volumesData = `
roles:
  job:
    access: [ping, list, inspect, write]
    hazards: [env, named-volume, volumes-from]
    own: true
    shared: {images: ["bb", "db"], volumes: ["cache"]}
    ceilings: {containers: 30, volumes: 3}
bindings:
  admin: ["unix:root", "local"]
  job: ["uid:4301", "uid:4302"]
`

// TestVolumesAreCounted: those with a name and those without, which an image, a create or a bind asks for; many who ask at once have no more than there may be, and
// what is removed leaves room.
func TestVolumesAreCounted(t *testing.T) {
	t.Parallel()
	w := worldOf(t, volumesData)
	w.e.Docker("volume", "create", "cache")
	w.e.Docker("create", "--name", "base", "bb:1", "true")
	w.e.Docker("commit", "--change", `VOLUME ["/var/lib/db", "/bin"]`, "base", "db:1")
	own := func() []string {
		return strings.Fields(w.e.Docker("volume", "ls", "-q", "--filter", "label=vitrine.owner=uid:4301"))
	}
	full := func(method, path, body, says string) {
		t.Helper()
		if answer := w.ask(a, method, path, body); answer.Status != http.StatusForbidden || !strings.Contains(answer.Body, says) || !strings.Contains(answer.Body, "[ceiling]") {
			t.Errorf("%s %s %s: %s", method, path, body, answer)
		}
	}
	w.made(a, "/volumes/create", `{"Name":"mine"}`)
	full("POST", "/containers/create", `{"Image":"db:1","HostConfig":{"Binds":["mine:/mine","other:/other"]}}`, "it has 1 volumes and asks for 3 more, and 3 are allowed: remove some")
	w.made(a, "/containers/create?name=db", `{"Image":"db:1","Cmd":["sleep","1000"],"HostConfig":{"Binds":["mine:/mine","cache:/cache:ro"]}}`)
	if answer := w.ask(a, "POST", "/containers/db/start", ""); answer.Status != http.StatusNoContent {
		t.Fatalf("start: %s", answer)
	}
	if has := own(); len(has) != 3 {
		t.Errorf("its own are %v", has)
	}
	if got := w.e.Docker("exec", "db", "ls", "/bin/sh"); !strings.Contains(got, "/bin/sh") {
		t.Errorf("what the image has where it has a volume is not in it: %s", got)
	}
	all := strings.Fields(w.e.Docker("volume", "ls", "-q"))
	if len(all) != 4 {
		t.Errorf("there are %v", all)
	}
	const most = "it has 3 volumes, and 3 are allowed: remove one"
	full("POST", "/volumes/create", `{"Name":"more"}`, most)
	full("POST", "/volumes/create", `{}`, most)
	for _, more := range []string{
		`"HostConfig":{"Binds":["more:/more"]}`, `"HostConfig":{"Mounts":[{"Type":"volume","Source":"more","Target":"/more"}]}`,
		`"HostConfig":{"Mounts":[{"Type":"volume","Target":"/more"}]}`, `"HostConfig":{"Binds":["/more"]}`, `"Volumes":{"/more":{}}`,
	} {
		full("POST", "/containers/create", `{"Image":"bb:1",`+more+`}`, most)
	}
	full("POST", "/containers/create", `{"Image":"db:1"}`, "asks for 2 more")
	full("POST", "/containers/create", `{"Image":"bb:1","HostConfig":{"Binds":["more:/more:z"]}}`, "would have no label if it was made")
	full("POST", "/containers/create", `{"Image":"db:1","HostConfig":{"VolumesFrom":["db"]}}`, "/bin would be a volume without a label")
	w.made(a, "/volumes/create", `{"Name":"mine"}`) // which is there
	w.made(a, "/containers/create?name=none", `{"Image":"db:1","HostConfig":{"Binds":["mine:/var/lib/db","cache:/bin:ro"]}}`)
	if left := strings.Fields(w.e.Docker("volume", "ls", "-q")); len(left) != len(all) {
		t.Errorf("what was refused left %v", left)
	}

	// What a container had without a name stays, is its owner's to see and to remove, or goes with it.
	for _, name := range []string{"none", "db"} {
		if answer := w.ask(a, "DELETE", "/containers/"+name+"?force=1", ""); answer.Status != http.StatusNoContent {
			t.Fatalf("remove: %s", answer)
		}
	}
	full("POST", "/volumes/create", `{"Name":"more"}`, most)
	for _, name := range own() {
		if answer := w.ask(a, "DELETE", "/volumes/"+name, ""); answer.Status != http.StatusNoContent {
			t.Errorf("remove %s: %s", name, answer)
		}
	}
	w.made(a, "/containers/create?name=db", `{"Image":"db:1"}`)
	if has := own(); len(has) != 2 {
		t.Errorf("its own are %v", has)
	}
	if answer := w.ask(a, "DELETE", "/containers/db?v=1", ""); answer.Status != http.StatusNoContent || len(own()) != 0 {
		t.Errorf("%v are left: %s", own(), answer)
	}

	var refused atomic.Int64
	var asking sync.WaitGroup
	for i := range 12 {
		asking.Go(func() {
			c, err := w.users[a].Dial(w.p.Socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			path, body := "/volumes/create", `{}`
			switch i % 3 {
			case 1:
				body = fmt.Sprintf(`{"Name":"v%d"}`, i)
			case 2:
				path, body = "/containers/create", fmt.Sprintf(`{"Image":"db:1","HostConfig":{"Binds":["v%d:/v"],"Tmpfs":{"/bin":""}}}`, i)
			}
			switch answer, err := vitrine.Ask(c, http.MethodPost, path, body); {
			case err != nil:
				t.Error(err)
			case answer.Status == http.StatusForbidden && strings.Contains(answer.Body, "[ceiling]"):
				refused.Add(1)
			case answer.Status != http.StatusCreated:
				t.Errorf("%s", answer)
			}
		})
	}
	asking.Wait()
	if has := own(); len(has) == 0 || len(has) > 3 {
		t.Errorf("its own are %v, and %d were refused", has, refused.Load())
	}
	w.made(b, "/volumes/create", `{}`) // another owner's number is its own
}
