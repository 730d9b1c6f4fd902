package main

// What Docker's API descriptions do not say, by hand: access classes, rails,
// the routes and names that only the daemon's sources know. A new operation
// without an entry in access stops the generator.

// access is the class of what an operation does. ContainerStats and
// ContainerTop are raised by their parameters when a request is parsed.
var access = map[string]string{
	"SystemPing": "ping", "SystemPingHead": "ping",

	"ContainerList": "list", "ImageList": "list", "VolumeList": "list", "NetworkList": "list",
	"NetworkListSlash": "list", "PluginList": "list", "NodeList": "list", "ServiceList": "list",
	"TaskList": "list", "SecretList": "list", "CheckpointList": "list",

	"SystemInfo": "inspect", "SystemVersion": "inspect", "SystemDataUsage": "inspect",
	"ContainerInspect": "inspect", "ContainerTop": "inspect", "ContainerStats": "inspect",
	"ImageInspect": "inspect", "ImageHistory": "inspect", "ImageAttestations": "inspect",
	"VolumeInspect": "inspect", "NetworkInspect": "inspect", "PluginInspect": "inspect",
	"NodeInspect": "inspect", "ServiceInspect": "inspect", "TaskInspect": "inspect",
	"SecretInspect": "inspect", "Options": "inspect",

	"SystemEvents": "stream",

	"ContainerArchive": "content", "ContainerArchiveInfo": "content", "ContainerExport": "content",
	"ContainerChanges": "content", "ContainerLogs": "content", "ServiceLogs": "content", "TaskLogs": "content",
	"ImageGet": "content", "ImageGetAll": "content",

	// Config payloads, a process's command line, join tokens, the unlock key.
	"ConfigList": "secret", "ConfigInspect": "secret", "ExecInspect": "secret",
	"SwarmInspect": "secret", "SwarmUnlockkey": "secret",

	"ContainerAttach": "interactive", "ContainerAttachWebsocket": "interactive", "ContainerExec": "interactive",
	"ExecStart": "interactive", "ExecResize": "interactive", "ContainerResize": "interactive",

	"ContainerCreate": "write", "ContainerStart": "write", "ContainerStop": "write", "ContainerRestart": "write",
	"ContainerKill": "write", "ContainerUpdate": "write", "ContainerRename": "write", "ContainerPause": "write",
	"ContainerUnpause": "write", "ContainerWait": "write", "ContainerDelete": "write", "ContainerPrune": "write",
	"PutContainerArchive": "write", "ImageCreate": "write", "ImagePush": "write", "ImageTag": "write",
	"ImageDelete": "write", "ImagePrune": "write", "ImageCommit": "write", "ImageLoad": "write",
	"VolumeCreate": "write", "VolumeUpdate": "write", "VolumeDelete": "write", "VolumePrune": "write",
	"NetworkCreate": "write", "NetworkDelete": "write", "NetworkConnect": "write", "NetworkDisconnect": "write",
	"NetworkPrune": "write", "ServiceCreate": "write", "ServiceUpdate": "write", "ServiceDelete": "write",
	"SecretCreate": "write", "SecretUpdate": "write", "SecretDelete": "write", "ConfigCreate": "write",
	"ConfigUpdate": "write", "ConfigDelete": "write", "CheckpointCreate": "write", "CheckpointDelete": "write",
	// These make the daemon call out to a host of the caller's choice.
	"SystemAuth": "write", "ImageSearch": "write", "DistributionInspect": "write", "GetPluginPrivileges": "write",

	"ImageBuild": "build", "BuildPrune": "build", "BuildCancel": "build", "Session": "build", "Grpc": "build",

	"PluginPull": "admin", "PluginCreate": "admin", "PluginEnable": "admin", "PluginDisable": "admin",
	"PluginUpgrade": "admin", "PluginDelete": "admin", "PluginSet": "admin", "PluginPush": "admin",
	"SwarmInit": "admin", "SwarmJoin": "admin", "SwarmLeave": "admin", "SwarmUpdate": "admin", "SwarmUnlock": "admin",
	"NodeUpdate": "admin", "NodeDelete": "admin",
	"DebugVars": "admin", "DebugPprofIndex": "admin", "DebugPprofCmdline": "admin", "DebugPprofProfile": "admin",
	"DebugPprofSymbol": "admin", "DebugPprofTrace": "admin", "DebugPprof": "admin",
}

// rails say why only an admin may do it, whatever the policy allows.
var rails = map[string]string{
	"PluginPull": railPlugin, "PluginCreate": railPlugin, "PluginEnable": railPlugin, "PluginDisable": railPlugin,
	"PluginUpgrade": railPlugin, "PluginDelete": railPlugin, "PluginSet": railPlugin, "PluginPush": railPlugin,
	"SwarmInit": railSwarm, "SwarmJoin": railSwarm, "SwarmLeave": railSwarm, "SwarmUpdate": railSwarm,
	"SwarmUnlock": railSwarm, "NodeUpdate": railSwarm, "NodeDelete": railSwarm,
	"Grpc":           railBuildKit,
	"CheckpointList": railCheckpoint, "CheckpointCreate": railCheckpoint, "CheckpointDelete": railCheckpoint,
}

