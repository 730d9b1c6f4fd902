package operation

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestClosedHostPathIsCanonical: a policy that compares text sees one spelling
// of each path, wherever it is written.
func TestClosedHostPathIsCanonical(t *testing.T) {
	const typed = "/home/alice/..//./bob/"
	for _, spelled := range []string{typed, "/home//bob", "/home/bob/.", "/../home/bob"} {
		for name, r := range hostPathRequests(spelled) {
			op := mustParse(t, r)
			if !slices.Contains(op.HostPath, "/home/bob") {
				t.Errorf("%s, %s: host paths %v, want /home/bob", name, spelled, op.HostPath)
			}
			for _, p := range op.HostPath {
				if strings.HasPrefix(p, "/") && path.Clean(p) != p {
					t.Errorf("%s, %s: host path %s", name, spelled, p)
				}
			}
		}
	}
}

// TestClosedRelativeHostPath: what it is relative to nobody can say.
func TestClosedRelativeHostPath(t *testing.T) {
	for name, body := range map[string]string{
		"a bind mount": `{"HostConfig":{"Mounts":[{"Type":"bind","Source":"etc"}]}}`,
		"a device":     `{"HostConfig":{"Devices":[{"PathOnHost":"dev/sda"}]}}`,
		"an init":      `{"HostConfig":{"InitPath":"../etc"}}`,
	} {
		op := mustParse(t, request("POST", "/containers/create", body))
		if !slices.Equal(op.HostPath, []string{"/"}) || !slices.Contains(op.Hazards, HazardEngineSocket) {
			t.Errorf("%s: host paths %v, hazards %v", name, op.HostPath, op.Hazards)
		}
	}
}

// TestClosedComputedPath: the swarm fills in templates in the mounts of a service, so that a path with one may be any.
func TestClosedComputedPath(t *testing.T) {
	const climbs = `/srv/app/{{printf \"%c%c\" 46 46}}/{{printf \"%c%c\" 46 46}}/etc`
	for _, mount := range []string{
		`{"Type":"bind","Source":"` + climbs + `","Target":"/x"}`,
		`{"Type":"bind2","Source":"` + climbs + `","Target":"/x"}`,
		`{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind","device":"` + climbs + `"}}}}`,
		`{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs","o":"{{\"bind\"}}","device":"{{\"/etc\"}}"}}}}`,
	} {
		op := mustParse(t, request("POST", "/services/create", `{"TaskTemplate":{"ContainerSpec":{"Mounts":[`+mount+`]}}}`))
		if !slices.Contains(op.HostPath, "/") || !slices.Contains(op.Hazards, HazardEngineSocket) || !slices.Contains(op.Hazards, HazardHostPath) {
			t.Errorf("%s: host paths %v, hazards %v", mount, op.HostPath, op.Hazards)
		}
	}
	op := mustParse(t, request("POST", "/services/create", `{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"volume","Source":"app-{{.Task.Slot}}","Target":"/x"}]}}}`))
	if want := []string{"volume:app-{{.Task.Slot}}"}; !slices.Equal(op.HostPath, want) || slices.Contains(op.Hazards, HazardHostPath) {
		t.Errorf("a volume of each task's own: host paths %v, hazards %v", op.HostPath, op.Hazards)
	}
}

