package collect

import (
	"fmt"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/procfs"
)

// Table is every metric that there is, and how it is read from a snapshot.
type Table struct {
	scalars   []row
	kills     Metric
	network   []of[procfs.Interface] // of containers
	host      []of[procfs.Interface]
	io        []of[cgroup.Device]
	pressure  [2]Metric // some, full
	engine    []of[docker.Counts]
	perImage  [2]Metric // containers that run, and that do not
	own       []of[Snapshot]
	errors    Metric
	hostOOM   Metric
	volumes   Metric
	imageSize Metric
	silent    Metric
	ids       map[procfs.Device]string // devices without a name
}

// of is a metric that each X has, and how to read it.
type of[X any] struct {
	Metric
	read func(*X) float64
}

func list[X any](metrics []*Metric, more []of[X]) []*Metric {
	for i := range more {
		metrics = append(metrics, &more[i].Metric)
	}
	return metrics
}

func emitAll[X any](all []of[X], x *X, l Labels, emit Emit) {
	for i := range all {
		emit(&all[i].Metric, all[i].read(x), l)
	}
}

// NewTable makes the table. It belongs to one goroutine.
func NewTable() *Table {
	return &Table{
		scalars: rows(),
		kills: metric("docker_oom_kills_total", "docker.oom_kills", "kills",
			"Processes that the OOM killer killed. pid1_alive=true: PID 1 lives on, the Engine says Up, and the container may be stuck; false: it ended by that.",
			"v1: memory.oom_control oom_kill, nested cgroups added; v2: memory.events oom_kill; ends: exit code 137 and an oom event", "pid1_alive"),
		network: interfaces("docker", "docker.net", "of the container's network namespace", "/proc/<pid>/net/dev", "interface", "docker_network"),
		host:    interfaces("host", "system.net", "of the host", "<proc>/1/net/dev", "interface"),
		io: []of[cgroup.Device]{
			{ioMetric("read_bytes", "bytes", "Bytes read.", "rbytes"), func(d *cgroup.Device) float64 { return float64(d.ReadBytes) }},
			{ioMetric("write_bytes", "bytes", "Bytes written.", "wbytes"), func(d *cgroup.Device) float64 { return float64(d.WriteBytes) }},
			{ioMetric("read_operations", "operations", "Reads.", "rios"), func(d *cgroup.Device) float64 { return float64(d.ReadOps) }},
			{ioMetric("write_operations", "operations", "Writes.", "wios"), func(d *cgroup.Device) float64 { return float64(d.WriteOps) }},
		},
		pressure: [2]Metric{
			stall("some", "Time in which at least one task waited for the resource."),
			stall("full", "Time in which all tasks that could have run waited for the resource."),
		},
		engine: []of[docker.Counts]{
			{metric("docker_images", "docker.images.available", "", "Images: those with a name, and those without that are no mere layers of others.", "GET /images/json"), func(n *docker.Counts) float64 { return float64(len(n.Images)) }},
			{metric("docker_networks", "docker.networks", "", "Networks.", "GET /networks"), func(n *docker.Counts) float64 { return float64(n.Networks) }},
		},
		volumes:   metric("docker_volumes", "docker.volume.count", "", "Volumes: attached to some container, which need not run, or dangling.", "GET /volumes", "volume_state"),
		imageSize: metric("docker_image_size_bytes", "docker.image.size", "", "Size of an image; layers that images share count in each.", "GET /images/json, Size", "docker_image"),
		perImage: [2]Metric{
			metric("docker_image_containers_running", "docker.containers.running", "containers", "Containers of an image that run.", "the inventory", "docker_image"),
			metric("docker_image_containers_stopped", "docker.containers.stopped", "containers", "Containers of an image that do not run.", "the inventory", "docker_image"),
		},
		own: []of[Snapshot]{
			{metric("docker_up", "", "", "1 while the Engine's list and events can be had; the service check docker.service_up says why not.", "the inventory"), func(s *Snapshot) float64 { return truth(s.Engine.Up) }},
			{metric("docker_gaps_total", "", "gaps", "Times that the Engine's events were lost; what happened meanwhile is known only as far as the kernel's counters tell.", "the inventory"), func(s *Snapshot) float64 { return float64(s.Engine.Gaps) }},
			{metric("docker_containers_running", "docker.containers.running.total", "containers", "Containers that run.", "the inventory"), func(s *Snapshot) float64 { return float64(s.count(true)) }},
			{metric("docker_containers_stopped", "docker.containers.stopped.total", "containers", "Containers that do not run.", "the inventory"), func(s *Snapshot) float64 { return float64(s.count(false)) }},
			{metric("monitor_collection_duration_seconds", "", "seconds", "What the last collection took.", "the monitor"), func(s *Snapshot) float64 { return s.Took.Seconds() }},
			{metric("monitor_collection_timestamp_seconds", "", "seconds", "When the last collection was, in seconds since 1970.", "the monitor"), func(s *Snapshot) float64 { return float64(s.Time.UnixMilli()) / 1000 }},
		},
		silent: metric("docker_inventory_unanswered", "", "",
			"1 for each container about which the Engine does not answer, while it answers about others: it is shown as it was last known to be, or not at all.", "the inventory",
			"container_id", "container_name"),
		hostOOM: metric("host_oom_kills_total", "system.oom_kills", "kills", "Processes that the OOM killer killed since the host was booted, in containers or not.", "/proc/vmstat oom_kill"),
		errors:  metric("monitor_collection_errors_total", "", "errors", "What could not be read; the log has the reasons.", "the monitor", "source"),
		ids:     map[procfs.Device]string{},
	}
}

