package tenants

import (
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
