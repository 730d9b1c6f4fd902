package operation

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Role is what a request does with an object that it names.
type Role string

// The roles.
const (
	RoleTarget Role = "target" // the path's: what the operation is about
	RoleUses   Role = "uses"   // something else that it names: in the body, in a parameter, in a filter
	RoleEnters Role = "enters" // a container whose processes, files or namespaces it reaches
)

// Kind is a kind of objects.
type Kind string

// The kinds of objects.
const (
	KindContainer Kind = "container"
	KindNetwork   Kind = "network"
	KindVolume    Kind = "volume"
	KindImage     Kind = "image"
	KindExec      Kind = "exec"
	KindService   Kind = "service"
	KindTask      Kind = "task"
	KindSecret    Kind = "secret"
	KindConfig    Kind = "config"
	KindNode      Kind = "node"
	KindPlugin    Kind = "plugin"
)

// Kinds are all kinds.
func Kinds() []Kind {
	return []Kind{
		KindContainer, KindNetwork, KindVolume, KindImage, KindExec, KindService, KindTask, KindSecret, KindConfig, KindNode, KindPlugin,
	}
}

// Object is one object that a request names, by whatever the daemon takes for a
// name of it.
type Object struct {
	Role Role
	Kind Kind
	Ref  string // as it is typed
	// Swarm: it is resolved by the swarm's manager, and not by this daemon.
	Swarm bool
	// At is the field that names it, as in HazardFields; "" from Objects.
	At string
}

// targets are the kinds of what paths name, by the operation's resource. (What
// /distribution/{name} names is in a registry.)
var targets = map[string]Kind{
	"containers": KindContainer, "networks": KindNetwork, "volumes": KindVolume, "images": KindImage, "exec": KindExec,
	"services": KindService, "tasks": KindTask, "secrets": KindSecret, "configs": KindConfig, "nodes": KindNode, "plugins": KindPlugin,
}

// naming is one place in which a request names an object: "/a/*/b" in the body (*:
// each element of a list or member of an object, <key>: its key), "?a" a parameter,
// "?filters/a" a filter.
type naming struct {
	kind Kind
	at   string
	read func(v string, parent map[string]any) string // what part of it is the name; nil: all
}

// namings are what requests name beside their path, by operation. It is the only
// list of them. Containers that are entered are in [Operation.Enters].
var namings = map[string][]naming{
	"ContainerCreate": {
		{KindImage, "/Image", nil},
		{KindNetwork, "/HostConfig/NetworkMode", userNetwork},
		{KindNetwork, "/NetworkingConfig/EndpointsConfig/<key>", userNetwork},
		{KindNetwork, "/NetworkingConfig/EndpointsConfig/*/NetworkID", nil}, // counts more than the key
		{KindVolume, "/HostConfig/Binds/*", volumeOfBind},
		{KindVolume, "/HostConfig/Mounts/*/Source", volumeOfMount},
		{KindImage, "/HostConfig/Mounts/*/Source", imageOfMount},
	},
	"ContainerList": {
		{KindContainer, "?filters/before", nil},
		{KindContainer, "?filters/since", nil},
		{KindImage, "?filters/ancestor", nil},
		{KindNetwork, "?filters/network", nil},
		{KindVolume, "?filters/volume", nil},
	},
	"ImageList":     {{KindImage, "?filters/before", nil}, {KindImage, "?filters/since", nil}},
	"ImageGetAll":   {{KindImage, "?names", nil}},
	"ImageBuild":    {{KindNetwork, "?networkmode", userNetwork}},
	"NetworkCreate": {{KindNetwork, "/ConfigFrom/Network", nil}, {KindNetwork, "/Name", nil}}, // there may be one of that name already
	"VolumeCreate":  {{KindVolume, "/Name", nil}},                                             // one that is there already is given as it is
	"NetworkConnect": {
		{KindNetwork, "/EndpointConfig/NetworkID", nil}, // counts more than the path
	},
	"ServiceCreate": serviceNamings,
	"ServiceUpdate": serviceNamings,
	"TaskList":      {{KindService, "?filters/service", nil}, {KindNode, "?filters/node", nil}},
	"SystemEvents": {
		{KindContainer, "?filters/container", nil},
		{KindNetwork, "?filters/network", nil},
		{KindVolume, "?filters/volume", nil},
		{KindImage, "?filters/image", nil},
		{KindService, "?filters/service", nil},
		{KindNode, "?filters/node", nil},
		{KindSecret, "?filters/secret", nil},
		{KindConfig, "?filters/config", nil},
		{KindPlugin, "?filters/plugin", nil},
	},
}

