package operation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	units "github.com/docker/go-units"
)

// Ceilings are how much a container may be given, and how many of them, of networks and of volumes, somebody may have; zero is no ceiling.
type Ceilings struct {
	Memory   int64 `json:"memory,omitempty"`    // bytes; with swap twice as many, which is what the daemon gives by itself
	NanoCPUs int64 `json:"nano_cpus,omitempty"` // processors, in 10⁻⁹
	Pids     int64 `json:"pids,omitempty"`      // processes and threads
	// How many the holder has, containers that do not run too: not the request's to say, see package decide.
	Containers int64 `json:"containers,omitempty"`
	Networks   int64 `json:"networks,omitempty"`
	Volumes    int64 `json:"volumes,omitempty"`
}

// defaultCPUPeriod is the kernel's, in µs, where a request gives a quota without a period.
const defaultCPUPeriod = 100_000

// setField is a field that was given a value: "HostConfig.Memory".
type setField struct {
	Field string
	Value int64
}

// WithCeilings is the operation with a container's resources at the ceilings where it gives none (of an update: where it
// gives none, they stay as they are, and that is within the ceilings); Operation.Set says which those are. What asks for more, or for no limit, is an error for
// the caller, and so is an operation that would make containers whose resources cannot be said here. The operation itself is not changed.
func (o *Operation) WithCeilings(c Ceilings) (*Operation, error) {
	limits := c.Memory != 0 || c.NanoCPUs != 0 || c.Pids != 0
	runs := slices.Contains([]string{"ServiceCreate", "ServiceUpdate", "ImageBuild"}, o.ID)
	switch {
	case runs && limits:
		return nil, fmt.Errorf("what %s runs cannot be held to its limits of memory, processors and processes", o.ID)
	case runs && c.Volumes != 0:
		return nil, fmt.Errorf("the volumes of what %s runs cannot be counted", o.ID)
	case !limits:
		return o, nil
	}
	switch o.ID {
	case "ContainerCreate", "ContainerUpdate":
	default:
		return o, nil
	}
	if o.BodyState != BodyJSON {
		return o, nil // which is denied for that
	}
	r := *o
	r.Body = clone(o.Body)
	update := o.ID == "ContainerUpdate"
	l := limiter{of: r.body(), update: update}
	if !update {
		l.under = "HostConfig."
		if l.of = object(r.body(), "HostConfig"); l.of == nil {
			l.of = map[string]any{}
			if body := r.body(); body != nil {
				body["HostConfig"] = l.of
			}
		}
	}
	if r.body() == nil {
		return nil, fmt.Errorf("its body is no object")
	}
	l.memory(c.Memory)
	l.cpus(c.NanoCPUs)
	l.pids(c.Pids)
	if l.err != nil || len(l.set) == 0 {
		return o, l.err
	}
	var err error
	if r.Canonical, err = encode(r.Body); err != nil {
		return nil, fmt.Errorf("write the request with its limits: %w", err)
	}
	r.Set = append(slices.Clip(o.Set), l.set...)
	r.judge()
	return &r, nil
}

// limiter holds the resources of one request to ceilings, and keeps the first objection.
type limiter struct {
	of     map[string]any
	under  string
	update bool
	set    []setField
	err    error
}

func (l *limiter) memory(most int64) {
	if most == 0 {
		return
	}
	size := func(n int64) string { return units.BytesSize(float64(n)) }
	switch memory := l.number("Memory"); {
	case memory > most:
		l.object("Memory: %s of memory is asked for, and %s is allowed", size(memory), size(most))
	case memory < 0 && l.update:
		l.object("Memory: memory without a limit is asked for, and %s is allowed", size(most))
	case memory <= 0 && !l.update:
		l.give("Memory", most)
	}
	switch swap := l.number("MemorySwap"); {
	case swap < 0:
		l.object("MemorySwap: swap without a limit is asked for, and %s of memory and swap is allowed", size(2*most))
	case swap > 2*most:
		l.object("MemorySwap: %s of memory and swap is asked for, and %s is allowed", size(swap), size(2*most))
	}
}