const (
	railPlugin       = "writes to a plugin"
	railSwarm        = "writes to the swarm itself, whose tasks are not authorized"
	railCheckpoint   = "checkpoints cannot be judged"
	railBuildKit     = "what BuildKit is told by gRPC cannot be judged; build with the classic builder (DOCKER_BUILDKIT=0)"
	railUndocumented = "undocumented route"
)

// carries are the operations that are neither plain nor an upload.
var carries = map[string]string{
	"ContainerAttach": "hijack", "ExecStart": "hijack",
	"ContainerAttachWebsocket": "upgrade", "Session": "upgrade", "Grpc": "upgrade",
}

// traits are what sets operations apart from others of their class.
var traits = map[string]string{
	"SystemEvents":  "AnswersEvents",
	"ContainerExec": "AnswersID", "ContainerCreate": "AnswersID",
	"ImageCreate": "AnswersProgress", "ImagePush": "AnswersProgress", "PluginPull": "AnswersProgress",
	"PluginPush": "AnswersProgress", "PluginUpgrade": "AnswersProgress",
	"SystemVersion":  "AnswersVersion",
	"SystemAuth":     "HidesBody",
	"ContainerStats": "Waits",
	"ContainerWait":  "AnswersLate",
}

// undocumented are the routes that the daemon registers and its API
// descriptions do not have (daemon/server/router/*).
var undocumented = []*operation{
	{ID: "Options", Method: "OPTIONS", Path: "/{anyroute}", Resource: "system"},
	{ID: "NetworkListSlash", Method: "GET", Path: "/networks/", Resource: "networks", Params: []param{{Name: "filters"}}},
	{ID: "BuildCancel", Method: "POST", Path: "/build/cancel", Resource: "build", Params: []param{{Name: "id"}}},
	{ID: "Grpc", Method: "POST", Path: "/grpc", Resource: "build"},
	{ID: "CheckpointList", Method: "GET", Path: "/containers/{id}/checkpoints", Resource: "containers", Params: []param{{Name: "dir"}}},
	{
		ID: "CheckpointCreate", Method: "POST", Path: "/containers/{id}/checkpoints", Resource: "containers", Body: "json",
		Schema: object("CheckpointID", leaf("string"), "CheckpointDir", leaf("string"), "Exit", leaf("bool")),
	},
	{ID: "CheckpointDelete", Method: "DELETE", Path: "/containers/{id}/checkpoints/{checkpoint}", Resource: "containers", Params: []param{{Name: "dir"}}},
	{ID: "DebugVars", Method: "GET", Path: "/debug/vars", Resource: "debug"},
	{ID: "DebugPprofIndex", Method: "GET", Path: "/debug/pprof/", Resource: "debug"},
	{ID: "DebugPprofCmdline", Method: "GET", Path: "/debug/pprof/cmdline", Resource: "debug"},
	{ID: "DebugPprofProfile", Method: "GET", Path: "/debug/pprof/profile", Resource: "debug", Params: []param{{Name: "seconds"}}},
	{ID: "DebugPprofSymbol", Method: "GET", Path: "/debug/pprof/symbol", Resource: "debug"},
	{ID: "DebugPprofTrace", Method: "GET", Path: "/debug/pprof/trace", Resource: "debug", Params: []param{{Name: "seconds"}}},
	{ID: "DebugPprof", Method: "GET", Path: "/debug/pprof/{name}", Resource: "debug", Params: []param{{Name: "debug"}, {Name: "gc"}, {Name: "seconds"}}},
}

// extraParams are parameters that the daemon or a well-known client uses and
// the descriptions lack.
var extraParams = map[string][]string{
	"ContainerList":  {"since", "before", "trunc_cmd"}, // the first two work; python3-docker always sends the third
	"ContainerLogs":  {"details"},
	"ContainerStart": {"checkpoint", "checkpoint-dir"},
	"ImageList":      {"filter", "only_ids"}, // filter until API 1.40; python3-docker sends only_ids
	"ServiceList":    {"all"},                // Homepage always sends it; ignored
	"ImageBuild":     {"cgroupparent", "securityopt", "session", "ulimits", "buildid", "id", "isolation", "cpusetmems"},
}

