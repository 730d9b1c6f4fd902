package operation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

func hazards(op *Operation) string {
	var s []string
	for _, h := range op.Hazards {
		s = append(s, string(h))
	}
	return strings.Join(s, " ")
}

func TestHazardsOfCreate(t *testing.T) {
	for body, want := range map[string]string{
		`{"Image":"a","HostConfig":{}}`:                                                                       "",
		`{"HostConfig":{"Privileged":true}}`:                                                                  "privileged",
		`{"HostConfig":{"Privileged":false}}`:                                                                 "",
		`{"HostConfig":{"Privileged":null}}`:                                                                  "",
		`{"HostConfig":{"CapAdd":["NET_ADMIN"]}}`:                                                             "cap",
		`{"HostConfig":{"CapAdd":"ALL"}}`:                                                                     "cap",
		`{"HostConfig":{"Capabilities":["CAP_SYS_ADMIN"]}}`:                                                   "cap",
		`{"HostConfig":{"CapAdd":[],"CapDrop":["ALL"]}}`:                                                      "",
		`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/x"}]}}`:                                                "devices",
		`{"HostConfig":{"Devices":[null]}}`:                                                                   "devices",
		`{"HostConfig":{"DeviceCgroupRules":["a *:* rwm"]}}`:                                                  "devices",
		`{"HostConfig":{"DeviceRequests":[{"Count":-1}]}}`:                                                    "devices",
		`{"HostConfig":{"NetworkMode":"host"}}`:                                                               "host-namespace",
		`{"HostConfig":{"PidMode":"host"}}`:                                                                   "host-namespace",
		`{"HostConfig":{"IpcMode":"host"}}`:                                                                   "host-namespace",
		`{"HostConfig":{"UTSMode":"host"}}`:                                                                   "host-namespace",
		`{"HostConfig":{"CgroupnsMode":"host"}}`:                                                              "host-namespace",
		`{"HostConfig":{"UsernsMode":"host"}}`:                                                                "userns",
		`{"HostConfig":{"NetworkMode":"container:a"}}`:                                                        "joined-namespace",
		`{"HostConfig":{"IpcMode":"container:a"}}`:                                                            "joined-namespace",
		`{"HostConfig":{"NetworkMode":"none","IpcMode":"private"}}`:                                           "",
		`{"NetworkingConfig":{"EndpointsConfig":{"host":{}}}}`:                                                "host-namespace",
		`{"NetworkingConfig":{"EndpointsConfig":{"n":{"Links":["a"]}}}}`:                                      "link named-network",
		`{"HostConfig":{"Links":["/a:b"]}}`:                                                                   "link",
		`{"HostConfig":{"VolumesFrom":["a"]}}`:                                                                "volumes-from",
		`{"HostConfig":{"Binds":["/srv:/srv"]}}`:                                                              "host-path",
		`{"HostConfig":{"Binds":["data:/srv"]}}`:                                                              "named-volume",
		`{"HostConfig":{"Binds":["/data"]}}`:                                                                  "",
		`{"HostConfig":{"Binds":["/srv:/srv:ro,rshared"]}}`:                                                   "host-path propagation",
		`{"HostConfig":{"Binds":["/run/docker.sock:/x"]}}`:                                                    "engine-socket host-path",
		`{"HostConfig":{"Binds":["/var/run/docker.sock:/x"]}}`:                                                "engine-socket host-path",
		`{"HostConfig":{"Binds":["/var/./run/x/..:/x"]}}`:                                                     "engine-socket host-path vitrine-files",
		`{"HostConfig":{"Binds":["/srv/a/docker.sock:/x"]}}`:                                                  "engine-socket host-path",
		`{"HostConfig":{"Binds":["/:/x"]}}`:                                                                   "engine-socket host-path vitrine-files",
		`{"HostConfig":{"Binds":["/proc/1/root/srv:/x"]}}`:                                                    "engine-socket host-path vitrine-files",
		`{"HostConfig":{"Binds":["/run/vitrine/docker:/run/vitrine:ro"]}}`:                                    "host-path vitrine-files",
		`{"HostConfig":{"Binds":["/run/vitrine-admin:/x"]}}`:                                                  "host-path vitrine-files",
		`{"HostConfig":{"Binds":["/etc:/x"]}}`:                                                                "host-path vitrine-files",
		`{"HostConfig":{"Binds":["/etc/dockerx:/x"]}}`:                                                        "host-path",
		`{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/srv"}]}}`:                                         "host-path",
		`{"HostConfig":{"Mounts":[{"Source":"/srv"}]}}`:                                                       "host-path",
		`{"HostConfig":{"Mounts":[{"Type":"volume","Source":"v"}]}}`:                                          "named-volume",
		`{"HostConfig":{"Mounts":[{"Type":"volume"},{"Type":"tmpfs","Target":"/x"}]}}`:                        "",
		`{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/srv","BindOptions":{"Propagation":"rshared"}}]}}`: "host-path propagation",
		`{"HostConfig":{"Mounts":[{"Type":"cluster","Source":"v"}]}}`:                                         "named-volume volume-driver",
		`{"HostConfig":{"VolumeDriver":"x"}}`:                                                                 "volume-driver",
		`{"HostConfig":{"VolumeDriver":"local"}}`:                                                             "",
		`{"HostConfig":{"SecurityOpt":["no-new-privileges"]}}`:                                                "",
		`{"HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}`:                                               "security-opt",
		`{"HostConfig":{"MaskedPaths":null}}`:                                                                 "",
		`{"HostConfig":{"MaskedPaths":[]}}`:                                                                   "unmasked",
		`{"HostConfig":{"ReadonlyPaths":[]}}`:                                                                 "unmasked",
		`{"HostConfig":{"Runtime":"x"}}`:                                                                      "runtime",
		`{"HostConfig":{"Annotations":{"a":"b"}}}`:                                                            "runtime",
		`{"HostConfig":{"Sysctls":{"a":"b"}}}`:                                                                "sysctl",
		`{"HostConfig":{"GroupAdd":["docker"]}}`:                                                              "group-add",
		`{"HostConfig":{"OomScoreAdj":-1000}}`:                                                                "oom",
		`{"HostConfig":{"OomScoreAdj":0,"OomKillDisable":false}}`:                                             "",
		`{"HostConfig":{"OomKillDisable":true}}`:                                                              "oom",
		`{"HostConfig":{"CgroupParent":"x"}}`:                                                                 "cgroup-parent",
		`{"HostConfig":{"LogConfig":{"Type":"syslog"}}}`:                                                      "log-driver",
		`{"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}}}`:                        "",
		`{"HostConfig":{"LogConfig":{"Config":{"syslog-address":"x"}}}}`:                                      "log-driver",
		`{"HostConfig":{"ExtraHosts":["a:1"]}}`:                                                               "extra-hosts",
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"80"}]}}}`:                                      "host-port",
		`{"Runtime":null}`:                                           "",
		`{"Runtime":"x"}`:                                            "runtime",
		`{"HostConfig":{"InitPath":"/srv/x"}}`:                       "host-path runtime",
		`{"HostConfig":{"Binds":["/run/user/1000:/x"]}}`:             "engine-socket host-path",
		`{"HostConfig":{"Binds":["/run/user/1000/pulse:/x"]}}`:       "host-path",
		`{"HostConfig":{"Binds":["/var:/x"]}}`:                       "engine-socket host-path vitrine-files",
		`{"HostConfig":{"Binds":["/run/docker/plugins/x.sock:/x"]}}`: "engine-socket host-path vitrine-files",
		`{"Env":["A=b"]}`:                                            "env",
		`{"HostConfig":{"Nope":1}}`:                                  "unknown-input",
	} {
		if got := hazards(mustParse(t, request("POST", "/containers/create", body))); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// TestClosedTagIsFilledInByTheDaemon: a tag is a Go template, and what it does is done in the daemon's own memory and time.
func TestClosedTagIsFilledInByTheDaemon(t *testing.T) {
	for tag, want := range map[string]string{
		`{{pad .Name 100000000000000 0}}`:              "limits",
		`{{printf "%1000000d" 1}}`:                     "limits",
		`{{define "x"}}{{template "x"}}{{end}}{{.ID}}`: "limits",
		`{{.ID}}{{.Command}}`:                          "limits",
		`{{.ContainerLabels}}`:                         "limits",
		`{{range 10}}x{{end}}`:                         "limits",
		`{{.ID}`:                                       "limits",
		`{{/* */}}`:                                    "limits",
		strings.Repeat(`{{.Name}}`, 200):               "limits",
		``:                                             "",
		`web`:                                          "",
		`{{.ImageName}}|{{.Name}}|{{.ImageFullID}}|{{.FullID}}`: "",
		`{{- .ID }}`: "limits",
		`docker/{{ .Hostname }}/{{.DaemonName}}-{{.ID}}`: "",
	} {
		body := `{"HostConfig":{"LogConfig":{"Config":{"tag":` + strconv.Quote(tag) + `}}}}`
		if got := hazards(mustParse(t, request("POST", "/containers/create", body))); got != want {
			t.Errorf("%.80s: %q, want %q", tag, got, want)
		}
	}
}

// TestClosedTasksAreMadeByTheSwarm, with the memory of its daemons.
func TestClosedTasksAreMadeByTheSwarm(t *testing.T) {
	for spec, want := range map[string]string{
		`{"TaskTemplate":{"ContainerSpec":{"Hostname":"{{printf \"%1000000d\" 1}}"}}}`:                                                         "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Env":["A={{range 9}}x{{end}}"]}}}`:                                                                 "env limits",
		`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"tmpfs","Target":"/{{print .}}"}]}}}`:                                             "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"VolumeOptions":{"Labels":{"a":"{{.Service}}"}}}]}}}`:                                    "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Hostname":"` + strings.Repeat("{{.Node.Hostname}}", 100) + `"}}}`:                                  "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Command":["` + strings.Repeat("x", 17<<10) + `"]}}}`:                                               "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Args":["` + strings.Repeat("x", 17<<10) + `"]}}}`:                                                  "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Dir":"/` + strings.Repeat("x", 17<<10) + `"}}}`:                                                    "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Test":["CMD","` + strings.Repeat("x", 17<<10) + `"]}}}}`:                            "limits",
		`{"TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Interval":1000000}}}}`:                                                              "limits",
		`{"Mode":{"Replicated":{"Replicas":10001}}}`:                                                                                           "limits",
		`{"Mode":{"Replicated":{"Replicas":1e9}}}`:                                                                                             "limits",
		`{"Mode":{"ReplicatedJob":{"MaxConcurrent":10001}}}`:                                                                                   "limits",
		`{"Mode":{"ReplicatedJob":{"TotalCompletions":10001}}}`:                                                                                "limits",
		`{"Mode":{"Replicated":{"Replicas":10000}}}`:                                                                                           "",
		`{"Mode":{"Global":{}},"TaskTemplate":{"ContainerSpec":{"Command":["{{range 9}}"],"Hostname":"{{.Node.Hostname}}-{{ .Task.Slot }}"}}}`: "",
		`{"TaskTemplate":{"ContainerSpec":{"Env":["A={{index .Service.Labels \"a\"}}","B=` + strings.Repeat("x", 2000) + `"]}}}`:               "env",
	} {
		if got := hazards(mustParse(t, request("POST", "/services/create", spec))); got != want {
			t.Errorf("%.120s: %q, want %q", spec, got, want)
		}
	}
}