var serviceNamings = []naming{
	{KindNetwork, "/Networks/*/Target", nil},
	{KindNetwork, "/TaskTemplate/Networks/*/Target", nil},
	{KindImage, "/TaskTemplate/ContainerSpec/Image", nil},
	{KindVolume, "/TaskTemplate/ContainerSpec/Mounts/*/Source", volumeOfMount},
	{KindSecret, "/TaskTemplate/ContainerSpec/Secrets/*/SecretID", nil},
	{KindConfig, "/TaskTemplate/ContainerSpec/Configs/*/ConfigID", nil},
	{KindConfig, "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config", nil},
}

// userNetwork is the network that a mode names, "" for those that are no networks
// of that name, or are everywhere the same one.
func userNetwork(mode string, _ map[string]any) string {
	switch mode {
	case "", "default", "bridge", "none", "host":
		return ""
	}
	if strings.HasPrefix(mode, "container:") {
		return ""
	}
	return mode
}

func volumeOfBind(spec string, _ map[string]any) string {
	if source, _, ok := strings.Cut(spec, ":"); ok && !isAbsolute(source) {
		return source
	}
	return ""
}

func volumeOfMount(source string, mount map[string]any) string {
	if kind := text(mount, "Type"); kind == "" || kind == "volume" || kind == "cluster" {
		return source
	}
	return ""
}

func imageOfMount(source string, mount map[string]any) string {
	if text(mount, "Type") == "image" {
		return source
	}
	return ""
}

// Objects are the objects that the request names, each once, in order.
func (o *Operation) Objects() []Object {
	var found objects
	anywhere := func(obj Object) {
		obj.At = ""
		found.add(obj)
	}
	if kind, ok := targets[o.Resource]; ok {
		target := o.target()
		found.add(Object{Role: RoleTarget, Kind: kind, Ref: target})
		if target != o.Target { // of no account to the daemon, and named all the same
			found.add(Object{Role: RoleUses, Kind: kind, Ref: o.Target})
		}
	}
	for _, ref := range o.Enters {
		if exec, is := strings.CutPrefix(ref, "exec:"); is {
			found.add(Object{Role: RoleEnters, Kind: KindExec, Ref: exec})
		} else {
			found.add(Object{Role: RoleEnters, Kind: KindContainer, Ref: ref})
		}
	}
	for _, n := range namings[o.ID] {
		o.named(n, anywhere)
	}
	return found.sorted()
}

// target names what the operation is about. To connect, the daemon takes the NetworkID
// of the body, if there is one and the path has not one of the Engine's own networks.
func (o *Operation) target() string {
	if o.ID == "NetworkConnect" && userNetwork(o.Target, nil) != "" {
		return cmp.Or(text(object(o.body(), "EndpointConfig"), "NetworkID"), o.Target)
	}
	return o.Target
}

// JoinedNetworks are the networks that a container, a service's tasks or a build
// would be in, and that are named by more than a well-known name.
func (o *Operation) JoinedNetworks() []Object {
	var found objects
	switch o.ID {
	case "NetworkConnect", "NetworkDisconnect":
		found.add(Object{Role: RoleTarget, Kind: KindNetwork, Ref: userNetwork(o.Target, nil), At: "{id}"})
	case "ContainerCreate", "ImageBuild", "ServiceCreate", "ServiceUpdate":
	default:
		return nil
	}
	for _, n := range namings[o.ID] {
		if n.kind == KindNetwork {
			o.named(n, found.add)
		}
	}
	return found.sorted()
}

// objects is a list in which nothing is twice.
type objects struct {
	list []Object
	seen map[Object]bool // once there are more than few
}

// few are so many that to look through them is quicker than a map.
const few = 8

func (o *objects) add(obj Object) {
	if obj.Ref == "" || o.seen[obj] || o.seen == nil && slices.Contains(o.list, obj) {
		return
	}
	if o.list = append(o.list, obj); len(o.list) < few {
		return
	}
	if o.seen == nil {
		o.seen = map[Object]bool{}
		for _, other := range o.list {
			o.seen[other] = true
		}
	}
	o.seen[obj] = true
}

func (o *objects) sorted() []Object {
	slices.SortFunc(o.list, func(a, b Object) int {
		return cmp.Or(strings.Compare(string(a.Role), string(b.Role)), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Ref, b.Ref), strings.Compare(a.At, b.At))
	})
	return o.list
}

