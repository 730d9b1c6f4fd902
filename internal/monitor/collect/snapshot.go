package collect

import (
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
	"vitrine/internal/kernel/procfs"
)

// Snapshot is what one collection found. It, and all in it, is good until the
// next one.
type Snapshot struct {
	Time       time.Time
	Took       time.Duration
	Mode       cgroup.Mode
	CPUs       int                      // of the host
	Host       []Interface              // its network interfaces, without those that are the other end of a container's
	Devices    map[procfs.Device]string // names of block devices
	OOMKills   cgroup.Value             // on the host since it was booted, in containers or not
	Engine     Engine
	Containers []*Container // stopped ones too; by name
	Events     []Event      // since the last snapshot
	Errors     failures
}

// Engine is what is known of the Docker Engine.
type Engine struct {
	Up     bool   // its list and its events can be had
	Err    error  // why not, if that is known
	Gaps   uint64 // how often they were lost since the start
	Counts *docker.Counts
	// Unanswered are the containers about which it does not answer.
	Unanswered []docker.Unanswered
}

// Container is one container: what the Engine says of it, and what the kernel does.
type Container struct {
	docker.Container
	// Read is when the kernel's counters below were read; zero if they were not.
	Read  time.Time
	CPUs  int // of the host
	Stats cgroup.Stats
	// Interfaces are those of its network namespace, without lo. They are with
	// one container of those that share a namespace, and with none if it is the host's.
	Interfaces []Interface
	Sharing    int // how many containers are in that namespace
	OpenFiles  cgroup.Value
	Kills      Kills
	// Headroom is the time in which memory reaches its limit, if it goes on to
	// grow as it did in the last minutes; 0: it does not grow, or has no limit.
	Headroom time.Duration
	Exits    uint64 // ends seen since the monitor started
	LastExit Exit   // zero before the first one that is known
	// Throttled is the part of the scheduler periods since the last reading in
	// which it was throttled, 0 to 1; negative if there was no period, or no last reading.
	Throttled float64
}

// Exit is an end of a container's processes. The Engine forgets it when the
// container is started again; it is remembered here.
type Exit struct {
	At   time.Time // by the Engine's clock
	Code int
}

// Kills are processes that the OOM killer killed, since the monitor first saw
// the container, and before that in its running life.
type Kills struct {
	Survived uint64 // PID 1 lives on: the container says Up, and may be stuck
	Fatal    uint64 // PID 1, and those in the same moment: the container ended
}

// Interface is a network interface and its counters.
type Interface struct {
	procfs.Interface
	Network string // the Docker network that it belongs to; "" if that is not known
}

// Names of events.
const (
	EventOOMKill = "docker.oom_kill"
	EventExit    = "docker.exit"
)

// Event is something that happened, told once.
type Event struct {
	Time time.Time
	Name string
	// ContainerID and ContainerName say where.
	ContainerID, ContainerName string
	PID1Alive                  bool
	Kills                      uint64 // of docker.oom_kill: processes killed since the last reading
	Group                      bool   // of docker.oom_kill: the kernel says that it killed a whole cgroup
	// Victims are those of the Kills whom the kernel's log names.
	Victims  []kmsg.Victim
	ExitCode int // of docker.exit
}

// source is where collecting can fail.
type source int

// The sources.
const (
	sourceCgroup  source = iota // a container's cgroup files
	sourceProc                  // facts about a container's init
	sourceNetwork               // net/dev of a container or the host
	sourceEngine                // the Engine's answers
	sourceEvents                // events that came faster than they were used
	sources
)

// String is the source's name, as in metrics.
func (s source) String() string {
	return [...]string{"cgroup", "proc", "network", "engine", "events"}[s]
}

// failures counts failures by source.
type failures [sources]uint64
