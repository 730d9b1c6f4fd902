package collect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vitrine/internal/engine/docker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestContainer: what one container's values are, with their names.
func TestContainer(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	s := w.collect(c)
	got := series(s, find(t, s, "web"))
	for name, want := range map[string]float64{
		"docker_cpu_throttled_periods_total{}":    4,
		"docker_cpu_throttled_seconds_total{}":    0.0009,
		"docker_cpu_usage_seconds_total{}":        5e-6,
		"docker_cpu_limit_cores{}":                2,
		"docker_cpu_shares{}":                     1024,
		"docker_mem_in_use_ratio{}":               1000.0 / 10485760,
		"docker_mem_sw_in_use_ratio{}":            1000.0 / 10485760,
		"docker_mem_working_set_ratio{}":          0.1,
		"docker_oom_kills_total{true}":            0,
		"docker_oom_kills_total{false}":           0,
		"docker_net_receive_bytes_total{eth0,}":   100,
		"docker_io_read_bytes_total{vda}":         1,
		"docker_io_write_operations_total{7:1}":   4,
		"docker_pressure_some_seconds_total{cpu}": 1.5,
		"docker_threads{}":                        2,
		"docker_container_running{}":              1,
	} {
		if v, ok := got[name]; !ok || v < want-1e-9 || v > want+1e-9 {
			t.Errorf("%s is %v (present: %v), want %v", name, v, ok, want)
		}
	}
	for name := range got {
		if strings.Contains(name, "{lo,") || strings.Contains(name, "headroom") || strings.Contains(name, "full") {
			t.Errorf("%s should be absent", name)
		}
	}
	if rest := series(s, nil); rest["host_net_receive_bytes_total{enp0s3}"] != 1000 || rest["docker_up{}"] != 1 || rest["docker_containers_running{}"] != 1 {
		t.Errorf("of the host: %v", rest)
	} else if _, ok := rest["host_net_receive_bytes_total{veth12ab}"]; ok {
		t.Error("the host's end of a container's interface is counted too")
	}
}

// TestThrottledRatio: of the periods since the last collection.
func TestThrottledRatio(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	for i, tt := range []struct{ periods, throttled, want float64 }{{10, 4, -1}, {20, 9, 0.5}, {20, 9, -1}, {30, 9, 0}, {5, 5, -1}} {
		w.write(w.cgroup, cgroupOf("web")+"/cpu.stat", fmt.Sprintf("nr_periods %v\nnr_throttled %v\n", tt.periods, tt.throttled))
		s := w.collect(c)
		got, ok := series(s, find(t, s, "web"))["docker_cpu_throttled_ratio{}"]
		if ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("reading %d: %v (present: %v), want %v", i, got, ok, tt.want)
		}
	}
}