// listParams are the repeated parameters, those that the daemon reads as
// r.Form["…"]; of any other parameter it takes the first value.
var listParams = map[string][]string{
	"ImageBuild":        {"t", "extrahosts", "securityopt"},
	"ImageCommit":       {"changes"},
	"ImageCreate":       {"changes"},
	"ImageGetAll":       {"names", "platform"},
	"ImageGet":          {"platform"},
	"ImageLoad":         {"platform"},
	"ImageDelete":       {"platforms"},
	"ImageAttestations": {"platform", "type"},
	"SystemDataUsage":   {"type"},
}

// jsonParams are the parameters that hold JSON. platform is text for the
// operations that build, create and pull, and is not listed for them.
func jsonParam(op, name string) *schema {
	switch name {
	case "filters":
		return mapOf(leaf("any"))
	case "buildargs", "labels":
		return mapOf(leaf("string"))
	case "cachefrom":
		return arrayOf(leaf("string"))
	case "ulimits":
		return arrayOf(object("Name", leaf("string"), "Hard", leaf("number"), "Soft", leaf("number")))
	case "outputs":
		return arrayOf(object("Type", leaf("string"), "Attrs", mapOf(leaf("string"))))
	case "platform", "platforms":
		switch op {
		case "ImagePush", "ImageInspect", "ImageHistory", "ImageGet", "ImageGetAll", "ImageLoad", "ImageDelete", "ImageAttestations":
			platform := object("architecture", leaf("string"), "os", leaf("string"), "os.version", leaf("string"),
				"os.features", arrayOf(leaf("string")), "variant", leaf("string"))
			platform.Name = "ImagePlatform"
			return platform
		}
	}
	return nil
}

// extraKeys are keys of bodies that the daemon's Go types have and the
// descriptions lack, or describe wrongly; "*" is any element.
func extraKeys(op string) map[string]*schema {
	switch op {
	case "ContainerCreate":
		return map[string]*schema{
			"/HostConfig/Mounts/*/ClusterOptions": mapOf(leaf("any")),
			"/HostConfig/InitPath":                leaf("string"), // API 1.25 to 1.28
			"/Runtime":                            leaf("string"), // python3-docker always sends it, as null
			"/name":                               leaf("string"), // dockerode repeats the parameter
			// docker-java (Jenkins, Testcontainers for Java) always sends both, as null; no Engine since 1.10 reads them.
			"/HostConfig/LxcConf": arrayOf(leaf("any")),
			"/PortSpecs":          arrayOf(leaf("string")),
		}
	case "ContainerExec": // old clients send the first two, docker-java the third; ignored
		return map[string]*schema{"/Detach": leaf("bool"), "/Container": leaf("string"), "/containerId": leaf("string")}
	case "ExecStart": // dockerode's own options
		return map[string]*schema{"/hijack": leaf("bool"), "/stdin": leaf("bool")}
	case "ServiceCreate", "ServiceUpdate":
		return taskSpec("/TaskTemplate")
	case "SwarmInit":
		return map[string]*schema{"/AutoLockManagers": leaf("bool"), "/Availability": leaf("string")}
	case "SwarmJoin":
		return map[string]*schema{"/Availability": leaf("string")}
	case "SystemAuth":
		return map[string]*schema{"/auth": leaf("string"), "/identitytoken": leaf("string"), "/registrytoken": leaf("string")}
	case "VolumeCreate":
		return clusterVolume("/ClusterVolumeSpec")
	case "VolumeUpdate":
		return clusterVolume("/Spec")
	}
	return nil
}

// clusterVolume are the keys of a cluster volume's specification, in a body or an answer.
func clusterVolume(at string) map[string]*schema {
	topologies := arrayOf(object("Segments", mapOf(leaf("string"))))
	return map[string]*schema{
		at + "/AccessMode/MountVolume":    object("FsType", leaf("string"), "MountFlags", arrayOf(leaf("string"))),
		at + "/AccessMode/BlockVolume":    mapOf(leaf("any")),
		at + "/AccessibilityRequirements": object("Requisite", topologies, "Preferred", topologies),
		at + "/CapacityRange":             object("RequiredBytes", leaf("number"), "LimitBytes", leaf("number")),
		at + "/Secrets":                   arrayOf(object("Key", leaf("string"), "Secret", leaf("string"))),
		at + "/Availability":              leaf("string"),
	}
}

// taskSpec are the keys of a task's specification, in a body or an answer.
func taskSpec(at string) map[string]*schema {
	privilege := object("Name", leaf("string"), "Description", leaf("string"), "Value", arrayOf(leaf("string")))
	return map[string]*schema{
		at + "/ContainerSpec/Mounts/*/ClusterOptions": mapOf(leaf("any")),
		at + "/PluginSpec/privileges":                 arrayOf(privilege),
		at + "/PluginSpec/env":                        arrayOf(leaf("string")),
	}
}

// stringOrList are the keys that engines take as one string too.
var stringOrList = map[string]bool{"Cmd": true, "Entrypoint": true, "Shell": true, "CapAdd": true, "CapDrop": true}
