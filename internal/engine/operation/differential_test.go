package operation

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/plugin"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/volume"

	"vitrine/test/long"
)

// bodyTypes are the types into which the daemon decodes bodies.
var bodyTypes = map[string]func() any{
	"ContainerCreate":   func() any { return new(container.CreateRequest) },
	"ContainerUpdate":   func() any { return new(container.UpdateConfig) },
	"ContainerExec":     func() any { return new(container.ExecCreateRequest) },
	"ExecStart":         func() any { return new(container.ExecStartRequest) },
	"ImageCommit":       func() any { return new(container.Config) },
	"VolumeCreate":      func() any { return new(volume.CreateRequest) },
	"VolumeUpdate":      func() any { return new(struct{ Spec *volume.ClusterVolumeSpec }) },
	"NetworkCreate":     func() any { return new(network.CreateRequest) },
	"NetworkConnect":    func() any { return new(network.ConnectRequest) },
	"NetworkDisconnect": func() any { return new(network.DisconnectRequest) },
	"ServiceCreate":     func() any { return new(swarm.ServiceSpec) },
	"ServiceUpdate":     func() any { return new(swarm.ServiceSpec) },
	"SwarmInit":         func() any { return new(swarm.InitRequest) },
	"SwarmJoin":         func() any { return new(swarm.JoinRequest) },
	"SwarmUpdate":       func() any { return new(swarm.Spec) },
	"SwarmUnlock":       func() any { return new(swarm.UnlockRequest) },
	"NodeUpdate":        func() any { return new(swarm.NodeSpec) },
	"SecretCreate":      func() any { return new(swarm.SecretSpec) },
	"SecretUpdate":      func() any { return new(swarm.SecretSpec) },
	"ConfigCreate":      func() any { return new(swarm.ConfigSpec) },
	"ConfigUpdate":      func() any { return new(swarm.ConfigSpec) },
	"PluginPull":        func() any { return new(plugin.Privileges) },
	"PluginUpgrade":     func() any { return new(plugin.Privileges) },
	"PluginSet":         func() any { return new([]string) },
	"SystemAuth":        func() any { return new(registry.AuthConfig) },
}

func entryOf(t testing.TB, id string) *entry {
	t.Helper()
	for i := range catalogue {
		if catalogue[i].id == id {
			return &catalogue[i]
		}
	}
	t.Fatalf("no operation %s", id)
	return nil
}

// TestGoTypesAreKnown walks the daemon's types: a key that they have and the
// catalogue lacks would be denied to everyone, and one whose type differs
// would be refused.
func TestGoTypesAreKnown(t *testing.T) {
	for id, zero := range bodyTypes {
		compareType(t, id, reflect.TypeOf(zero()).Elem(), entryOf(t, id).schema)
	}
	for i := range catalogue {
		e := &catalogue[i]
		if (e.body == bodyOptional || e.body == bodyRequired) && bodyTypes[e.id] == nil && e.id != "CheckpointCreate" {
			t.Errorf("%s takes a JSON body and is not compared", e.id)
		}
	}
}

func compareType(t *testing.T, at string, typ reflect.Type, schema uint16) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	n := &nodeTable[schema]
	want := map[reflect.Kind][]nodeKind{
		reflect.Bool: {kindBool}, reflect.String: {kindString},
		reflect.Slice: {kindArray, kindStrings}, reflect.Array: {kindArray}, reflect.Map: {kindMap},
		reflect.Struct: {kindObject},
	}[typ.Kind()]
	switch {
	case reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), typ == reflect.TypeFor[[]byte]():
		want = []nodeKind{kindString}
	case typ.Kind() == reflect.Interface, typ == reflect.TypeFor[json.RawMessage]():
		want = []nodeKind{kindAny}
	case typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Float64:
		want = []nodeKind{kindNumber}
	case typ.Kind() == reflect.Struct && typ.NumField() == 0:
		want = []nodeKind{kindMap, kindObject, kindAny}
	}
	found := false
	for _, k := range want {
		found = found || n.kind == k
	}
	if !found {
		t.Errorf("%s: %v, and the catalogue says %s", at, typ, kindNames[n.kind])
		return
	}
	switch {
	case len(want) == 1 && want[0] == kindString:
	case typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array:
		if n.kind == kindArray {
			compareType(t, at+"/*", typ.Elem(), n.elem)
		}
	case typ.Kind() == reflect.Map:
		compareType(t, at+"/*", typ.Elem(), n.elem)
	case typ.Kind() == reflect.Struct:
		compareFields(t, at, typ, n)
	}
}

