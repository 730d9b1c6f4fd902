package operation

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/cgroupname"
)

func (o *Operation) judgeContainer(_ map[string]any, value any) {
	ref, _ := value.(string)
	o.enter(ref)
}

// judgeContainerName is for the name of a new container or a new name. Without
// one the daemon picks one at random (adjective_surname) that the caller cannot
// choose.
func (o *Operation) judgeContainerName(_ map[string]any, value any) {
	name, _ := value.(string)
	o.hazardIf(HazardLimits, tooLong(name))             // it is in each list, and in each event about the container
	if name = strings.TrimLeft(name, "/"); name != "" { // the daemon strips it too
		o.mint(principal.Container.With(name))
	}
}

func (o *Operation) judgeImage(_ map[string]any, value any) {
	image, _ := value.(string)
	if name := imagename.Repository(image); name != "" {
		o.mint(principal.Image.With(name))
	}
}

// judgeLabels notes a container's labels; more of them than anybody is named by are
// label:*, any. Whose it is is told however many there are.
func (o *Operation) judgeLabels(_ map[string]any, value any) {
	labels, _ := value.(map[string]any)
	var minted []string
	for key := range labels {
		value := text(labels, key) // null is "" to the daemon
		switch {
		case key == OwnerLabel:
			o.mint(principal.OfLabel(key, value).String())
		case !strings.Contains(key, "="):
			minted = append(minted, principal.OfLabel(key, value).String())
		}
	}
	if tooMany(labels) {
		minted = []string{principal.Label.Any()}
		o.hazard(HazardLimits) // they are in each list, and in each event about the container
	}
	o.mint(minted...)
}

// judgeOtherLabels is for those of what nobody is told by.
func (o *Operation) judgeOtherLabels(_ map[string]any, value any) {
	labels, _ := value.(map[string]any)
	o.hazardIf(HazardLimits, tooMany(labels))
}

func tooMany(labels map[string]any) bool {
	n := 0
	for key := range labels {
		n += len(key) + len(text(labels, key))
	}
	return principal.TooManyLabels(len(labels), n)
}

// judgeTexts is for all texts that the runtime may quote: the program's name among its arguments, and settings.
func (o *Operation) judgeTexts() {
	body := o.body()
	switch o.ID {
	case "ContainerCreate":
		o.judgeTextsIn("HostConfig.", object(body, "HostConfig"), "SecurityOpt") // a whole seccomp profile, which the daemon reads
		o.judgeBurdens(burdens(body))
		o.judgeBurdens(mountBurdens(body))
		o.judgeShown("NetworkingConfig", body["NetworkingConfig"])
	case "NetworkConnect":
		o.judgeShown("EndpointConfig", body["EndpointConfig"])
	case "ContainerExec": // which the daemon keeps until the container ends, if it is never started
		var fields []string
		for field, is := range map[string]bool{
			"Cmd": longCommand(body["Cmd"]), "Env": longTogether(body["Env"]), "WorkingDir": tooLong(body["WorkingDir"]),
		} {
			if is {
				fields = append(fields, field)
			}
		}
		o.judgeBurdens(fields)
	case "ContainerUpdate":
		o.judgeTextsIn("", body)
	case "ImageBuild": // labels are in each list of images, and in each event about one
		if tooMany(object(o.Params, "labels")) {
			o.judgeBurdens([]string{"?labels"})
		}
	case "ImageCommit", "ImageCreate": // all else is in its history
		if tooMany(object(body, "Labels")) {
			o.judgeBurdens([]string{"Labels"})
		}
		if len(strings.Join(o.Query["changes"], "")) > maxShown {
			o.judgeBurdens([]string{"?changes"})
		}
		for _, key := range []string{"author", "comment", "message"} {
			o.judgeText("?"+key, o.Query.Get(key))
		}
	case "NetworkCreate": // what is in each list of networks
		o.judgeTextsIn("", body, "Labels", "Options")
	case "ServiceCreate", "ServiceUpdate": // what is in each list of services, and of tasks
		task := object(body, "TaskTemplate")
		o.judgeTextsIn("TaskTemplate.", task, "ContainerSpec")
		o.judgeTextsIn("TaskTemplate.ContainerSpec.", object(task, "ContainerSpec"), "Args", "Command", "Env", "Healthcheck", "Labels", "Privileges")
	}
}

// judgeTextsIn is for the texts of an object, but those that are judged by themselves.
func (o *Operation) judgeTextsIn(under string, in map[string]any, but ...string) {
	for key, value := range in {
		if !slices.Contains(but, key) {
			o.judgeText(under+key, value)
		}
	}
}

