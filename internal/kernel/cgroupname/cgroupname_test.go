package cgroupname

import (
	"strings"
	"testing"
)

const id = "c0ffee0000000000000000000000000000000000000000000000000000000007"

// TestOneReadingOfNames: what a name says, for everybody who asks. No name that bears an id is plain.
func TestOneReadingOfNames(t *testing.T) {
	for name, want := range map[string]Naming{
		id:                                     Own,
		"docker-" + id + ".scope":              Own,
		"libpod-" + id:                         Own, // Podman's cgroupfs manager
		"libpod-" + id + ".scope":              Own,
		"libpod-payload-" + id:                 Own, // Podman's --cgroups=split
		"cri-containerd-" + id:                 Own,
		"crio-" + id + ".scope":                Own,
		"libpod-conmon-" + id:                  Foreign,
		"libpod-conmon-" + id + ".scope":       Foreign,
		"crio-conmon-" + id + ".scope":         Foreign,
		"conmon-" + id:                         Foreign,
		"machine-libpod_pod_" + id + ".slice":  Foreign,
		id + ".scope":                          Foreign,
		"x" + id:                               Foreign,
		id + "0":                               Foreign,
		id + id:                                Foreign,
		"docker-" + id + ".scope.d":            Foreign,
		"0123456789abcdef0123456789abcdef-123": Foreign, // ECS
		"kubepods-besteffort.slice":            Foreign,
		"lxc.payload":                          Foreign,
		"buildkit":                             Foreign,
		"docker.service":                       Plain,
		"libpod_parent":                        Plain,
		"conmon":                               Plain,
		strings.ToUpper("a" + id[1:]):          Plain,
		"":                                     Plain,
	} {
		got, says := Read(name)
		bears := strings.Contains(name, id)
		if says != want || bears != (got == id) {
			t.Errorf("%q is read as %v of %q, want %v", name, says, got, want)
		}
	}
}

func TestBearing(t *testing.T) {
	other := strings.Repeat("b2", 32)
	for path, want := range map[string]string{
		"/docker/" + id:                                    "/docker/" + id,
		"/docker/" + id + "/app/worker":                    "/docker/" + id,
		"/system.slice/docker-" + id + ".scope":            "/system.slice/docker-" + id + ".scope",
		"/machine.slice/libpod-" + id + ".scope/container": "/machine.slice/libpod-" + id + ".scope",
		"/docker/" + other + "/" + id:                      "", // who made the inner one?
		"/docker/" + id + "/docker/" + id:                  "",
		"/kubepods/" + id:                                  "",
		"/docker/x" + id:                                   "",
		"/libpod-conmon-" + id:                             "",
		"/docker":                                          "",
		"/":                                                "",
	} {
		got, root := Bearing(path)
		if root != want || (got == id) != (want != "") {
			t.Errorf("Bearing(%s) = %q, %q; want %q", path, got, root, want)
		}
	}
}

func TestSpeaks(t *testing.T) {
	for path, want := range map[string]bool{"/": false, "/..": false, "/../..": false, "": false, "/../x": true, "/docker": true, "/...": true} {
		if Speaks(path) != want {
			t.Errorf("Speaks(%q) = %v", path, !want)
		}
	}
}

// TestContainerPath has the paths that TestPlaces of package cgroup has not: odd ones.
func TestContainerPath(t *testing.T) {
	tests := []struct {
		name, init, want string
		named            bool
	}{
		{"inner folder of its own name", "/docker/" + id + "/docker/" + id, "/docker/" + id, true},
		{"in another container", "/docker/" + strings.Repeat("f", 64) + "/docker/" + id + "/x", "/docker/" + strings.Repeat("f", 64) + "/docker/" + id, true},
		{"no id", "/machine.slice/x", "/machine.slice/x", false},
		{"id is only part of a segment", "/docker/x" + id, "/docker/x" + id, false},
		{"scope without a prefix", "/" + id + ".scope", "/" + id + ".scope", false},
		{"root", "/", "/", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, named := ContainerPath(tt.init, id); got != tt.want || named != tt.named {
				t.Errorf("ContainerPath = %q, %v; want %q, %v", got, named, tt.want, tt.named)
			}
		})
	}
}

// TestContainerPathIsThatContainers: below another's it is not that one's.
func TestContainerPathIsThatContainers(t *testing.T) {
	other := strings.Repeat("b2", 32)
	if p, named := ContainerPath("/docker/"+other+"/"+id+"/x", id); p != "/docker/"+other+"/"+id || !named {
		t.Errorf("%s, %v", p, named)
	}
	if p, named := ContainerPath("/docker/"+other, id); p != "/docker/"+other || named {
		t.Errorf("%s, %v", p, named)
	}
}

func TestRef(t *testing.T) {
	for segment, want := range map[string]string{
		id: id, "docker-" + id + ".scope": id, id[:12]: id[:12], "x-" + id[:12] + ".slice.scope": id[:12], id + ".slice": id,
		id[:11]: "", "x" + id: "", "x-": "", "": "", "docker": "", id + ".scope.slice": "", strings.ToUpper("a" + id): "",
	} {
		if got := Ref(segment); got != want {
			t.Errorf("Ref(%s) = %q, want %q", segment, got, want)
		}
	}
}