// What the kernel can limit by, in µs. Of NanoCpus the daemon makes a quota of defaultCPUPeriod, rounded down: of fewer
// than 10,000 it makes 0, which is no limit, and of fewer than leastNanoCPUs less than leastQuota.
const (
	leastNanoCPUs = 10_000_000
	leastQuota    = 1_000
	leastPeriod   = 1_000
	mostPeriod    = 1_000_000
)

// cpus compares the one quota, and the period, that the daemon will give the kernel. It makes them of NanoCpus first; then a
// CpuPeriod and a CpuQuota that are not 0, a negative one too, stand in their place. An update of one of the two changes what the other means.
func (l *limiter) cpus(most int64) {
	if most == 0 {
		return
	}
	nano, quota, period := l.number("NanoCpus"), l.number("CpuQuota"), l.number("CpuPeriod")
	unlimited := quota < 0 && !l.update // as if there were none; but beside NanoCpus it would stand in their place
	if unlimited {
		quota = 0
	}
	switch {
	case nano < 0 || quota < 0 || period < 0:
		l.object("processors without a limit are asked for, and %s are allowed", cpus(most))
	case l.update && (quota != 0) != (period != 0):
		l.object("CpuQuota and CpuPeriod say together how many processors it has, and %s are allowed: give both, or NanoCpus", cpus(most))
	case nano > 0 && nano < leastNanoCPUs:
		l.object("NanoCpus: %d is less than Docker can limit: give %d at least, which is %s processors", nano, leastNanoCPUs, cpus(leastNanoCPUs))
	case quota > 0 && quota < leastQuota:
		l.object("CpuQuota: %d µs is less than Docker can limit: give %d at least", quota, leastQuota)
	case period > 0 && (period < leastPeriod || period > mostPeriod):
		l.object("CpuPeriod: %d µs is no period that Docker can limit by: give %d to %d", period, leastPeriod, mostPeriod)
	}
	gives := nano > 0 || quota > 0
	if period == 0 {
		period = defaultCPUPeriod
	} else if !gives { // of an update that is refused above; beside a period the daemon takes no NanoCpus
		if quota = int64(float64(most) / 1e9 * float64(period)); quota < leastQuota {
			l.object("CpuPeriod: %s processors of %d µs are less than Docker can limit: give a longer one, or none", cpus(most), period)
		}
		l.give("CpuQuota", quota)
		return
	}
	if quota == 0 {
		quota = nano * defaultCPUPeriod / 1e9
	}
	switch share := float64(quota) / float64(period); {
	case nano > most: // also where the daemon would take another field, or none of both
		l.object("%s processors are asked for, and %s are allowed", cpus(nano), cpus(most))
	case share > float64(most)/1e9:
		l.object("%s processors are asked for, and %s are allowed", strconv.FormatFloat(share, 'g', 4, 64), cpus(most))
	}
	if l.update {
		return
	}
	if unlimited {
		l.give("CpuQuota", 0)
	}
	if !gives {
		l.give("NanoCpus", most)
	}
}

func (l *limiter) pids(most int64) {
	if most == 0 {
		return
	}
	given := l.of["PidsLimit"] != nil
	switch pids := l.number("PidsLimit"); {
	case pids > most:
		l.object("PidsLimit: %d processes are asked for, and %d are allowed", pids, most)
	case pids <= 0 && given && l.update:
		l.object("PidsLimit: processes without a limit are asked for, and %d are allowed", most)
	case pids <= 0 && !l.update:
		l.give("PidsLimit", most)
	}
}

// number is what a key has, 0 for none.
func (l *limiter) number(key string) int64 {
	v := l.of[key]
	if v == nil {
		return 0
	}
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if err != nil {
		l.object("%s: %v is no whole number", key, v)
	}
	return i
}

func (l *limiter) give(key string, value int64) {
	l.of[key] = json.Number(strconv.FormatInt(value, 10))
	l.set = append(l.set, setField{l.under + key, value})
}

func (l *limiter) object(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func cpus(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'g', -1, 64) }
