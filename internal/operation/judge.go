package operation

import (
	"encoding/json"
	"slices"
	"strings"
)

// judge says what the request would do: its hazards, the host's paths that it
// asks for, the principals that it would create and the containers that it
// reaches into. It reads the canonical body, whose types the schema has
// checked; what the schema does not know is a hazard itself.
func (o *Operation) judge() {
	switch o.ID {
	case "ContainerCreate":
		o.judgeCreate()
	case "ContainerUpdate":
		o.enter(o.Target)
		o.judgeResources(o.body())
	case "ContainerExec":
		o.enter(o.Target)
		o.judgeExec()
	case "ExecStart", "ExecResize", "ExecInspect":
		o.enter("exec:" + o.Target)
	case "ContainerAttach", "ContainerAttachWebsocket", "ContainerExport",
		"ContainerArchive", "ContainerArchiveInfo", "PutContainerArchive", "CheckpointCreate":
		o.enter(o.Target)
	case "ContainerStart":
		if o.Query.Get("checkpoint") != "" || o.Query.Get("checkpoint-dir") != "" {
			o.Rail = "checkpoints cannot be judged"
		}
	case "ContainerRename":
		o.enter(o.Target) // it loses a name, and its new one may be what a later request means
		o.mintContainer(o.Query.Get("name"))
	case "NetworkConnect", "NetworkDisconnect":
		o.enter(text(o.body(), "Container")) // its network namespace changes
		o.hazardIf(HazardHostNamespace, o.Target == "host")
		o.judgeEndpoint(object(o.body(), "EndpointConfig"))
	case "ContainerStats":
		if stream, given := o.Query["stream"]; !given || truthy(stream[0]) {
			o.Access = Stream
		}
	case "ContainerTop":
		if o.Query.Get("ps_args") != "" { // can show environments; the daemon runs ps as root with them
			o.Access = Secret
			o.hazard(HazardEnv)
		}
	case "ContainerInspect", "ImageInspect", "ImageHistory", "ImageAttestations", "PluginList", "PluginInspect",
		"ServiceList", "ServiceInspect", "TaskList", "TaskInspect":
		o.hazard(HazardEnv)
	default:
		o.judgeMore()
	}
	o.judgePlaces()
	if len(o.Unknown) > 0 {
		o.hazard(HazardUnknownInput)
	}
	o.finish()
}

// judgeMore goes on with judge for images, builds, volumes and the swarm.
func (o *Operation) judgeMore() {
	switch o.ID {
	case "ImageCreate":
		o.judgePull()
	case "ImageTag":
		o.mintImage(o.Query.Get("repo"))
	case "ImageCommit":
		o.enter(o.Query.Get("container")) // its files become the image
		o.mintImage(o.Query.Get("repo"))
		o.mint("image-id:*")
		o.hazardIf(HazardEnv, present(o.body(), "Env"))
	case "ImageLoad":
		o.mint("image:*", "image-id:*")
	case "ImageBuild":
		o.judgeBuild()
	case "ImagePush", "ImageSearch", "DistributionInspect", "GetPluginPrivileges", "SystemAuth":
		o.hazard(HazardOutbound)
		o.hideCredentials()
	case "VolumeCreate":
		o.judgeVolumeDriver(text(o.body(), "Driver"), object(o.body(), "DriverOpts"))
		o.hazardIf(HazardVolumeDriver, present(o.body(), "ClusterVolumeSpec"))
	case "VolumeUpdate": // of a cluster volume
		o.hazardIf(HazardVolumeDriver, present(o.body(), "Spec"))
	case "NetworkCreate":
		o.judgeNetwork()
	case "ServiceCreate", "ServiceUpdate":
		o.judgeService()
	case "PluginPull", "PluginUpgrade":
		o.mint("*")
		o.hazard(HazardOutbound)
	case "PluginCreate", "PluginEnable", "PluginSet", "SwarmInit", "SwarmJoin", "SwarmUpdate":
		o.mint("*")
	}
}

// hideCredentials leaves only the server's address of an /auth body for the
// policy; the whole is still in Canonical, to be forwarded.
func (o *Operation) hideCredentials() {
	if body := o.body(); body != nil {
		visible := map[string]any{}
		if address, ok := body["serveraddress"]; ok {
			visible["serveraddress"] = address
		}
		o.Body = visible
	}
}

func (o *Operation) hazard(h Hazard) {
	if !slices.Contains(o.Hazards, h) {
		o.Hazards = append(o.Hazards, h)
	}
}

func (o *Operation) hazardIf(h Hazard, is bool) {
	if is {
		o.hazard(h)
	}
}

func (o *Operation) mint(principals ...string) { o.Mints = append(o.Mints, principals...) }

func (o *Operation) mintContainer(name string) {
	if name = strings.TrimLeft(name, "/"); name != "" { // the daemon strips it too
		o.mint("container:" + name)
	}
}

// mintImage notes that what a repository means changes, in all its spellings.
func (o *Operation) mintImage(ref string) {
	for _, name := range spellings(Repository(ref)) {
		o.mint("image:" + name)
	}
}

func (o *Operation) enter(ref string) {
	if ref = strings.TrimLeft(ref, "/"); ref != "" {
		o.Enters = append(o.Enters, ref)
	}
}

// body gives the body's object, nil if it is something else.
func (o *Operation) body() map[string]any {
	m, _ := o.Body.(map[string]any)
	return m
}

// The values of a key. All give the zero value for null, an absent key and a
// nil object.

func object(m map[string]any, key string) map[string]any {
	v, _ := m[key].(map[string]any)
	return v
}

func list(m map[string]any, key string) []any {
	v, _ := m[key].([]any)
	return v
}

func text(m map[string]any, key string) string {
	v, _ := m[key].(string)
	return v
}

// texts gives the strings of a list, or the one string in its place.
func texts(m map[string]any, key string) []string {
	var all []string
	for _, v := range list(m, key) {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	if s := text(m, key); s != "" {
		all = append(all, s)
	}
	return all
}

func truth(m map[string]any, key string) bool {
	v, _ := m[key].(bool)
	return v
}

// present says that a key has a value which is not the zero of its type.
func present(m map[string]any, key string) bool {
	switch v := m[key].(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		return strings.Trim(string(v), "-0.") != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// truthy reads a query parameter as the daemon reads a boolean one.
func truthy(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
