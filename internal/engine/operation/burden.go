package operation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the daemon does, and keeps, for a container is outside of the container's own limits, whether the request asks for it or the image that
// the container is made of.
const (
	// maxText is how long a setting of a container may be. runc quotes in its errors what it cannot set, and of one that is longer than
	// a pipe is wide it never comes back: the container can then be inspected and removed by nobody, nor others be pruned.
	maxText = 16 << 10
	// maxShown is how long what each list of containers has of one may be, in bytes: its command line, its mounts, its networks. A health check's
	// command is in two events each time.
	maxShown = 64 << 10
	// maxPorts are those that a container may expose; each list has them, too.
	maxPorts = 1000
	// maxVolumes are those without a name that a container may be given: the daemon makes each, and keeps it when the container is removed.
	maxVolumes = 100
	// maxStop is how long a container may take to end. A daemon that is to stop waits for the slowest one, and so does who stops that.
	maxStop = 10 * time.Minute
	// maxMounts are those that a request may give; each list has them.
	maxMounts = 256
	// leastInterval is between two health checks. Each is a process that the daemon, containerd and the runtime start, with
	// their own time.
	leastInterval = time.Second
)

// burdens are the fields of a container's configuration, as a request or an image has it, that ask for more.
func burdens(config map[string]any) (fields []string) {
	note := func(field string, is bool) {
		if is {
			fields = append(fields, field)
		}
	}
	for _, key := range []string{"Cmd", "Entrypoint"} {
		note(key, longCommand(config[key]))
	}
	note("WorkingDir", tooLong(config["WorkingDir"]))
	ports := 0
	for spec := range object(config, "ExposedPorts") {
		ports += portsOf(spec)
	}
	note("ExposedPorts", ports > maxPorts)
	health := object(config, "Healthcheck")
	test := texts(health["Test"])
	note("Healthcheck.Test", longTogether(health["Test"]) || len(test) > 1 && test[0] == "CMD" && tooLong(test[1]))
	note("Volumes", len(object(config, "Volumes")) > maxVolumes || longTogether(config["Volumes"]))
	return fields
}

// mountBurdens are the fields by which a new container asks for more mounts, or volumes without a name, than one may have.
func mountBurdens(body map[string]any) (fields []string) {
	unnamed := len(object(body, "Volumes"))
	for _, key := range []string{"Binds", "Mounts"} {
		all := list(object(body, "HostConfig"), key)
		own := 0
		for _, mount := range all {
			if makesVolume(mount) {
				own++
			}
		}
		unnamed += own
		if len(all) > maxMounts || longTogether(all) || own > 0 && unnamed > maxVolumes {
			fields = append(fields, "HostConfig."+key)
		}
	}
	return fields
}

// makesVolume says of a bind, or a mount, that the daemon makes a volume without a name for it.
func makesVolume(mount any) bool {
	switch m := mount.(type) {
	case string:
		return !strings.Contains(m, ":")
	case map[string]any:
		return text(m, "Type") == "volume" && text(m, "Source") == ""
	}
	return false
}

// longCommand says so of a program with its arguments.
func longCommand(value any) bool { return tooLong(first(value)) || longTogether(value) }

// longTogether says that the texts in a value are more than a list shows of a container.
func longTogether(value any) bool { return length(value) > maxShown }

// length is that of all texts in a value, keys too.
func length(value any) (n int) {
	switch v := value.(type) {
	case string:
		return len(v)
	case []any:
		for _, element := range v {
			n += length(element)
		}
	case map[string]any:
		for key, member := range v {
			n += len(key) + length(member)
		}
	}
	return n
}

// portsOf is how many ports an entry such as "80/tcp" or "8000-8010" means; many of one that the daemon may read otherwise.
func portsOf(spec string) int {
	ports, _, _ := strings.Cut(spec, "/")
	from, to, isRange := strings.Cut(ports, "-")
	if !isRange {
		return 1
	}
	lo, err := strconv.ParseUint(from, 10, 16)
	hi, errTo := strconv.ParseUint(to, 10, 16)
	if err != nil || errTo != nil || hi < lo {
		return maxPorts + 1
	}
	return int(hi - lo + 1)
}

// judgeInterval is for the time between two health checks.
func (o *Operation) judgeInterval(_ map[string]any, value any) {
	o.hazardIf(HazardLimits, often(value))
}

// judgeStopTimeout is for the seconds that a container is given to end; the daemon waits for ever with a negative number.
func (o *Operation) judgeStopTimeout(_ map[string]any, value any) {
	seconds, err := integer(value)
	o.hazardIf(HazardLimits, err != nil || seconds < 0 || seconds > int64(maxStop/time.Second))
}

// often says of a time between two health checks that it is too short. 0 is the daemon's default.
func often(value any) bool {
	n, given := value.(json.Number)
	if !given {
		return false
	}
	interval, err := n.Int64()
	return err != nil || interval != 0 && interval < int64(leastInterval)
}

// ImageConfig is what an image's configuration asks of the daemon for each container.
type ImageConfig struct {
	Burdens []string // the fields that ask for more than a container may, sorted
	Owns    bool     // it says whose its containers are, so that they could not be counted
	Volumes []string // where each is given a volume of its own, sorted
}

// ReadImageConfig reads it as the Engine shows it, as JSON.
func ReadImageConfig(config []byte) (c ImageConfig, err error) {
	var image map[string]any
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.UseNumber()
	if err := dec.Decode(&image); err != nil {
		return c, fmt.Errorf("read an image's configuration: %w", err)
	}
	c.Burdens = burdens(image)
	for _, key := range []string{"Interval", "StartInterval"} {
		if often(object(image, "Healthcheck")[key]) {
			c.Burdens = append(c.Burdens, "Healthcheck."+key)
		}
	}
	if tooMany(object(image, "Labels")) {
		c.Burdens = append(c.Burdens, "Labels") // which its containers have
	}
	slices.Sort(c.Burdens)
	c.Owns = text(object(image, "Labels"), OwnerLabel) != ""
	c.Volumes = slices.Sorted(maps.Keys(object(image, "Volumes")))
	return c, nil
}