func compareFields(t *testing.T, at string, typ reflect.Type, n *node) {
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			compareFields(t, at, embedded, n)
			continue
		}
		if name == "" {
			name = f.Name
		}
		if p := n.property(name); p == nil {
			t.Errorf("%s/%s: %v, and the catalogue does not know it", at, name, f.Type)
		} else {
			compareType(t, at+"/"+name, f.Type, p.node)
		}
	}
}

// differ says that the daemon would understand our canonical form differently
// from what was sent. A body that the daemon refuses may differ.
func differ(zero func() any, sent, canonical []byte) (was, is any, differs bool) {
	a, b := zero(), zero()
	if err := json.NewDecoder(bytes.NewReader(sent)).Decode(a); err != nil {
		return nil, nil, false
	}
	if err := json.NewDecoder(bytes.NewReader(canonical)).Decode(b); err != nil {
		return a, err, true
	}
	return a, b, !reflect.DeepEqual(a, b)
}

// TestDaemonReadsTheSame decodes bodies as they were sent and in our canonical
// form: both must be the same to the daemon.
func TestDaemonReadsTheSame(t *testing.T) {
	long.Alone(t)
	for _, body := range createBodies {
		checkBody(t, "ContainerCreate", []byte(body))
	}
	for id := range bodyTypes {
		for _, body := range []string{`{}`, `[]`, `null`, `{"name":"x","NAME":"y"}`, `{"Name":"x","labels":{"a":"b"},"Driver":"local","driverOPTS":{"device":"/"}}`} {
			checkBody(t, id, []byte(body))
		}
	}
}

var createBodies = []string{
	`{"Image":"good","ho\u017ftconfig":{"Privileged":true}}`,
	`{"image":"a","cmd":["sh"],"HostConfig":{"binds":["/:/x"],"NetworkMode":"host","portbindings":{"80/tcp":[{"hostport":"1"}]}}}`,
	`{"Image":"good","image":"evil"}`,
	`{"hostconfig":{"privileged":true},"HostConfig":{"Binds":[]}}`,
	`{"HostConfig":{"Memory":1e3}}`, `{"HostConfig":{"Memory":-1,"Dns":["1.1.1.1"],"Ulimits":[{"name":"x","hard":1}]}}`,
	`{"HostConfig":{"Mounts":[{"type":"volume","VolumeOptions":{"driverconfig":{"options":{"Device":"/"}}}}]}}`,
	`{"Healthcheck":{"Test":["CMD"],"interval":1000000000},"ExposedPorts":{"80/tcp":{}},"Volumes":{"/x":{}}}`,
	`{"NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":{"ipv4address":"10.0.0.1"},"MacAddress":"02:42:ac:11:00:02"}}}}`,
	`{"HostConfig":{"ConsoleSize":[1,2],"LogConfig":{"type":"syslog"},"RestartPolicy":{"name":"always"},"Init":null}}`,
}

// checkBody judges a body and holds the daemon's readings against each other.
func checkBody(t *testing.T, id string, body []byte) {
	e := entryOf(t, id)
	_, canonical, _, err := decodeJSON(string(body), e.schema, nil)
	if err != nil {
		return
	}
	zero := bodyTypes[id]
	if was, is, differs := differ(zero, body, canonical); differs {
		t.Errorf("%s: the daemon reads %s as %+v, and our %s as %+v", id, body, was, canonical, is)
	}
	if _, again, _, err := decodeJSON(string(canonical), e.schema, nil); err != nil || !bytes.Equal(canonical, again) {
		t.Errorf("%s: canonical %s, and again %s (%v)", id, canonical, again, err)
	}
}

