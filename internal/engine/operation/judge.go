package operation

import (
	"encoding/json"
	"slices"
	"strings"

	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/principal"
)

// judge says what the request would do: its hazards with the fields that they
// come from, the host's paths that it asks for, the principals that it would
// create and the containers that it reaches into. It reads the canonical body,
// whose types the schema has checked. What a field does is told by its class, what
// the operation does in any case by the switch below; what the schema does not
// know is a hazard itself.
func (o *Operation) judge() {
	o.Hazards, o.HazardFields, o.HostPath, o.Mints, o.Enters = nil, nil, nil, nil, nil
	o.Unknown = slices.Clone(o.Unknown) // it is sorted, and may be that of the operation which this one is made of
	o.judgeFields(o.entry)
	o.judgePlaces()
	o.judgeTexts()
	o.judgeOperation()
	o.at, o.element = nil, ""
	for h, fields := range o.noted {
		o.addHazard(h, fields)
	}
	o.recall()
	if len(o.Unknown) > 0 {
		o.hazard(HazardUnknownInput)
	}
	o.finish()
}

func (o *Operation) judgeOperation() {
	switch o.ID {
	case "ContainerCreate":
		// What image:name is when it runs, and as which users its processes act, is
		// not to be known here.
		o.mint(principal.ImageID.Any(), principal.ContainerUID.Any(), principal.ContainerGID.Any())
	case "ContainerExec":
		o.enter(o.Target)
		if !isSet(o.body()["User"]) {
			o.mintAnyUser()
		}
	case "ContainerAttach", "ContainerAttachWebsocket":
		o.enter(o.Target)
		o.mintAnyUser()
	case "ContainerUpdate", "ContainerExport", "ContainerArchive", "ContainerArchiveInfo", "CheckpointCreate",
		"ContainerRename": // it loses a name, and its new one may be what a later request means
		o.enter(o.Target)
	case "PutContainerArchive":
		o.enter(o.Target)
		o.mintAnyUser() // /etc/passwd says who a user's name is at the next start
	case "ExecStart", "ExecResize", "ExecInspect":
		o.enter("exec:" + o.Target)
	case "NetworkConnect":
		o.at = append(o.at[:0], "{id}")
		o.joinNetwork(o.Target)
	case "NetworkDisconnect":
		o.at = append(o.at[:0], "{id}")
		o.hazardIf(HazardHostNamespace, strings.EqualFold(o.Target, "host"))
	case "ContainerStats":
		if stream, given := o.Query["stream"]; !given || truthy(stream[0]) {
			o.Access = Stream
		}
	case "ContainerInspect", "ImageInspect", "ImageHistory", "ImageAttestations", "PluginList", "PluginInspect",
		"ServiceList", "ServiceInspect", "TaskList", "TaskInspect":
		o.hazard(HazardEnv) // in the answer
	case "ImageCreate":
		o.mint(principal.ImageID.Any())
		o.hazardIf(HazardOutbound, o.Query.Get("fromImage") == "" && o.Query.Get("fromSrc") == "")
	case "ImageCommit":
		o.mint(principal.ImageID.Any())
	case "ImageLoad":
		o.mint(principal.Image.Any(), principal.ImageID.Any())
	case "ImageBuild":
		o.mint(principal.ImageID.Any(), principal.ContainerUID.Any(), principal.ContainerGID.Any()) // its steps run as the users of their choice
		o.at = append(o.at[:0], "Dockerfile")                                                       // FROM, and ADD of a URL, which the daemon asks from the host's own network
		o.hazard(HazardOutbound)
	case "Session":
		o.hazard(HazardBuildKit)
	case "ImagePush", "ImageSearch", "DistributionInspect", "GetPluginPrivileges", "SystemAuth":
		o.hazard(HazardOutbound)
		o.hideCredentials()
	case "ServiceCreate", "ServiceUpdate": // a task's name and labels are the swarm's
		o.mint("*")
		o.judgeTask()
	case "PluginPull", "PluginUpgrade", "PluginCreate", "PluginEnable", "PluginSet", "SwarmInit", "SwarmJoin", "SwarmUpdate":
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

// hazard notes a hazard, and the field that is being judged as its cause.
func (o *Operation) hazard(h Hazard) {
	if h != HazardUnknownInput && o.spares() {
		return
	}
	if !slices.Contains(o.Hazards, h) {
		o.Hazards = append(o.Hazards, h)
	}
	if len(o.at) == 0 {
		return
	}
	if o.HazardFields == nil {
		o.HazardFields = map[Hazard][]string{}
	}
	if fields := o.HazardFields[h]; !slices.ContainsFunc(fields, o.isField) {
		o.HazardFields[h] = append(fields, o.field())
	}
}

func (o *Operation) hazardIf(h Hazard, is bool) {
	if is {
		o.hazard(h)
	}
}

// mintAnyUser: whoever the process is that the request makes or reaches, it is told by what the
// container was made of, and root there can become anybody.
func (o *Operation) mintAnyUser() { o.mint(principal.ContainerUID.Any(), principal.ContainerGID.Any()) }

func (o *Operation) mint(principals ...string) {
	const most = 8 // have no more, and need no second list
	if o.Mints == nil && len(principals) > 0 {
		o.Mints = make([]string, 0, max(most, len(principals)))
	}
	o.Mints = append(o.Mints, principals...)
}

// mintImage notes that what a repository means changes, in all its spellings.
func (o *Operation) mintImage(ref string) {
	for _, name := range spellings(imagename.Repository(ref)) {
		o.mint(principal.Image.With(name))
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
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		all = make([]string, 0, len(v))
		for _, elem := range v {
			if s, ok := elem.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// isSet says that a value is not the zero of its type.
func isSet(v any) bool {
	switch v := v.(type) {
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
	return v != nil
}

// Asks says whether a boolean parameter of the query is set, as the daemon reads it.
func (o *Operation) Asks(parameter string) bool { return truthy(o.Query.Get(parameter)) }

// truthy reads a query parameter as the daemon reads a boolean one.
func truthy(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