// leastShare is the part of a processor, one in so many, with which a container starts in a few seconds. With less of it the runtime takes half a
// minute, in which nobody can inspect the container, and nobody's prune ends.
const leastShare = 100

// judgeCPUQuota: of an update nobody knows the period that it counts with, where it gives none.
func (o *Operation) judgeCPUQuota(in map[string]any, value any) {
	quota, err := integer(value)
	period := int64(defaultCPUPeriod)
	if o.ID == "ContainerUpdate" {
		period = mostPeriod
	}
	given := in["CpuPeriod"]
	if in == nil {
		given = o.Query.Get("cpuperiod")
	}
	if n, err := integer(given); err == nil && n != 0 {
		period = n
	}
	o.hazardIf(HazardLimits, err != nil || quota > 0 && quota < period/leastShare)
}

// judgeCPUPeriod: of an update nobody knows the quota that counts with it, where it gives none.
func (o *Operation) judgeCPUPeriod(in map[string]any, value any) {
	period, err := integer(value)
	o.hazardIf(HazardLimits, err != nil || period > defaultCPUPeriod && o.ID == "ContainerUpdate" && !isSet(in["CpuQuota"]))
}

// integer is a number of a body, or of a parameter, in which "" is 0.
func integer(value any) (int64, error) {
	if n, is := value.(json.Number); is {
		return n.Int64()
	}
	text, _ := value.(string)
	return json.Number(cmp.Or(text, "0")).Int64()
}

func (o *Operation) judgeBurdens(fields []string) {
	for _, field := range fields {
		o.at = append(o.at[:0], field)
		o.hazard(HazardLimits)
	}
	o.at = o.at[:0]
}

// judgeShown is for what each list has of a container, at least until that runs.
func (o *Operation) judgeShown(field string, value any) {
	if longTogether(value) {
		o.judgeBurdens([]string{field})
	}
}

func (o *Operation) judgeText(field string, value any) {
	o.at = append(o.at[:0], field)
	o.hazardIf(HazardLimits, tooLong(value))
	o.at = o.at[:0]
}

func first(list any) string {
	if all := texts(list); len(all) > 0 {
		return all[0]
	}
	return ""
}

func tooLong(value any) bool {
	switch v := value.(type) {
	case string:
		return len(v) > maxText
	case []any:
		return slices.ContainsFunc(v, tooLong)
	case map[string]any:
		for key, member := range v {
			if len(key) > maxText || tooLong(member) {
				return true
			}
		}
	}
	return false
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// judgeEnv accepts the PATH that the daemon gives by itself.
func (o *Operation) judgeEnv(_ map[string]any, value any) {
	o.hazardIf(HazardEnv, slices.ContainsFunc(texts(value), func(v string) bool { return v != defaultPath }))
}

// judgeExecUser notes as whom an exec's process acts: USER[:GROUP], of which a
// name means what the container's files say. Without it the process is as the container's
// own ones, whoever that is (see judgeOperation). Root in a container can become any user, and in a user
// namespace of its own a number means another one.
func (o *Operation) judgeExecUser(_ map[string]any, value any) {
	s, _ := value.(string)
	user, group, hasGroup := strings.Cut(s, ":")
	if user != "" || hasGroup {
		uid, gid := number(user), "*"
		if hasGroup {
			gid = number(group)
		}
		if uid == "0" || uid == "*" || !o.engine.HostUsers {
			uid, gid = "*", "*"
		}
		o.mint(principal.ContainerUID.With(uid), principal.ContainerGID.With(gid))
	}
}

// number is a user's or group's number as the daemon reads it, "*" for a name.
func number(s string) string {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return "*"
	}
	return strconv.Itoa(n)
}

func (o *Operation) judgeExecPrivileged(_ map[string]any, value any) {
	if isSet(value) {
		o.hazard(HazardPrivileged)
		o.mintAnyUser()
	}
}

// namespace is for a mode that chooses a namespace. What is neither a container's
// nor known to be the container's own counts as the host's.
func namespace(own ...string) func(*Operation, map[string]any, any) {
	return func(o *Operation, _ map[string]any, value any) {
		mode, _ := value.(string)
		o.judgeNamespace(mode, own...)
	}
}

func (o *Operation) judgeNamespace(mode string, own ...string) {
	if ref, ok := strings.CutPrefix(mode, "container:"); ok {
		o.hazard(HazardJoinedNamespace)
		o.enter(ref)
		return
	}
	o.hazardIf(HazardHostNamespace, mode != "" && !slices.Contains(own, mode))
}

