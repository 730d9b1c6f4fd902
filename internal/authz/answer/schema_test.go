package answer

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/plugin"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"

	"vitrine/test/long"
)

// TestGoTypesAreKnown: what the daemon's own types have, the schema has too, so
// that no pointer to it is refused and no secret in it overlooked.
func TestGoTypesAreKnown(t *testing.T) {
	long.Alone(t)
	for operation, v := range map[string]any{
		"ConfigInspect": swarm.Config{}, "ConfigList": []swarm.Config{},
		"ContainerChanges": []container.FilesystemChange{}, "ContainerCreate": container.CreateResponse{},
		"ContainerInspect": container.InspectResponse{}, "ContainerList": []container.Summary{},
		"ContainerPrune": container.PruneReport{}, "ContainerStats": container.StatsResponse{},
		"ContainerTop": container.TopResponse{}, "ContainerUpdate": container.UpdateResponse{},
		"ContainerWait": container.WaitResponse{}, "DistributionInspect": registry.DistributionInspect{},
		"ExecInspect": container.ExecInspectResponse{}, "GetPluginPrivileges": plugin.Privileges{},
		"ImageDelete": []image.DeleteResponse{}, "ImageHistory": []image.HistoryResponseItem{},
		"ImageInspect": image.InspectResponse{}, "ImageList": []image.Summary{}, "ImagePrune": image.PruneReport{},
		"ImageSearch": []registry.SearchResult{}, "NetworkInspect": network.Inspect{}, "NetworkList": []network.Summary{},
		"NodeInspect": swarm.Node{}, "NodeList": []swarm.Node{}, "PluginInspect": plugin.Plugin{}, "PluginList": []plugin.Plugin{},
		"SecretInspect": swarm.Secret{}, "SecretList": []swarm.Secret{}, "ServiceInspect": swarm.Service{}, "ServiceList": []swarm.Service{},
		"SwarmInspect": swarm.Swarm{}, "SwarmUnlockkey": swarm.UnlockKeyResponse{}, "SystemAuth": registry.AuthResponse{},
		"SystemDataUsage": system.DiskUsage{}, "SystemEvents": events.Message{}, "SystemInfo": system.Info{},
		"SystemVersion": system.VersionResponse{}, "TaskInspect": swarm.Task{}, "TaskList": []swarm.Task{},
		"VolumeCreate": volume.Volume{}, "VolumeInspect": volume.Volume{}, "VolumeList": volume.ListResponse{}, "VolumePrune": volume.PruneReport{},
	} {
		n, known := schemaOf(operation)
		if !known {
			t.Errorf("%s has no schema", operation)
			continue
		}
		compare(t, operation, n, reflect.TypeOf(v), nil)
	}
}

func compare(t *testing.T, at string, n *node, typ reflect.Type, within []reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if slices.Contains(within, typ) || n.kind == free {
		return
	}
	within = append(within, typ)
	if n.kind == text || n.kind == scalar || typ.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Marshaler]()) {
		return // written as it likes, and what is in it cannot be told
	}
	switch typ.Kind() { //nolint:exhaustive // the others hold nothing
	case reflect.Slice, reflect.Array, reflect.Map:
		if n.kind == list || n.kind == mapping {
			compare(t, at+"/*", &nodes[n.elem], typ.Elem(), within)
		} else if typ.Elem().Kind() != reflect.Uint8 {
			t.Errorf("%s is %s, and in the schema %d", at, typ, n.kind)
		}
	case reflect.Struct:
		if n.kind == mapping && nodes[n.elem].kind == free {
			return // described as anything
		}
		if n.kind != object {
			t.Errorf("%s is %s, and in the schema %d", at, typ, n.kind)
			return
		}
		for f := range typ.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-" || !f.IsExported():
			case f.Anonymous && name == "" || strings.Contains(options, "inline"):
				compare(t, at, n, f.Type, within)
			default:
				if name == "" {
					name = f.Name
				}
				if m := n.member(name); m == nil {
					t.Errorf("%s/%s (%s) is not in the schema", at, name, f.Type)
				} else {
					compare(t, at+"/"+m.name, &nodes[m.node], f.Type, within)
				}
			}
		}
	default:
	}
}