// TestNamespacesCountOnce: containers that share a namespace have one series,
// and one in the host's has none, whether or not the namespaces' links may be read.
func TestNamespacesCountOnce(t *testing.T) {
	for _, links := range []bool{true, false} {
		t.Run(fmt.Sprintf("links=%v", links), func(t *testing.T) {
			w := newWorld(t)
			w.run("web", 100, "bridge")
			w.run("sidecar", 90, "container:web") // older than web in its PID, but it joined
			w.run("agent", 80, "host")
			w.run("alone", 70, "none")
			if !links {
				for _, pid := range []int{1, 100, 90, 80, 70} {
					if err := os.RemoveAll(filepath.Join(w.proc, fmt.Sprint(pid), "ns")); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := w.collector()
			s := w.collect(c)
			for name, want := range map[string]struct{ interfaces, sharing int }{
				"web": {1, 2}, "sidecar": {0, 0}, "agent": {0, 0}, "alone": {1, 1},
			} {
				got := find(t, s, name)
				if len(got.Interfaces) != want.interfaces || got.Sharing != want.sharing {
					t.Errorf("%s has %d interfaces and shares with %d; want %+v", name, len(got.Interfaces), got.Sharing, want)
				}
			}
			w.end("web", 0, false)
			if s = w.collect(c); links && len(find(t, s, "sidecar").Interfaces) != 1 {
				t.Error("nobody stands for the namespace that the ended container left")
			}
		})
	}
}

// TestNetworkNames: interfaces bear the names of Docker's networks, also one
// that is connected later.
func TestNetworkNames(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "front")
	const heading = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
	const eth0 = "eth0 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
	w.write(w.proc, "100/net/route", heading+"eth0 00000000 010012AC 0003 0 0 0 00000000 0 0 0\n"+eth0)
	in := w.containers[id("web")]
	in.Detail.Networks = []docker.Network{{Name: "front", IPv4: "172.18.0.2"}}
	c := w.collector()
	s := w.collect(c)
	if web := find(t, s, "web"); len(web.Interfaces) != 1 || web.Interfaces[0].Network != "front" {
		t.Errorf("interfaces %+v", web.Interfaces)
	}
	w.netDev(100, "lo 1", "eth0 200", "eth1 7")
	w.write(w.proc, "100/net/route", heading+eth0)
	w.write(w.proc, "100/net/if_inet6", "fd000000000000000000000000000002 05 40 00 80 eth1\n")
	in.Detail = &docker.Detail{State: "running", NetworkMode: "front", Networks: []docker.Network{{Name: "back", IPv6: "fd00::2"}, {Name: "front", IPv4: "172.18.0.2"}}}
	w.containers[id("web")] = in
	s = w.collect(c)
	if web := find(t, s, "web"); len(web.Interfaces) != 2 || web.Interfaces[0].Network != "front" || web.Interfaces[1].Network != "back" {
		t.Errorf("interfaces %+v", web.Interfaces)
	}
}

// TestOneContainerUnanswered is named, and the Engine is up.
func TestOneContainerUnanswered(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	w.silent = []docker.Unanswered{{ID: "0f", Name: "sick"}}
	if rest := series(w.collect(c), nil); rest["docker_inventory_unanswered{0f,sick}"] != 1 || rest["docker_up{}"] != 1 {
		t.Errorf("series %v", rest)
	}
	w.silent = nil
	if _, there := series(w.collect(c), nil)["docker_inventory_unanswered{0f,sick}"]; there {
		t.Error("it is named for ever")
	}
}

// TestEngineGone: what is known is read on, the gap is counted, and it ends by itself.
func TestEngineGone(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	w.collect(c)
	w.down = true
	w.counters("web", 2<<20, 0)
	s := w.collect(c)
	if web := find(t, s, "web"); web.Read.IsZero() || web.Stats.Memory.Usage.N != 2<<20 {
		t.Errorf("not read on: %+v", web.Stats.Memory.Usage)
	}
	if rest := series(s, nil); rest["docker_up{}"] != 0 || rest["docker_gaps_total{}"] != 1 {
		t.Errorf("up %v, gaps %v", rest["docker_up{}"], rest["docker_gaps_total{}"])
	}
	w.down = false
	if rest := series(w.collect(c), nil); rest["docker_up{}"] != 1 || rest["docker_gaps_total{}"] != 1 {
		t.Errorf("afterwards up %v, gaps %v", rest["docker_up{}"], rest["docker_gaps_total{}"])
	}
	if log := w.log.String(); strings.Count(log, "the engine is gone") != 1 || strings.Count(log, "the engine is back") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// TestPermissionLost: one source fails, is counted and logged once, and the
// others go on; nothing is lost when it works again.
func TestPermissionLost(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	w.collect(c)
	dev := filepath.Join(w.proc, "100/net/dev")
	if err := os.Remove(dev); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dev, 0o700); err != nil { // reading it fails, for root too
		t.Fatal(err)
	}
	var s *Snapshot
	for range 3 {
		s = w.collect(c)
	}
	if web := find(t, s, "web"); len(web.Interfaces) != 0 || web.Read.IsZero() {
		t.Errorf("interfaces %+v, read at %v", web.Interfaces, web.Read)
	}
	if n := series(s, nil)["monitor_collection_errors_total{network}"]; n != 3 {
		t.Errorf("%v errors, want 3", n)
	}
	if err := os.Remove(dev); err != nil {
		t.Fatal(err)
	}
	w.netDev(100, "eth0 300")
	s = w.collect(c)
	if web := find(t, s, "web"); len(web.Interfaces) != 1 || web.Interfaces[0].Rx.Bytes != 300 {
		t.Errorf("interfaces %+v", web.Interfaces)
	}
	if log := w.log.String(); strings.Count(log, "collecting failed") != 1 || strings.Count(log, "works again") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// TestForeignPID: the Engine's PID is another process's by now, so nothing is
// read, closed rather than wrong.
func TestForeignPIDClosed(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	w.process(100, "/system.slice/sshd.service", "net:[1]")
	c := w.collector()
	s := w.collect(c)
	if web := find(t, s, "web"); !web.Read.IsZero() || len(web.Interfaces) != 0 {
		t.Errorf("read: %+v", web)
	}
	if n := series(s, nil)["monitor_collection_errors_total{proc}"]; n != 1 {
		t.Errorf("%v errors, want 1", n)
	}
	w.process(100, cgroupOf("web"), "net:[100]")
	if s = w.collect(c); find(t, s, "web").Read.IsZero() {
		t.Error("not read when it can be")
	}
}

// TestCgroupsAreElsewhere: the containers run, and what is mounted has no cgroups
// of theirs. That is said once, and counted each time.
func TestCgroupsAreElsewhere(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"web", "db"} {
		w.run(name, 100+i, "bridge")
	}
	if err := os.RemoveAll(filepath.Join(w.cgroup, "docker")); err != nil {
		t.Fatal(err)
	}
	c := w.collector()
	w.collect(c)
	if n := series(w.collect(c), nil)["monitor_collection_errors_total{cgroup}"]; n != 2 {
		t.Errorf("%v errors in two collections", n)
	}
	if n := strings.Count(w.log.String(), "mount the host's /sys/fs/cgroup"); n != 1 {
		t.Errorf("what to do is said %d times:\n%s", n, &w.log)
	}
	w.run("web", 100, "bridge")
	w.run("db", 101, "bridge")
	if find(t, w.collect(c), "web").Read.IsZero() || !strings.Contains(w.log.String(), "works again") {
		t.Errorf("not read when it can be:\n%s", &w.log)
	}
}

// TestRestarted: a container that is started again has a new PID and counters
// from zero; one that ended has none.
func TestRestarted(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	w.collect(c)
	w.end("web", 3, false)
	w.event("die", "web", 3)
	s := w.collect(c)
	got := series(s, find(t, s, "web"))
	if _, ok := got["docker_cpu_usage_seconds_total{}"]; ok || got["docker_container_running{}"] != 0 || got["docker_container_exit_code{}"] != 3 || got["docker_container_exits_total{}"] != 1 {
		t.Errorf("after its end: %v", got)
	}
	if len(s.Events) != 1 || s.Events[0].Name != EventExit || s.Events[0].ExitCode != 3 {
		t.Errorf("events %+v", s.Events)
	}
	w.run("web", 101, "bridge")
	s = w.collect(c)
	if exit := find(t, s, "web").LastExit; exit.Code != 3 || exit.At.IsZero() {
		t.Errorf("its end is forgotten when it runs again: %+v", exit)
	}
	if web := find(t, s, "web"); web.Read.IsZero() || len(s.Events) != 0 {
		t.Errorf("read at %v, events %+v", web.Read, s.Events)
	}
	delete(w.containers, id("web"))
	if s = w.collect(c); len(s.Containers) != 0 {
		t.Errorf("a removed container is still there: %+v", s.Containers)
	}
}

// TestLastExit: of containers that ended before the monitor started, or while
// events were lost, an inspect tells; of one that runs again, its event.
func TestLastExit(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"before", "loops"} {
		w.run(name, 100, "bridge")
		w.end(name, 4, false)
	}
	w.containers[id("loops")].Detail.State = "restarting"
	w.run("new", 101, "bridge")
	w.containers[id("created")] = docker.Container{ID: id("created"), Name: "created", Detail: &docker.Detail{State: "created", ExitCode: 127}}
	c := w.collector()
	s := w.collect(c)
	for name, want := range map[string]int{"before": 4, "loops": 4, "new": -1, "created": -1} {
		exit := find(t, s, name).LastExit
		if known := !exit.At.IsZero(); known != (want >= 0) || known && exit.Code != want {
			t.Errorf("%s: %+v, want exit code %d", name, exit, want)
		}
	}
	w.end("new", 5, false)
	if exit := find(t, w.collect(c), "new").LastExit; exit.Code != 5 {
		t.Errorf("without an event: %+v", exit)
	}
	w.run("before", 102, "bridge")
	w.event("start", "before", 0)
	w.event("die", "before", 6)
	if exit := find(t, w.collect(c), "before").LastExit; exit.Code != 6 {
		t.Errorf("ended, and started again between two collections: %+v", exit)
	}
}

