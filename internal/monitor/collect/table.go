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
	network   []perInterface // of containers
	host      []perInterface
	io        []perDevice
	pressure  [2]Metric // some, full
	engine    []ofEngine
	perImage  [2]Metric // containers that run, and that do not
	own       []ofSnapshot
	errors    Metric
	hostOOM   Metric
	volumes   Metric
	imageSize Metric
	silent    Metric
	ids       map[procfs.Device]string // devices without a name
}

type perInterface struct {
	Metric
	read func(*procfs.Interface) uint64
}

type perDevice struct {
	Metric
	read func(*cgroup.Device) uint64
}

type ofEngine struct {
	Metric
	read func(*docker.Counts) int
}

type ofSnapshot struct {
	Metric
	read func(*Snapshot) float64
}

// NewTable makes the table. It belongs to one goroutine.
func NewTable() *Table {
	return &Table{
		scalars: rows(),
		kills: Metric{
			"docker_oom_kills_total", "docker.oom_kills", Counter, "kills", 1,
			[]string{"pid1_alive"},
			"Processes that the OOM killer killed. pid1_alive=true: PID 1 lives on, the Engine says Up, and the container may be stuck; false: it ended by that.",
			"v1: memory.oom_control oom_kill, nested cgroups added; v2: memory.events oom_kill; ends: exit code 137 and an oom event",
		},
		network: interfaces("docker", "docker.net", "of the container's network namespace", "/proc/<pid>/net/dev", "interface", "docker_network"),
		host:    interfaces("host", "system.net", "of the host", "<proc>/1/net/dev", "interface"),
		io: []perDevice{
			{ioMetric("read_bytes", "bytes", "Bytes read.", "rbytes"), func(d *cgroup.Device) uint64 { return d.ReadBytes }},
			{ioMetric("write_bytes", "bytes", "Bytes written.", "wbytes"), func(d *cgroup.Device) uint64 { return d.WriteBytes }},
			{ioMetric("read_operations", "operations", "Reads.", "rios"), func(d *cgroup.Device) uint64 { return d.ReadOps }},
			{ioMetric("write_operations", "operations", "Writes.", "wios"), func(d *cgroup.Device) uint64 { return d.WriteOps }},
		},
		pressure: [2]Metric{
			stall("some", "Time in which at least one task waited for the resource."),
			stall("full", "Time in which all tasks that could have run waited for the resource."),
		},
		engine: []ofEngine{
			{engineMetric("docker_images", "docker.images.available", "Images: those with a name, and those without that are no mere layers of others.", "GET /images/json"), func(n *docker.Counts) int { return len(n.Images) }},
			{engineMetric("docker_networks", "docker.networks", "Networks.", "GET /networks"), func(n *docker.Counts) int { return n.Networks }},
		},
		volumes:   engineMetric("docker_volumes", "docker.volume.count", "Volumes: attached to some container, which need not run, or dangling.", "GET /volumes", "volume_state"),
		imageSize: engineMetric("docker_image_size_bytes", "docker.image.size", "Size of an image; layers that images share count in each.", "GET /images/json, Size", "docker_image"),
		perImage: [2]Metric{
			{"docker_image_containers_running", "docker.containers.running", Gauge, "containers", 1, []string{"docker_image"}, "Containers of an image that run.", "the inventory"},
			{"docker_image_containers_stopped", "docker.containers.stopped", Gauge, "containers", 1, []string{"docker_image"}, "Containers of an image that do not run.", "the inventory"},
		},
		own: []ofSnapshot{
			{Metric{"docker_up", "", Gauge, "", 1, nil, "1 while the Engine's list and events can be had; the service check docker.service_up says why not.", "the inventory"}, func(s *Snapshot) float64 { return truth(s.Engine.Up) }},
			{Metric{"docker_gaps_total", "", Counter, "gaps", 1, nil, "Times that the Engine's events were lost; what happened meanwhile is known only as far as the kernel's counters tell.", "the inventory"}, func(s *Snapshot) float64 { return float64(s.Engine.Gaps) }},
			{Metric{"docker_containers_running", "docker.containers.running.total", Gauge, "containers", 1, nil, "Containers that run.", "the inventory"}, func(s *Snapshot) float64 { return float64(s.count(true)) }},
			{Metric{"docker_containers_stopped", "docker.containers.stopped.total", Gauge, "containers", 1, nil, "Containers that do not run.", "the inventory"}, func(s *Snapshot) float64 { return float64(s.count(false)) }},
			{Metric{"monitor_collection_duration_seconds", "", Gauge, "seconds", 1, nil, "What the last collection took.", "the monitor"}, func(s *Snapshot) float64 { return s.Took.Seconds() }},
			{Metric{"monitor_collection_timestamp_seconds", "", Gauge, "seconds", 1, nil, "When the last collection was, in seconds since 1970.", "the monitor"}, func(s *Snapshot) float64 { return float64(s.Time.UnixMilli()) / 1000 }},
		},
		silent: Metric{
			"docker_inventory_unanswered", "", Gauge, "", 1,
			[]string{"container_id", "container_name"},
			"1 for each container about which the Engine does not answer, while it answers about others: it is shown as it was last known to be, or not at all.", "the inventory",
		},
		hostOOM: Metric{
			"host_oom_kills_total", "system.oom_kills", Counter, "kills", 1, nil,
			"Processes that the OOM killer killed since the host was booted, in containers or not.", "/proc/vmstat oom_kill",
		},
		errors: Metric{
			"monitor_collection_errors_total", "", Counter, "errors", 1,
			[]string{"source"},
			"What could not be read; the log has the reasons.", "the monitor",
		},
		ids: map[procfs.Device]string{},
	}
}