func interfaces(prom, name, whose, source string, labels ...string) []of[procfs.Interface] {
	one := func(promPart, namePart, unit, what string, read func(*procfs.Interface) uint64) of[procfs.Interface] {
		return of[procfs.Interface]{
			metric(prom+"_net_"+promPart+"_total", name+"."+namePart, unit, fmt.Sprintf("%s, by interface %s.", what, whose), source, labels...),
			func(i *procfs.Interface) float64 { return float64(read(i)) },
		}
	}
	type in = procfs.Interface
	return []of[in]{
		one("receive_bytes", "bytes_rcvd", "bytes", "Bytes received", func(i *in) uint64 { return i.Rx.Bytes }),
		one("receive_packets", "packets_rcvd", "packets", "Packets received", func(i *in) uint64 { return i.Rx.Packets }),
		one("receive_errors", "errors_rcvd", "packets", "Packets received with errors", func(i *in) uint64 { return i.Rx.Errors }),
		one("receive_dropped", "dropped_rcvd", "packets", "Packets received and dropped", func(i *in) uint64 { return i.Rx.Dropped }),
		one("transmit_bytes", "bytes_sent", "bytes", "Bytes sent", func(i *in) uint64 { return i.Tx.Bytes }),
		one("transmit_packets", "packets_sent", "packets", "Packets sent", func(i *in) uint64 { return i.Tx.Packets }),
		one("transmit_errors", "errors_sent", "packets", "Packets that could not be sent", func(i *in) uint64 { return i.Tx.Errors }),
		one("transmit_dropped", "dropped_sent", "packets", "Packets dropped instead of sent", func(i *in) uint64 { return i.Tx.Dropped }),
	}
}

func ioMetric(part, unit, help, key string) Metric {
	return metric("docker_io_"+part+"_total", "docker.io."+part, unit, help, "v1: blkio.throttle.*_recursive; v2: io.stat "+key, "device")
}

func stall(kind, help string) Metric {
	return metric("docker_pressure_"+kind+"_seconds_total", "docker.pressure."+kind, "percent of the time", help,
		"v2 and hybrid: cpu.pressure, memory.pressure, io.pressure total", "resource")
}

// Containers are the metrics that each container has, which all bear its name.
func (t *Table) Containers() []*Metric {
	var out []*Metric
	for i := range t.scalars {
		out = append(out, &t.scalars[i].Metric)
	}
	return append(list(list(append(out, &t.kills), t.network), t.io), &t.pressure[0], &t.pressure[1])
}