// TestClosedDeviceOfAnyNumber: who may name some devices of the host gets no other
// one by a number, by a driver, or by a file that it has made for it elsewhere.
func TestClosedDeviceOfAnyNumber(t *testing.T) {
	create, update := "/containers/create", "/containers/x/update"
	volume := func(options string) string {
		return `{"HostConfig":{"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":` + options + `}}}]}}`
	}
	for _, tc := range []struct {
		uri, body string
		want      []string
	}{
		{create, `{"HostConfig":{"DeviceCgroupRules":["b 8:* rwm"]}}`, []string{"/dev"}},
		{create, `{"HostConfig":{"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["a/b=c"]}]}}`, []string{"/dev"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/srv/app/sda"}]}}`, []string{"/dev", "/srv/app/sda"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/../srv/app/sda"}]}}`, []string{"/dev", "/srv/app/sda"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/shm/sda"}]}}`, []string{"/dev", "/dev/shm/sda"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/./shm"}]}}`, []string{"/dev", "/dev/shm"}},
		{create, `{"HostConfig":{"BlkioDeviceReadBps":[{"Path":"/dev/mqueue/sda","Rate":1}]}}`, []string{"/dev", "/dev/mqueue/sda"}},
		{update, `{"Devices":[{"PathOnHost":"/dev/hugepages/sda"}]}`, []string{"/dev", "/dev/hugepages/sda"}},
		{"/volumes/create", `{"DriverOpts":{"type":"ext4","device":"/dev/shm/x/sda"}}`, []string{"/dev", "/dev/shm/x/sda"}},
		{create, volume(`{"type":"ext4","device":"/dev/pts/0"}`), []string{"/dev", "/dev/pts/0"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/fd/7"}]}}`, []string{"/dev", "/dev/fd/7"}},
		{update, `{"DeviceCgroupRules":["a *:* rwm"]}`, []string{"/dev"}},
		{"/volumes/create", `{"DriverOpts":{"type":"ext4","device":"/srv/app/sda"}}`, []string{"/dev", "/srv/app/sda"}},
		{create, volume(`{"type":"ext4","device":"/srv/app/sda"}`), []string{"/dev", "/srv/app/sda"}},

		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/kvm"}],"DeviceCgroupRules":[],"DeviceRequests":null}}`, []string{"/dev/kvm"}},
		{create, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/shmem"},{"PathOnHost":"/dev/ptmx"}]}}`, []string{"/dev/ptmx", "/dev/shmem"}},
		{"/volumes/create", `{"DriverOpts":{"type":"ext4","device":"/dev/vg/app"}}`, []string{"/dev/vg/app"}},
		{create, volume(`{"type":"none","o":"bind","device":"/srv/app"}`), []string{"/srv/app"}},
	} {
		if op := mustParse(t, request("POST", tc.uri, tc.body)); !slices.Equal(op.HostPath, tc.want) {
			t.Errorf("POST %s %s: host paths %v, want %v", tc.uri, tc.body, op.HostPath, tc.want)
		}
	}
}

// hostPathRequests are requests that name a path of the host, each in another way.
func hostPathRequests(p string) map[string]*Request {
	create := func(host string) *Request { return request("POST", "/containers/create", `{"HostConfig":{`+host+`}}`) }
	service := func(spec string) *Request { return request("POST", "/services/create", `{"TaskTemplate":{`+spec+`}}`) }
	q := strconv.Quote(p)
	driver := `"VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":` + q + `}}}`
	return map[string]*Request{
		"bind":                         create(`"Binds":["` + p + `:/x:ro"]`),
		"bind in Volumes":              request("POST", "/containers/create", `{"Volumes":{"`+p+`:/x":{}}}`),
		"mount":                        create(`"Mounts":[{"Type":"bind","Source":` + q + `,"Target":"/x"}]`),
		"mount of a type of next year": create(`"Mounts":[{"Type":"bind2","Source":` + q + `,"Target":"/x"}]`),
		"driver of a mount":            create(`"Mounts":[{"Type":"volume","Source":"v",` + driver + `}]`),
		"device":                       create(`"Devices":[{"PathOnHost":` + q + `}]`),
		"device of an update":          request("POST", "/containers/x/update", `{"Devices":[{"PathOnHost":`+q+`}]}`),
		"device whose use is limited":  create(`"BlkioDeviceReadBps":[{"Path":` + q + `,"Rate":1}]`),
		"weight of a device":           create(`"BlkioWeightDevice":[{"Path":` + q + `,"Weight":10}]`),
		"init":                         create(`"InitPath":` + q),
		"socket of a log driver":       create(`"LogConfig":{"Type":"syslog","Config":{"syslog-address":"unixgram://` + p + `"}}`),
		"file of a log driver":         create(`"LogConfig":{"Type":"syslog","Config":{"syslog-tls-key":` + q + `}}`),
		"volume":                       request("POST", "/volumes/create", `{"DriverOpts":{"type":"none","o":"bind","device":`+q+`}}`),
		"volume of a plugin":           request("POST", "/volumes/create", `{"Driver":"x","DriverOpts":{"mountpoint":`+q+`}}`),
		"part of an option":            request("POST", "/volumes/create", `{"Driver":"x","DriverOpts":{"o":"lowerdir=`+p+`,b=c"}}`),
		"service":                      service(`"ContainerSpec":{"Mounts":[{"Type":"bind","Source":` + q + `}]}`),
		"driver of a service's mount":  service(`"ContainerSpec":{"Mounts":[{"Type":"volume","Source":"v",` + driver + `}]}`),
		"log driver of a service":      service(`"LogDriver":{"Name":"fluentd","Options":{"fluentd-address":"unix://` + p + `"}}`),
		"service, changed": request("POST", "/services/s/update?version=1",
			`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":`+q+`}]}}}`),
	}
}

// TestClosedDeviceOfAVolumeIsOnePath: the kernel takes it whole, so that what is
// behind a comma or a colon in it counts.
func TestClosedDeviceOfAVolumeIsOnePath(t *testing.T) {
	for _, device := range []string{"/srv/app:x/../../etc", "/srv/app,x/../../../etc", "/srv/app=/../../../etc"} {
		op := mustParse(t, request("POST", "/volumes/create", `{"DriverOpts":{"type":"none","o":"bind","device":"`+device+`"}}`))
		if !slices.Equal(op.HostPath, []string{path.Clean(device)}) {
			t.Errorf("%s: host paths %v, want %s", device, op.HostPath, path.Clean(device))
		}
	}
}

// TestConcealedPathsClosed: a path that stands in an option of which nobody knows that it holds one may be a secret, and so may be
// what it resolves to; one that stands in a place of paths too is told.
func TestConcealedPathsClosed(t *testing.T) {
	at := links(map[string]string{"/srv/secret": "/run/found"})
	for _, tc := range []struct {
		uri, body string
		concealed []string
		told      []string
	}{
		{"/volumes/create", `{"Driver":"other","DriverOpts":{"key":"/srv/secret"}}`, []string{"/run/found", "/srv/secret"}, []string{Blank}},
		{"/volumes/create", `{"Driver":"other","DriverOpts":{"key":"//srv/secret"}}`, []string{"//srv/secret", "/run/found", "/srv/secret"}, []string{Blank}},
		{"/volumes/create", `{"DriverOpts":{"type":"none","o":"bind","device":"/srv/secret"}}`, nil, []string{"/run/found"}},
		{"/volumes/create", `{"DriverOpts":{"type":"none","o":"bind","device":"/srv/secret","key":"/srv/secret"}}`, nil, []string{"/run/found"}},
		{"/volumes/create", `{"Name":"data"}`, nil, nil},
		{"/volumes/create", `{"Driver":"other","DriverOpts":{"key":"/"}}`, nil, []string{"/"}},
	} {
		op, err := mustParse(t, post(tc.uri, tc.body)).ResolveHostPaths(at)
		if err != nil {
			t.Fatalf("%s: %v", tc.body, err)
		}
		if got := slices.Sorted(maps.Keys(op.Concealed())); !slices.Equal(got, tc.concealed) {
			t.Errorf("%s conceals %q, want %q", tc.body, got, tc.concealed)
		}
		if got := op.TellPaths(); !slices.Equal(got, tc.told) {
			t.Errorf("%s: a record has %q, want %q", tc.body, got, tc.told)
		}
	}
}

// TestPathsOfTheHostInOtherWordsClosed: what may mean one counts, and what cannot does not.
func TestPathsOfTheHostInOtherWordsClosed(t *testing.T) {
	for _, tc := range []struct{ uri, body, want string }{
		{"/services/create", `{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":"{{.Node.Hostname}}"}]}}}`, "/"},
		{"/containers/create", `{"HostConfig":{"Mounts":[{"Type":"tmpfs","Source":"/etc"},{"Type":"image","Source":"/etc"},{"Type":"bind","Source":"/srv/{{x"}]}}`, "/srv/{{x"},
		{"/volumes/create", `{"Driver":"other","DriverOpts":{"device":"/srv/a,/srv/b"}}`, "/srv/a /srv/a,/srv/b /srv/b"},
		{"/containers/create", `{"HostConfig":{"LogConfig":{"Type":"syslog","Config":{"tag":"unix"}}}}`, ""},
	} {
		if got := strings.Join(mustParse(t, post(tc.uri, tc.body)).HostPath, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.body, got, tc.want)
		}
	}
	if op := mustParse(t, post("/volumes/create", `{"Driver":"other","DriverOpts":{"mountpoint":"/srv/a"}}`)); !slices.Contains(op.Hazards, HazardHostPath) {
		t.Errorf("an option of a driver: %v", op.Hazards)
	}
	if makesVolume(nil) {
		t.Error("null makes a volume")
	}
	if onRun("/var/runner/x") != "/var/runner/x" || onRun("/var/run") != "/run" {
		t.Error("what only begins like /var/run is elsewhere")
	}
}