func interfaces(prom, name, whose, source string, labels ...string) []perInterface {
	type in = procfs.Interface
	metric := func(promPart, namePart, unit, what string) Metric {
		return Metric{
			Prom: prom + "_net_" + promPart + "_total", Name: name + "." + namePart, Kind: Counter, Unit: unit, Scale: 1,
			Labels: labels, Help: fmt.Sprintf("%s, by interface %s.", what, whose), Source: source,
		}
	}
	return []perInterface{
		{metric("receive_bytes", "bytes_rcvd", "bytes", "Bytes received"), func(i *in) uint64 { return i.Rx.Bytes }},
		{metric("receive_packets", "packets_rcvd", "packets", "Packets received"), func(i *in) uint64 { return i.Rx.Packets }},
		{metric("receive_errors", "errors_rcvd", "packets", "Packets received with errors"), func(i *in) uint64 { return i.Rx.Errors }},
		{metric("receive_dropped", "dropped_rcvd", "packets", "Packets received and dropped"), func(i *in) uint64 { return i.Rx.Dropped }},
		{metric("transmit_bytes", "bytes_sent", "bytes", "Bytes sent"), func(i *in) uint64 { return i.Tx.Bytes }},
		{metric("transmit_packets", "packets_sent", "packets", "Packets sent"), func(i *in) uint64 { return i.Tx.Packets }},
		{metric("transmit_errors", "errors_sent", "packets", "Packets that could not be sent"), func(i *in) uint64 { return i.Tx.Errors }},
		{metric("transmit_dropped", "dropped_sent", "packets", "Packets dropped instead of sent"), func(i *in) uint64 { return i.Tx.Dropped }},
	}
}

func ioMetric(part, unit, help, key string) Metric {
	return Metric{
		Prom: "docker_io_" + part + "_total", Name: "docker.io." + part, Kind: Counter, Unit: unit, Scale: 1,
		Labels: []string{"device"}, Help: help, Source: "v1: blkio.throttle.*_recursive; v2: io.stat " + key,
	}
}

func stall(kind, help string) Metric {
	return Metric{
		Prom: "docker_pressure_" + kind + "_seconds_total", Name: "docker.pressure." + kind, Kind: Counter, Unit: "percent of the time", Scale: 100,
		Labels: []string{"resource"}, Help: help, Source: "v2 and hybrid: cpu.pressure, memory.pressure, io.pressure total",
	}
}

func engineMetric(prom, name, help, source string, labels ...string) Metric {
	return Metric{Prom: prom, Name: name, Kind: Gauge, Scale: 1, Labels: labels, Help: help, Source: source}
}

// Containers are the metrics that each container has, which all bear its name.
func (t *Table) Containers() []*Metric {
	var out []*Metric
	for i := range t.scalars {
		out = append(out, &t.scalars[i].Metric)
	}
	out = append(out, &t.kills)
	for i := range t.network {
		out = append(out, &t.network[i].Metric)
	}
	for i := range t.io {
		out = append(out, &t.io[i].Metric)
	}
	return append(out, &t.pressure[0], &t.pressure[1])
}

// Others are the metrics of the host, the Engine and the monitor itself.
func (t *Table) Others() []*Metric {
	var out []*Metric
	for i := range t.host {
		out = append(out, &t.host[i].Metric)
	}
	for i := range t.engine {
		out = append(out, &t.engine[i].Metric)
	}
	out = append(out, &t.volumes, &t.imageSize, &t.perImage[0], &t.perImage[1])
	for i := range t.own {
		out = append(out, &t.own[i].Metric)
	}
	return append(out, &t.silent, &t.hostOOM, &t.errors)
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
		name := t.device(s, d)
		for j := range t.io {
			emit(&t.io[j].Metric, float64(t.io[j].read(d)), Labels{name})
		}
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

func emitInterfaces(rows []perInterface, list []Interface, emit Emit) {
	for i := range list {
		in := &list[i]
		for j := range rows {
			emit(&rows[j].Metric, float64(rows[j].read(&in.Interface)), Labels{in.Name, in.Network})
		}
	}
}

// Rest emits the values of the host, the Engine and the monitor.
func (t *Table) Rest(s *Snapshot, emit Emit) {
	emitInterfaces(t.host, s.Host, emit)
	if s.OOMKills.Set {
		emit(&t.hostOOM, float64(s.OOMKills.N), Labels{})
	}
	if n := s.Engine.Counts; n != nil {
		for i := range t.engine {
			emit(&t.engine[i].Metric, float64(t.engine[i].read(n)), Labels{})
		}
		emit(&t.volumes, float64(max(0, n.Volumes-n.Dangling)), Labels{"attached"}) // two answers, one after the other
		emit(&t.volumes, float64(n.Dangling), Labels{"dangling"})
		for i := range n.Images {
			for _, name := range n.Images[i].Names {
				emit(&t.imageSize, float64(n.Images[i].Size), Labels{name})
			}
		}
	}
	for i := range t.own {
		emit(&t.own[i].Metric, t.own[i].read(s), Labels{})
	}
	for _, u := range s.Engine.Unanswered {
		emit(&t.silent, 1, Labels{u.ID, u.Name})
	}
	for i, n := range s.Errors {
		emit(&t.errors, float64(n), Labels{Source(i).String()})
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
