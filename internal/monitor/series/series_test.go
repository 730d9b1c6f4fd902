package series

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/tag"
)

var began = time.Unix(1700000000, 0)

// snapshot is of one container that has used that many seconds of CPU.
func snapshot(at time.Duration, usage float64, started string, ifaces ...string) *collect.Snapshot {
	c := &collect.Container{
		Container: docker.Container{ID: "c0ffee", Name: "web", Running: true, StartedAt: started, Detail: &docker.Detail{}},
		Read:      began.Add(at), Throttled: -1,
		Stats: cgroup.Stats{CPU: cgroup.CPU{UsageNsec: cgroup.Value{N: uint64(usage * 1e9), Set: true}}},
	}
	for _, name := range ifaces {
		c.Interfaces = append(c.Interfaces, collect.Interface{Interface: procfs.Interface{Name: name, Rx: procfs.Traffic{Bytes: uint64(usage * 100)}}})
	}
	return &collect.Snapshot{Time: began.Add(at), Containers: []*collect.Container{c}, Engine: collect.Engine{Up: true}}
}

// get is a series as "value rate".
func get(a *Aggregator, prom, label string) string {
	out := "absent"
	a.Look(func(v *View) {
		all := v.Rest
		for _, c := range v.Containers {
			all = append(slices.Clip(all), c.Series...)
		}
		for _, s := range all {
			if s.Metric.Prom == prom && s.Labels[0] == label {
				out = fmt.Sprint(s.Value)
				if s.HasRate {
					out += fmt.Sprint(" ", s.Rate)
				}
			}
		}
	})
	return out
}

// TestRates: from the second collection on; none when a counter goes back, and
// none across a restart, whatever the counter says.
func TestRates(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	for i, tt := range []struct {
		snapshot *collect.Snapshot
		want     string
	}{
		{snapshot(0, 10, "1"), "10"},
		{snapshot(10*time.Second, 15, "1"), "15 0.5"},
		{snapshot(20*time.Second, 15, "1"), "15 0"},
		{snapshot(30*time.Second, 4, "1"), "4"},
		{snapshot(40*time.Second, 5, "1"), "5 0.1"},
		{snapshot(50*time.Second, 9, "2"), "9"},
		{snapshot(60*time.Second, 10, "2"), "10 0.1"},
		{snapshot(60*time.Second, 11, "2"), "11"},
	} {
		a.Update(tt.snapshot)
		if got := get(a, "docker_cpu_usage_seconds_total", ""); got != tt.want {
			t.Errorf("collection %d: %s, want %s", i, got, tt.want)
		}
	}
}

// TestInterfacesComeAndGo: each keeps its own rate.
func TestInterfacesComeAndGo(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	a.Update(snapshot(0, 10, "1", "eth0", "eth1"))
	a.Update(snapshot(10*time.Second, 20, "1", "eth1", "eth2"))
	for name, want := range map[string]string{"eth0": "absent", "eth1": "2000 100", "eth2": "2000"} {
		if got := get(a, "docker_net_receive_bytes_total", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestConverted(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	a.Update(snapshot(0, 10, "1"))
	a.Update(snapshot(10*time.Second, 15, "1"))
	a.Look(func(v *View) {
		for _, s := range v.Containers[0].Series {
			got, ok := s.Converted()
			switch s.Metric.Prom {
			case "docker_cpu_usage_seconds_total":
				if got != 50 || !ok {
					t.Errorf("docker.cpu.usage is %v (%v), want 50 percent of a core", got, ok)
				}
			case "docker_container_exit_code", "docker_net_sharing":
				if ok {
					t.Errorf("%s has no second name", s.Metric.Prom)
				}
			case "docker_container_running":
				if got != 1 || !ok {
					t.Errorf("docker.container.running is %v (%v)", got, ok)
				}
			}
		}
	})
}

// TestGone: a removed container leaves no series, and the last events stay.
func TestGone(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	a.Update(snapshot(0, 10, "1"))
	for i := range keptEvents + 5 {
		a.Update(&collect.Snapshot{Time: began.Add(time.Duration(i+1) * time.Second), Events: []collect.Event{{Kills: uint64(i)}}})
	}
	a.Look(func(v *View) {
		if len(v.Containers) != 0 || len(a.byID) != 0 || len(v.Events) != keptEvents || v.Events[keptEvents-1].Kills != keptEvents+4 || v.Up {
			t.Errorf("%d containers, %d kept, %d events", len(v.Containers), len(a.byID), len(v.Events))
		}
	})
}

// TestTagsFollow the container, and are not made anew each time.
func TestTagsFollow(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	s := snapshot(0, 1, "1")
	a.Update(s)
	var first *tag.Tags
	a.Look(func(v *View) { first = v.Containers[0].Tags })
	a.Update(s)
	a.Look(func(v *View) {
		if v.Containers[0].Tags != first {
			t.Error("made anew")
		}
	})
	s.Containers[0].Name, s.Containers[0].Rev = "renamed", 2
	a.Update(s)
	a.Look(func(v *View) {
		if got := v.Containers[0].Tags.Get("container_name"); got != "renamed" {
			t.Errorf("container_name is %s", got)
		}
	})
}

// TestSteadyStateAllocatesNothing for each container.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	allocs := func(n int) float64 {
		a := New(tag.New(tag.Config{}), nil)
		s := snapshot(0, 1, "2026-01-02T03:04:05.123456789Z", "eth0")
		for i := range n {
			c := *s.Containers[0]
			c.ID = fmt.Sprint(i)
			s.Containers = append(s.Containers, &c)
		}
		a.Update(s)
		a.Update(s)
		return testing.AllocsPerRun(10, func() { a.Update(s) })
	}
	if few, many := allocs(1), allocs(50); many > few {
		t.Errorf("%v allocations with few containers, %v with many", few, many)
	}
}

// TestImages: containers are counted by the name of their image, while there are any.
func TestImages(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	s := snapshot(0, 1, "1")
	other := *s.Containers[0]
	other.ID, other.Running = "f00d", false
	nameless := *s.Containers[0]
	nameless.ID, nameless.Image = "beef", "sha256:beef"
	s.Containers[0].Image, other.Image = "web:1", "web:1"
	s.Containers = append(s.Containers, &other, &nameless)
	a.Update(s)
	if r, stopped := get(a, "docker_image_containers_running", "web:1"), get(a, "docker_image_containers_stopped", "web:1"); r != "1" || stopped != "1" {
		t.Errorf("%s run, %s are stopped", r, stopped)
	}
	if got := get(a, "docker_image_containers_running", ""); got != "absent" {
		t.Errorf("an image without a name has %s", got)
	}
	s.Containers = nil
	a.Update(s)
	if got := get(a, "docker_image_containers_running", "web:1"); got != "absent" {
		t.Errorf("%s run of an image that nobody uses", got)
	}
}