// Others are the metrics of the host, the Engine and the monitor itself.
func (t *Table) Others() []*Metric {
	out := append(list(list(nil, t.host), t.engine), &t.volumes, &t.imageSize, &t.perImage[0], &t.perImage[1])
	return append(list(out, t.own), &t.silent, &t.hostOOM, &t.errors)
}

// Container emits the values of a container.
func (t *Table) Container(s *Snapshot, c *Container, emit Emit) {
	for i := range t.scalars {
		r := &t.scalars[i]
		if v, ok := r.read(c); ok {
			emit(&r.Metric, v, Labels{})
		}
	}
	emit(&t.kills, float64(c.Kills.Survived), Labels{"true"})
	emit(&t.kills, float64(c.Kills.Fatal), Labels{"false"})
	if c.Read.IsZero() {
		return
	}
	emitInterfaces(t.network, c.Interfaces, emit)
	for i := range c.Stats.IO {
		d := &c.Stats.IO[i]
		emitAll(t.io, d, Labels{t.device(s, d)}, emit)
	}
	p := &c.Stats.Pressure
	t.stall(&p.CPU, "cpu", emit)
	t.stall(&p.Memory, "memory", emit)
	t.stall(&p.IO, "io", emit)
}

func (t *Table) stall(s *cgroup.Stall, resource string, emit Emit) {
	for i, v := range [...]cgroup.Value{s.SomeNsec, s.FullNsec} {
		if v.Set {
			emit(&t.pressure[i], float64(v.N)/float64(time.Second), Labels{resource})
		}
	}
}

func (t *Table) device(s *Snapshot, d *cgroup.Device) string {
	id := procfs.Device{d.Major, d.Minor}
	if name, ok := s.Devices[id]; ok {
		return name
	}
	name, ok := t.ids[id]
	if !ok {
		name = fmt.Sprintf("%d:%d", d.Major, d.Minor)
		t.ids[id] = name
	}
	return name
}

func emitInterfaces(metrics []of[procfs.Interface], found []Interface, emit Emit) {
	for i := range found {
		in := &found[i]
		emitAll(metrics, &in.Interface, Labels{in.Name, in.Network}, emit)
	}
}

// Rest emits the values of the host, the Engine and the monitor.
func (t *Table) Rest(s *Snapshot, emit Emit) {
	emitInterfaces(t.host, s.Host, emit)
	if s.OOMKills.Set {
		emit(&t.hostOOM, float64(s.OOMKills.N), Labels{})
	}
	if n := s.Engine.Counts; n != nil {
		emitAll(t.engine, n, Labels{}, emit)
		emit(&t.volumes, float64(max(0, n.Volumes-n.Dangling)), Labels{"attached"}) // two answers, one after the other
		emit(&t.volumes, float64(n.Dangling), Labels{"dangling"})
		for i := range n.Images {
			for _, name := range n.Images[i].Names {
				emit(&t.imageSize, float64(n.Images[i].Size), Labels{name})
			}
		}
	}
	emitAll(t.own, s, Labels{}, emit)
	for _, u := range s.Engine.Unanswered {
		emit(&t.silent, 1, Labels{u.ID, u.Name})
	}
	for i, n := range s.Errors {
		emit(&t.errors, float64(n), Labels{source(i).String()})
	}
}

// Image emits how many containers of an image run, and do not.
func (t *Table) Image(name string, running, stopped int, emit Emit) {
	emit(&t.perImage[0], float64(running), Labels{name})
	emit(&t.perImage[1], float64(stopped), Labels{name})
}

func (s *Snapshot) count(running bool) int {
	n := 0
	for _, c := range s.Containers {
		if c.Running == running {
			n++
		}
	}
	return n
}

func (c *Container) startTime() (float64, bool) {
	at, err := time.Parse(time.RFC3339Nano, c.StartedAt)
	if err != nil || !c.Running {
		return 0, false
	}
	return float64(at.UnixMilli()) / 1000, true
}