// TestClosedLongTexts: the runtime hangs when it quotes one.
func TestClosedLongTexts(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for body, want := range map[string]string{
		`{"Cmd":["` + long + `x"]}`:                                                            "limits",
		`{"Cmd":"` + long + `x"}`:                                                              "limits",
		`{"Entrypoint":["` + long + `x"]}`:                                                     "limits",
		`{"HostConfig":{"CpusetCpus":"` + long + `x"}}`:                                        "limits",
		`{"HostConfig":{"Tmpfs":{"/` + long + `":""}}}`:                                        "limits",
		`{"HostConfig":{"MaskedPaths":[` + allMasked + `,"` + long + `x"]}}`:                   "limits",
		`{"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/` + long + `"}]}}`:                "limits",
		`{"HostConfig":{"CpusetCpus":"` + long + `"},"Cmd":["sh","-c","` + long + long + `"]}`: "",
	} {
		if got := hazards(mustParse(t, request("POST", "/containers/create", body))); got != want {
			t.Errorf("%.60s: %q, want %q", body, got, want)
		}
	}
	if got := hazards(mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"SecurityOpt":["seccomp=`+long+`x"]}}`))); got != "security-opt" {
		t.Errorf("a seccomp profile: %q", got)
	}
	if got := hazards(mustParse(t, request("POST", "/containers/x/update", `{"CpusetMems":"`+long+`x"}`))); got != "limits" {
		t.Errorf("an update: %q", got)
	}
}

// TestClosedTmpfsOptionIsReadWhole: each element of it goes into one text with commas, in
// which the kernel finds the options.
func TestClosedTmpfsOptionIsReadWhole(t *testing.T) {
	for options, want := range map[string]string{
		`[["size","1m,rshared"]]`:          "propagation",
		`[["size","1m"],["uid","1,bind"]]`: "propagation",
		`[["exec,rbind"]]`:                 "propagation",
		`[["","shared"]]`:                  "",
		`[[",shared"]]`:                    "propagation",
		`[["exec"],["a","b"]]`:             "propagation",
		`[["exec","",""]]`:                 "propagation",
		`[["exec","","shared"]]`:           "propagation",
		`[["exec",null]]`:                  "propagation",
		`[null]`:                           "propagation",
		`[[]]`:                             "propagation",
		`[["size","1m"],["exec"]]`:         "",
		`[["mode","0700,nosuid"]]`:         "",
		`[]`:                               "",
		`null`:                             "",
	} {
		body := `{"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":` + options + `}}]}}`
		if got := hazards(mustParse(t, request("POST", "/containers/create", body))); got != want {
			t.Errorf("%s: %q, want %q", options, got, want)
		}
	}
}

// TestPlainCreateHasNoHazard: what the docker command sends for docker run,
// with every key at its default, must look harmless.
func TestPlainCreateHasNoHazard(t *testing.T) {
	body := plainCreate(t)
	op := mustParse(t, request("POST", "/v"+MaxVersion+"/containers/create", body))
	if got := hazards(op); got != "" || len(op.Unknown) > 0 {
		t.Errorf("%q %v of %s", got, op.Unknown, body)
	}
}

func plainCreate(t testing.TB) string {
	t.Helper()
	body, err := json.Marshal(container.CreateRequest{
		Config:           &container.Config{Image: "nginx", Cmd: []string{"sh"}, Labels: map[string]string{}},
		HostConfig:       &container.HostConfig{NetworkMode: "default"},
		NetworkingConfig: &network.NetworkingConfig{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHazardsElsewhere(t *testing.T) {
	task := func(s string) string { return `{"TaskTemplate":{"ContainerSpec":` + s + `}}` }
	for _, c := range []struct{ method, uri, body, want string }{
		{"POST", "/containers/x/update", `{"Memory":1}`, ""},
		{"POST", "/containers/x/update", `{"Devices":[{"PathOnHost":"/dev/x"}],"CgroupParent":"x","OomKillDisable":true}`, "cgroup-parent devices oom"},
		{"POST", "/containers/x/exec", `{"Privileged":true,"Env":["A=b"],"Cmd":["x"]}`, "env privileged"},
		{"POST", "/volumes/create", `{"Name":"v"}`, ""},
		{"POST", "/volumes/create", `{"Driver":"nfs"}`, "volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"tmpfs","type":"tmpfs"}}`, "volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"/srv","o":"bind"}}`, "host-path volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":":/srv","type":"nfs","o":"addr=10.0.0.1"}}`, "host-path volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"etc","o":"bind","type":"none"}}`, "engine-socket host-path vitrine-files volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"../etc","o":"ro,rbind","type":"tmpfs"}}`, "engine-socket host-path vitrine-files volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"dev/sda1","type":"ext4"}}`, "engine-socket host-path vitrine-files volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"/srv","type":"proc"}}`, "engine-socket host-path vitrine-files volume-driver"},
		{"POST", "/volumes/create", `{"DriverOpts":{"device":"overlay","type":"overlay","o":"lowerdir=etc:usr"}}`, "engine-socket host-path vitrine-files volume-driver"},
		{"POST", "/volumes/create", `{"ClusterVolumeSpec":{"Group":"x"}}`, "volume-driver"},
		{"PUT", "/volumes/v?version=1", `{"Spec":{"Availability":"drain"}}`, "volume-driver"},
		{"POST", "/networks/create", `{"Name":"n","Driver":"bridge"}`, ""},
		{"POST", "/networks/create", `{"Name":"n","ConfigFrom":{"Network":"m"}}`, "network-driver"},
		{"POST", "/networks/host/connect", `{}`, "host-namespace"},
		{"POST", "/networks/create", `{"Name":"n","Driver":"macvlan","Options":{"parent":"eth0"}}`, "network-driver"},
		{"POST", "/networks/n/connect", `{"Container":"web","EndpointConfig":{"Links":["db:x"]}}`, "link named-network"},
		{"POST", "/build?networkmode=host&extrahosts=a:1&remote=http://x&buildargs={%22A%22:%22b%22}", "", "env extra-hosts host-namespace outbound"},
		{"POST", "/build?remote=client-session&version=2", "", "buildkit outbound"},
		{"POST", "/images/create?fromImage=x", "", "outbound"},
		{"POST", "/images/create?fromSrc=http://x", "", "outbound"},
		{"POST", "/images/create?fromSrc=-", "", ""},
		{"GET", "/images/search?term=x", "", "outbound"},
		{"POST", "/services/create", task(`{"Mounts":[{"Type":"bind","Source":"/run"}]}`), "engine-socket host-path vitrine-files"},
		{"POST", "/services/x/update?version=1", task(`{"CapabilityAdd":["X"],"Sysctls":{"a":"b"},"Groups":["x"],"Hosts":["a"],"Env":["A"],"Secrets":[{}]}`), "cap env extra-hosts group-add swarm-secret sysctl"},
		{"POST", "/services/create", task(`{"Privileges":{"NoNewPrivileges":true,"Seccomp":null}}`), ""},
		{"POST", "/services/create", task(`{"Privileges":{"Seccomp":{"Mode":"unconfined"}}}`), "security-opt"},
		{"POST", "/services/create", `{"TaskTemplate":{"Networks":[{"Target":"host"}],"LogDriver":{"Name":"gelf"}},"EndpointSpec":{"Ports":[{"TargetPort":80}]}}`, "host-namespace host-port log-driver"},
		{"GET", "/containers/x/json", "", "env"},
		{"GET", "/containers/json", "", ""},
		{"GET", "/containers/json?nope=1", "", "unknown-input"},
	} {
		if got := hazards(mustParse(t, request(c.method, c.uri, c.body))); got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.method, c.uri, c.body, got, c.want)
		}
	}
	for _, body := range []string{`{"TaskTemplate":{"Runtime":"plugin"}}`, `{"TaskTemplate":{"PluginSpec":{"Remote":"x"}}}`} {
		if op := mustParse(t, request("POST", "/services/create", body)); op.Rail == "" {
			t.Errorf("%s: no rail", body)
		}
	}
	if op := mustParse(t, request("POST", "/services/create", `{"TaskTemplate":{"Runtime":"container"}}`)); op.Rail != "" {
		t.Errorf("a service of containers: %s", op.Rail)
	}
}

func TestMintsAndEnters(t *testing.T) {
	hub := "image:docker.io/library/%[1]s image:docker.io/%[1]s image:index.docker.io/library/%[1]s image:index.docker.io/%[1]s image:library/%[1]s image:%[1]s"
	for _, c := range []struct{ method, uri, body, mints, enters string }{
		{
			"POST", "/containers/create?name=/web", `{"Image":"a/b:1","Labels":{"k":"v","x=y":"z","n":null}}`,
			"container-gid:* container-uid:* container:web image-id:* image:a/b label:k=v label:n=", "",
		},
		{"POST", "/containers/create", `{"Image":"sha256:abc"}`, "container-gid:* container-uid:* image-id:*", ""},
		{"POST", "/containers/x/rename?name=monitor", "", "container:monitor", "x"},
		{"POST", "/images/x/tag?repo=localhost:5000/x&tag=1", "", "image:localhost:5000/x", ""},
		{"POST", "/images/x/tag?repo=nginx", "", fmt.Sprintf(hub, "nginx"), ""},
		{"POST", "/images/x/tag?repo=docker.io/library/nginx", "", fmt.Sprintf(hub, "nginx"), ""},
		{"POST", "/images/x/tag?repo=index.docker.io/library/nginx", "", fmt.Sprintf(hub, "nginx"), ""},
		{"POST", "/images/x/tag?repo=localhost/x", "", "image:localhost/x", ""},
		{"POST", "/images/x/tag?repo=Reg/x", "", "image:Reg/x", ""},
		{"POST", "/images/x/tag?repo=a.b", "", "image:a.b image:docker.io/a.b image:docker.io/library/a.b image:index.docker.io/a.b image:index.docker.io/library/a.b image:library/a.b", ""}, // no registry without a slash
		{"POST", "/images/x/tag?repo=library/a/b", "", "image:docker.io/library/a/b image:index.docker.io/library/a/b image:library/a/b", ""},
		{"POST", "/images/x/tag?repo=vitrine/monitor:1", "", "image:docker.io/vitrine/monitor image:index.docker.io/vitrine/monitor image:vitrine/monitor", ""},
		{"POST", "/build?t=h:1/a&t=h:1/b:2&outputs=[{%22Type%22:%22image%22,%22Attrs%22:{%22name%22:%22h:1/c%22}}]", "", "container-gid:* container-uid:* image-id:* image:h:1/a image:h:1/b image:h:1/c", ""},
		{"POST", "/build?networkmode=container:x", "", "container-gid:* container-uid:* image-id:*", "x"},
		{"POST", "/commit?container=web&repo=h:1/a", "", "image-id:* image:h:1/a", "web"},
		{"POST", "/images/create?fromImage=h:1/a:2", "", "image-id:* image:h:1/a", ""},
		{"POST", "/images/create?fromSrc=-&repo=h:1/a", "", "image-id:* image:h:1/a", ""},
		{"POST", "/images/load", "", "image-id:* image:*", ""},
		{"POST", "/services/create", `{"Name":"x"}`, "*", ""},
		{"POST", "/plugins/x/set", `["A=b"]`, "*", ""},
		{"POST", "/containers/web/exec", `{}`, "container-gid:* container-uid:*", "web"},
		{"POST", "/exec/e1/start", `{}`, "", "exec:e1"},
		{"POST", "/exec/e1/resize", "", "", "exec:e1"},
		{"GET", "/exec/e1/json", "", "", "exec:e1"},
		{"POST", "/containers/web/attach", "", "container-gid:* container-uid:*", "web"},
		{"GET", "/containers/web/attach/ws", "", "container-gid:* container-uid:*", "web"},
		{"GET", "/containers/web/archive?path=/", "", "", "web"},
		{"HEAD", "/containers/web/archive?path=/", "", "", "web"},
		{"PUT", "/containers/web/archive?path=/", "", "container-gid:* container-uid:*", "web"},
		{"GET", "/containers/web/export", "", "", "web"},
		{"POST", "/containers/web/update", `{}`, "", "web"},
		{"GET", "/containers/web/logs", "", "", ""},
		{"POST", "/containers/web/kill", "", "", ""},
		{"POST", "/networks/n/connect", `{"container":"web"}`, "", "web"},
		{
			"POST", "/containers/create", `{"HostConfig":{"PidMode":"container:a","NetworkMode":"container:b","IpcMode":"container:c","Cgroup":"container:d","VolumesFrom":["e:ro","/f"],"Links":["g:h"]}}`,
			"container-gid:* container-uid:* image-id:*", "a b c d e f g",
		},
	} {
		op := mustParse(t, request(c.method, c.uri, c.body))
		if got := strings.Join(op.Mints, " "); got != c.mints {
			t.Errorf("%s %s mints %q, want %q", c.method, c.uri, got, c.mints)
		}
		if got := strings.Join(op.Enters, " "); got != c.enters {
			t.Errorf("%s %s enters %q, want %q", c.method, c.uri, got, c.enters)
		}
	}
}

func TestTooManyLabelsAreAnyClosed(t *testing.T) {
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, `"k%d":"",`, i)
	}
	for _, labels := range []string{many.String() + `"z":null`, `"a":"` + strings.Repeat("x", 64<<10) + `"`} {
		op := mustParse(t, request("POST", "/containers/create", `{"Labels":{`+labels+`}}`))
		if got := strings.Join(op.Mints, " "); got != "container-gid:* container-uid:* image-id:* label:*" {
			t.Errorf("mints %.200q", got)
		}
	}
}

func TestHostPaths(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Binds":["/b:/x","named:/y","/b:/z"],
		"Mounts":[{"Type":"bind","Source":"/c"},{"Type":"volume","Source":"v2","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind","device":"/d"}}}}],
		"Devices":[{"PathOnHost":"/dev/e"}]}}`))
	want := []string{"/b", "/c", "/d", "/dev/e", "volume:named", "volume:v2"}
	if !slices.Equal(op.HostPath, want) {
		t.Errorf("%v, want %v", op.HostPath, want)
	}
}

func BenchmarkParse(b *testing.B) {
	plain := plainCreate(b)
	for i := range 30 { // as long as what compose sends
		plain = strings.Replace(plain, `"Labels":{`, fmt.Sprintf(`"Labels":{"com.example.service.%02d":"value",`, i), 1)
	}
	plain = strings.Replace(plain, ",}", "}", 1)
	for _, c := range []struct{ name, method, uri, body string }{
		{"ping", "HEAD", "/_ping", ""},
		{"list", "GET", "/v1.41/containers/json", ""},
		{"list filters", "GET", "/v1.41/containers/json?all=1&filters=%7B%22status%22%3A%5B%22running%22%5D%7D", ""},
		{"inspect", "GET", "/v1.41/containers/0123456789abcdef/json", ""},
		{fmt.Sprintf("create %d bytes", len(plain)), "POST", "/v1.41/containers/create?name=web", plain},
	} {
		req := request(c.method, c.uri, c.body)
		req.Header.Set("User-Agent", "Docker-Client/28.0 (linux)")
		req.Header.Set("Accept", "*/*")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