// TestEventsOverflow: what had no room is counted.
func TestEventsOverflow(t *testing.T) {
	w := newWorld(t)
	c := w.collector()
	for range 5000 {
		w.event("exec_create", "web", 0)
	}
	if n := series(w.collect(c), nil)["monitor_collection_errors_total{events}"]; n != 5000-4096 {
		t.Errorf("%v errors", n)
	}
}

// TestRun collects at once, on each tick, and stops when asked; the Engine is
// asked for what it counts, and a failure of that harms nothing.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.run("web", 100, "bridge")
	c := w.collector()
	c.cfg.Counts = func(context.Context) (docker.Counts, error) {
		return docker.Counts{Images: make([]docker.Image, 3)}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := c.Run(ctx, time.Millisecond, func(s *Snapshot) {
		n++
		if s.Engine.Counts != nil && n > 2 {
			if got := series(s, nil)["docker_images{}"]; got != 3 {
				t.Errorf("%v images", got)
			}
			cancel()
		}
	})
	if err == nil || n < 2 {
		t.Errorf("%d collections, error %v", n, err)
	}
	c.cfg.Counts = func(context.Context) (docker.Counts, error) { return docker.Counts{}, os.ErrPermission }
	c.Count(t.Context())
	rest := series(w.collect(c), nil)
	if _, ok := rest["docker_images{}"]; ok || rest["monitor_collection_errors_total{engine}"] != 1 {
		t.Errorf("%v", rest)
	}
}