// judgeCgroupns accepts the host's where it is the daemon's default, as it is on
// cgroup v1: inspect shows it for every container there.
func (o *Operation) judgeCgroupns(_ map[string]any, value any) {
	if mode, _ := value.(string); mode != "host" || !o.engine.HostCgroupns {
		o.judgeNamespace(mode, "private")
	}
}

// judgeRuntime accepts the daemon's default, which inspect shows. Where another
// one is the default, runc may be less of a wall than that.
func (o *Operation) judgeRuntime(_ map[string]any, value any) {
	o.hazardIf(HazardRuntime, isSet(value) && value != o.engine.Runtime)
}

// What the Engine masks since 19.03, and what it makes read-only.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// maskedSince is what the Engine masks besides since a version, of which older lines of
// releases were given it too. (Since 28.0.2 it also masks thermal_throttle of each CPU
// that has it, which is not demanded: only the daemon can tell which those are.)
var maskedSince = []struct {
	path  string
	since []string // newest first: each for its own major version, the first one for later ones too
}{
	{"/sys/devices/virtual/powercap", []string{"24.0.7", "23.0.8", "20.10.27"}},
	{"/proc/interrupts", []string{"28.0.2"}},
}

// judgeMaskedPaths is for a list that replaces the Engine's own. What an older Engine
// masked is no default of one that masks more; of an unknown one all is demanded.
func (o *Operation) judgeMaskedPaths(_ map[string]any, value any) {
	wanted := maskedPaths
	for _, more := range maskedSince {
		if !older(o.engine.Version, more.since) {
			wanted = append(slices.Clip(wanted), more.path)
		}
	}
	o.unmasks(wanted, value)
}

func (o *Operation) judgeReadonlyPaths(_ map[string]any, value any) { o.unmasks(readonlyPaths, value) }

// unmasks is for a list in whose place another one is given: what it has must be in
// that. An empty one unmasks all.
func (o *Operation) unmasks(all []string, value any) {
	given := texts(value)
	o.hazardIf(HazardUnmasked, slices.ContainsFunc(all, func(p string) bool { return !slices.Contains(given, p) }))
}

// older says that a version of the Engine is known, and is before all that have something.
func older(version string, since []string) bool {
	is, ok := release(version)
	if !ok {
		return false
	}
	for i, s := range since {
		has, _ := release(s)
		if slices.Compare(is[:], has[:]) >= 0 && (i == 0 || is[0] == has[0]) {
			return false
		}
	}
	return true
}

// release reads a version such as 20.10.24+dfsg1. It is not ok without three numbers, nor if
// it is none of the Engine's of the last years: builds between releases are 0.0.0, Podman has a 5.
func release(version string) (numbers [3]int, ok bool) {
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	if len(parts) != len(numbers) {
		return numbers, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return numbers, false
		}
		numbers[i] = int(n)
	}
	return numbers, numbers[0] >= 17
}

func (o *Operation) judgeSecurityOpt(_ map[string]any, value any) {
	for _, opt := range texts(value) {
		switch opt {
		case "no-new-privileges", "no-new-privileges:true", "no-new-privileges=true":
		default:
			o.hazard(HazardSecurityOpt)
		}
	}
}

// judgeCgroupParent notes the container under whose cgroup the parent lies, if
// any part of it looks like one.
func (o *Operation) judgeCgroupParent(_ map[string]any, value any) {
	parent, _ := value.(string)
	if parent == "" {
		return
	}
	o.hazard(HazardCgroupParent)
	for part := range strings.SplitSeq(parent, "/") {
		if id := cgroupname.Ref(part); id != "" {
			o.enter(id)
		}
	}
}

// defaultCPUShares is what a container has that asks for none.
const defaultCPUShares = 1024

// judgeCPUShares: with more than the default, others get less of a busy processor, services of the host too.
func (o *Operation) judgeCPUShares(_ map[string]any, value any) {
	shares, err := integer(value)
	o.hazardIf(HazardLimits, err != nil || shares > defaultCPUShares)
}

// judgePsArgs: ps runs as root on the host with what the caller says, and can
// show environments.
func (o *Operation) judgePsArgs(_ map[string]any, value any) {
	if isSet(value) {
		o.Access = Secret
		o.hazard(HazardEnv)
	}
}

func (o *Operation) judgeCheckpoint(_ map[string]any, value any) {
	if isSet(value) {
		o.Rail = "checkpoints cannot be judged"
	}
}

// judgeTaskRuntime: a service's tasks can be something else than containers.
func (o *Operation) judgeTaskRuntime(_ map[string]any, value any) {
	if isSet(value) && value != "container" && value != "types.docker.com/RuntimeContainer" {
		o.Rail = "a service that is not of containers can install plugins"
	}
}