// unseen gives what a create would do to the host by the daemon's reading and
// not by ours.
func unseen(op *Operation, req *container.CreateRequest) string {
	has := func(h Hazard) bool { return slices.Contains(op.Hazards, h) }
	host := req.HostConfig
	if host == nil {
		return ""
	}
	for h, is := range map[Hazard]bool{
		HazardPrivileged:    host.Privileged,
		HazardCap:           len(host.CapAdd) > 0,
		HazardDevices:       len(host.Devices) > 0 || len(host.DeviceRequests) > 0 || len(host.DeviceCgroupRules) > 0,
		HazardHostNamespace: host.NetworkMode.IsHost() || host.PidMode.IsHost() || host.IpcMode.IsHost() || host.UTSMode.IsHost(),
		HazardVolumesFrom:   len(host.VolumesFrom) > 0,
		HazardCgroupParent:  host.CgroupParent != "",
		HazardSysctl:        len(host.Sysctls) > 0,
		HazardUserns:        host.UsernsMode != "",
		HazardRuntime:       host.Runtime != "",
		HazardUnmasked:      host.MaskedPaths != nil && !slices.Contains(host.MaskedPaths, "/proc/kcore") || host.ReadonlyPaths != nil && !slices.Contains(host.ReadonlyPaths, "/proc/sys"),
		HazardLimits:        len(host.Ulimits) > 0 || len(host.StorageOpt) > 0,
		HazardNamedNetwork:  host.NetworkMode != "" && host.NetworkMode.IsUserDefined() && !host.NetworkMode.IsHost() && !strings.EqualFold(string(host.NetworkMode), "host"),
		"group-add":         len(host.GroupAdd) > 0,
	} {
		if is && !has(h) {
			return string(h)
		}
	}
	if req.NetworkingConfig != nil {
		for name, endpoint := range req.NetworkingConfig.EndpointsConfig {
			userDefined := container.NetworkMode(name).IsUserDefined()
			if userDefined && name != "" && !has(HazardNamedNetwork) && !has(HazardHostNamespace) {
				return "network " + name
			}
			if endpoint != nil && userDefined && endpoint.NetworkID != "" && !has(HazardNamedNetwork) && !has(HazardHostNamespace) {
				return "network id " + endpoint.NetworkID
			}
			if endpoint != nil && endpoint.IPAMConfig != nil && endpoint.IPAMConfig.IPv4Address.IsValid() && !has(HazardNetworkAddress) {
				return "address " + endpoint.IPAMConfig.IPv4Address.String()
			}
		}
	}
	for _, b := range host.Binds {
		if source, _, ok := strings.Cut(b, ":"); ok && strings.HasPrefix(source, "/") && !has(HazardHostPath) {
			return "bind " + b
		}
	}
	for _, m := range host.Mounts {
		if m.Type == "bind" && strings.HasPrefix(m.Source, "/") && !has(HazardHostPath) {
			return "mount of " + m.Source
		}
	}
	return ""
}

// FuzzDifferentialCreate holds our judgement of a create against moby's own
// types: same reading of the canonical form, and no effect unseen.
func FuzzDifferentialCreate(f *testing.F) {
	for _, b := range createBodies {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkBody(t, "ContainerCreate", body)
		op, err := Parse(request("POST", "/containers/create", string(body)))
		if err != nil {
			return
		}
		req := new(container.CreateRequest)
		if json.NewDecoder(bytes.NewReader(body)).Decode(req) != nil {
			return
		}
		if what := unseen(op, req); what != "" {
			t.Fatalf("%s: unseen: %s (%v)", body, what, op.Hazards)
		}
	})
}

// FuzzParseBody parses any body for any operation that takes one.
func FuzzParseBody(f *testing.F) {
	for i := range catalogue {
		f.Add(uint8(i), `{"Name":"x","TaskTemplate":{"containerspec":{"Mounts":[{"Type":"bind","Source":"/run"}]}}}`)
	}
	f.Add(uint8(0), createBodies[1])
	f.Fuzz(func(t *testing.T, i uint8, body string) {
		e := &catalogue[int(i)%len(catalogue)]
		path := strings.NewReplacer("{id}", "x", "{name}", "x", "{checkpoint}", "x").Replace(e.path)
		op, err := Parse(request(e.method, path, body))
		if err != nil {
			if op != nil {
				t.Fatal("an operation comes with a refusal")
			}
			return
		}
		if op.BodyState == BodyJSON && !json.Valid(op.Canonical) {
			t.Fatalf("%s: canonical %s", e.id, op.Canonical)
		}
		rereads(t, op)
		if bodyTypes[e.id] != nil && op.BodyState == BodyJSON {
			checkBody(t, e.id, []byte(body))
		}
	})
}