// TestWatch: whoever watches is shown something every two seconds, and at once what happened; nobody else is.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run("web", 100, "bridge")
		c := w.collector()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []string
		var told []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.Run(ctx, time.Hour, func(s *Snapshot) {
				at, told = append(at, time.Since(began).String()), append(told, len(s.Events))
			})
		}()
		time.Sleep(time.Minute)
		stop, another := c.Watch(), c.Watch()
		time.Sleep(5 * time.Second)
		stop()
		stop() // twice is once
		w.event("die", "web", 0)
		time.Sleep(3 * time.Second)
		another()
		time.Sleep(time.Hour - 30*time.Second)
		cancel()
		<-done
		want := []string{"0s", "1m0s", "1m2s", "1m4s", "1m5s", "1m7s", "1m9s", "1h0m0s"}
		if !slices.Equal(at, want) || told[4] != 1 {
			t.Errorf("collections at %v, events %v; want %v", at, told, want)
		}
	})
}

// TestSteadyStateAllocatesNothing for each container.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	allocs := func(n int) float64 {
		w := newWorld(t)
		for i := range n {
			w.run(fmt.Sprintf("web%d", i), 1000+i, "bridge")
		}
		c := w.collector()
		w.collect(c)
		table, emit := NewTable(), func(*Metric, float64, Labels) {}
		return testing.AllocsPerRun(10, func() {
			s := c.Collect(w.now)
			for _, one := range s.Containers {
				table.Container(s, one, emit)
			}
		})
	}
	if few, many := allocs(10), allocs(60); many > few {
		t.Errorf("%v allocations with 10 containers, %v with 60", few, many)
	}
}