// named calls add with each object in one place.
func (o *Operation) named(n naming, add func(Object)) {
	swarm := (o.ID == "ServiceCreate" || o.ID == "ServiceUpdate") && n.kind != KindImage && n.kind != KindVolume
	tell := func(v any, parent map[string]any) {
		ref, _ := v.(string)
		if n.read != nil {
			ref = n.read(ref, parent)
		}
		add(Object{Role: RoleUses, Kind: n.kind, Ref: ref, Swarm: swarm, At: n.field()})
	}
	param, isParam := strings.CutPrefix(n.at, "?")
	filter, isFilter := strings.CutPrefix(param, "filters/")
	switch {
	case isFilter:
		for _, value := range filterValues(o.Params["filters"], filter) {
			tell(value, nil)
		}
	case isParam:
		for _, value := range o.Query[param] {
			tell(value, nil)
		}
	default:
		walk(o.body(), nil, strings.Split(n.at[1:], "/"), tell)
	}
}

// walk calls visit with each value at a place of the body, and the object that it
// is in.
func walk(v any, parent map[string]any, at []string, visit func(v any, parent map[string]any)) {
	if len(at) == 0 {
		visit(v, parent)
		return
	}
	switch v := v.(type) {
	case []any:
		if at[0] == "*" {
			for _, e := range v {
				walk(e, nil, at[1:], visit)
			}
		}
	case map[string]any:
		switch at[0] {
		case "*":
			for _, member := range v {
				walk(member, v, at[1:], visit)
			}
		case "<key>":
			for key := range v {
				visit(key, v)
			}
		default:
			walk(v[at[0]], v, at[1:], visit)
		}
	}
}

// filterValues are those of one filter, {"network": ["a"]} or {"network": {"a": true}}, in any order.
func filterValues(filters any, name string) []string {
	all, _ := filters.(map[string]any)
	switch values := all[name].(type) {
	case []any:
		return texts(values)
	case map[string]any:
		var out []string
		for value := range values {
			out = append(out, value)
		}
		return out
	}
	return nil
}

// field is the place as HazardFields name it.
func (n naming) field() string {
	if strings.HasPrefix(n.at, "?") {
		return n.at
	}
	return fieldOfPlace.Replace(n.at)[1:]
}

var fieldOfPlace = strings.NewReplacer("EndpointsConfig/*", "EndpointsConfig.*", "/*", "[]", "/<key>", "", "/", ".")

// WithHazard is the operation with a hazard more, which comes from these fields. The
// operation itself is not changed.
func (o *Operation) WithHazard(h Hazard, fields ...string) *Operation {
	r := *o
	r.noted = maps.Clone(o.noted)
	if r.noted == nil {
		r.noted = map[Hazard][]string{}
	}
	r.noted[h] = append(slices.Clone(o.noted[h]), fields...)
	r.Hazards, r.HazardFields = slices.Clone(o.Hazards), maps.Clone(o.HazardFields)
	r.addHazard(h, fields)
	r.Hazards = sorted(r.Hazards)
	return &r
}

// addHazard notes a hazard, and the fields that it comes from.
func (o *Operation) addHazard(h Hazard, fields []string) {
	o.Hazards = append(o.Hazards, h)
	if len(fields) == 0 {
		return
	}
	if o.HazardFields == nil {
		o.HazardFields = map[Hazard][]string{}
	}
	o.HazardFields[h] = sorted(append(slices.Clone(o.HazardFields[h]), fields...))
}

// WithTarget is the operation with an id in place of the name in its path, for the
// daemon; Target stays what was typed. The name of one of the Engine's own networks stays,
// too: it is everywhere the same one, and beside an id in the path the daemon would take
// the NetworkID of the body. It is not ok if the id cannot stand there. The operation
// itself is not changed.
func (o *Operation) WithTarget(id string) (with *Operation, ok bool) {
	if userNetwork(o.Target, nil) == "" && targets[o.Resource] == KindNetwork {
		return o, true
	}
	return o.WithTargetName(id)
}

// WithTargetName is WithTarget for whatever the path names.
func (o *Operation) WithTargetName(name string) (with *Operation, ok bool) {
	at := 2 + strings.IndexByte(o.Path[1:], '/') // behind the resource
	rest, is := strings.CutPrefix(o.Path[at:], o.Target)
	if o.Target == "" || !is {
		return nil, false
	}
	version := ""
	if o.Version != "" {
		version = "/v" + o.Version
	}
	full := version + o.Path[:at] + name + rest
	path := full[len(version):]
	if e, named := find(o.Method, path); e == nil || e.id != o.ID || named != name || checkPath(path) != nil {
		return nil, false
	}
	r := *o
	r.Path, r.URI = path, (&target{raw: full}).canonicalURI(o.Query)
	return &r, true
}
