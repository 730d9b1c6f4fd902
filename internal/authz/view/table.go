package view

import "vitrine/internal/engine/operation"

type what uint8

const (
	refused what = iota // nobody has said how
	plain               // its answer is about what it names, and nothing else
	list                // a list of objects: at the top, or under the key
	network             // objects that name containers: a network, or a list of them
	image               // one that may have names of others
	history             // a list of steps, with names
	events              // a stream
	counts              // it counts objects; see Redact
	pruned              // it removes what the filter lets it
	usage               // lists of objects of several kinds, with sizes
)

// how an operation is limited to a view.
type how struct {
	what what
	kind operation.Kind
	key  string // of the list
	// filtered: the daemon takes a label filter.
	filtered bool
	// changes: it changes its target.
	changes bool
	// starts: a container joins its networks.
	starts bool
	// joins: the daemon may keep the name of what is not there.
	joins bool
	// whole: a name of an image without a tag means all tags.
	whole bool
}

var (
	uses    = how{what: plain}
	changes = how{what: plain, changes: true}
	starts  = how{what: plain, changes: true, starts: true}
	joins   = how{what: plain, joins: true}
	saves   = how{what: plain, whole: true}
)

// table says how operations are limited, by their ids. One that is missing is refused.
var table = map[string]how{
	"SystemPing": uses, "SystemPingHead": uses, "SystemVersion": uses, "SystemAuth": uses,
	"SystemInfo":      {what: counts},
	"SystemDataUsage": {what: usage},
	"SystemEvents":    {what: events, kind: operation.KindContainer, filtered: true},

	"ContainerList":  {what: list, kind: operation.KindContainer, filtered: true},
	"ContainerPrune": {what: pruned, kind: operation.KindContainer, filtered: true},
	"ContainerTop":   uses, "ContainerStats": uses, "ContainerInspect": uses,
	"ContainerLogs": changes, "ContainerChanges": changes, "ContainerExport": changes, "ContainerArchive": changes, "ContainerArchiveInfo": changes, // of one's own
	"ContainerAttach": changes, "ContainerAttachWebsocket": changes, "ContainerExec": changes, "ContainerResize": changes,
	"ExecInspect": changes, "ExecResize": changes, "ExecStart": changes,
	"ContainerCreate": uses, "ContainerStart": starts, "ContainerStop": changes, "ContainerRestart": starts, "ContainerKill": changes,
	"ContainerUpdate": changes, "ContainerRename": changes, "ContainerPause": changes, "ContainerUnpause": changes, "ContainerWait": changes,
	"ContainerDelete": changes, "PutContainerArchive": changes,

	"ImageList":    {what: list, kind: operation.KindImage, filtered: true},
	"ImageInspect": {what: image}, "ImageHistory": {what: history}, "ImageGet": saves, "ImageGetAll": saves,
	"ImageDelete": changes, "ImageCreate": uses, "ImageTag": uses, "ImageCommit": uses, "ImagePush": uses, "ImageBuild": uses, // see imaged
	"ImagePrune": {what: pruned, kind: operation.KindImage, filtered: true},
	"Session":    uses,           // to its own client, by a name of its own
	"BuildPrune": {what: pruned}, // of a cache in which nothing is anybody's

	"ServiceList": {what: list, kind: operation.KindService, filtered: true}, "ServiceInspect": uses, "ServiceLogs": changes,
	"TaskList": {what: list, kind: operation.KindTask}, "TaskInspect": uses, "TaskLogs": changes, // of services of one's own
	"SecretList": {what: list, kind: operation.KindSecret, filtered: true}, "SecretInspect": uses,
	"ConfigList": {what: list, kind: operation.KindConfig, filtered: true}, "ConfigInspect": uses,
	"NodeList": {what: list, kind: operation.KindNode}, "NodeInspect": uses,

	"NetworkList":      {what: network, kind: operation.KindNetwork, filtered: true},
	"NetworkListSlash": {what: network, kind: operation.KindNetwork, filtered: true},
	"NetworkInspect":   {what: network, kind: operation.KindNetwork},
	"NetworkPrune":     {what: pruned, kind: operation.KindNetwork, filtered: true},
	"NetworkCreate":    uses, "NetworkDelete": changes, "NetworkConnect": joins, "NetworkDisconnect": joins,

	"VolumeList":    {what: list, kind: operation.KindVolume, key: "Volumes", filtered: true},
	"VolumeInspect": uses, "VolumeCreate": uses, "VolumeDelete": changes,
	"VolumePrune": {what: pruned, kind: operation.KindVolume, filtered: true},
}

// Redact are the pointers of what an answer says of objects that are not named: how many there are.
func Redact(id string) []string {
	if table[id].what != counts {
		return nil
	}
	return []string{
		"/Containers", "/ContainersRunning", "/ContainersPaused", "/ContainersStopped", "/Images", "/NFd", "/NGoroutines", "/NEventsListener", "/Swarm/Nodes", "/Swarm/Managers",
	}
}
