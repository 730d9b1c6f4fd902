package operation

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	// maxCommand is how long a command line may be, in bytes: each list of containers has it.
	maxCommand = 64 << 10
	// maxPorts are those that a container may expose; each list has them, too.
	maxPorts = 1000
	// maxVolumes are those without a name that a container may be given: the daemon makes each, and keeps it when the container is removed.
	maxVolumes = 100
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
	if test := texts(health["Test"]); len(test) > 1 && test[0] == "CMD" {
		note("Healthcheck.Test", tooLong(test[1]))
	}
	note("Volumes", len(object(config, "Volumes")) > maxVolumes)
	return fields
}

// longCommand says so of a program with its arguments.
func longCommand(value any) bool { return tooLong(first(value)) || longTogether(value) }

func longTogether(list any) bool {
	length := 0
	for _, part := range texts(list) {
		length += len(part)
	}
	return length > maxCommand
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

// often says of a time between two health checks that it is too short. 0 is the daemon's default.
func often(value any) bool {
	n, given := value.(json.Number)
	if !given {
		return false
	}
	interval, err := n.Int64()
	return err != nil || interval != 0 && interval < int64(leastInterval)
}

// ImageBurdens are the fields of an image's configuration that ask for more than a container may have the daemon do, sorted. The
// text is JSON, as the Engine shows it.
func ImageBurdens(config []byte) (fields []string, err error) {
	var image map[string]any
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.UseNumber()
	if err := dec.Decode(&image); err != nil {
		return nil, fmt.Errorf("read an image's configuration: %w", err)
	}
	fields = burdens(image)
	for _, key := range []string{"Interval", "StartInterval"} {
		if often(object(image, "Healthcheck")[key]) {
			fields = append(fields, "Healthcheck."+key)
		}
	}
	if tooMany(object(image, "Labels")) {
		fields = append(fields, "Labels") // which its containers have
	}
	slices.Sort(fields)
	return fields, nil
}
