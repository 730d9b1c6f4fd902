package operation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestClosedBurdens: what the daemon does for a container with its own time and memory is bounded, whether a request or an image asks for it.
func TestClosedBurdens(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	words := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"`+long[:1<<10]+`",`, n), ",") }
	ports := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"%d/tcp":{}`, i+1))
		}
		return strings.Join(all, ",")
	}
	volumes := func(n int) string {
		return strings.NewReplacer(`/tcp"`, `"`, `,"`, `,"/`).Replace(`"/0":{},` + ports(n-1))
	}
	for config, want := range map[string]string{
		`{"Cmd":["` + long + `x"]}`:                                    "Cmd",
		`{"Cmd":"` + long + `x"}`:                                      "Cmd",
		`{"Cmd":["sh",` + words(64) + `]}`:                             "Cmd",
		`{"Cmd":["sh",` + words(63) + `]}`:                             "",
		`{"Entrypoint":["` + long + `x"]}`:                             "Entrypoint",
		`{"Entrypoint":["sh",` + words(64) + `]}`:                      "Entrypoint",
		`{"WorkingDir":"/` + long + `"}`:                               "WorkingDir",
		`{"ExposedPorts":{"1-1001/tcp":{}}}`:                           "ExposedPorts",
		`{"ExposedPorts":{"1-500/tcp":{},"1-501":{}}}`:                 "ExposedPorts",
		`{"ExposedPorts":{"9-1/tcp":{}}}`:                              "ExposedPorts",
		`{"ExposedPorts":{"x-5/tcp":{}}}`:                              "ExposedPorts",
		`{"ExposedPorts":{"65535-70000/tcp":{}}}`:                      "ExposedPorts",
		`{"ExposedPorts":{"8000-8010/tcp":{},"80-80/tcp":{}}}`:         "",
		`{"Cmd":[` + words(64) + `]}`:                                  "",
		`{"ExposedPorts":{"1-x/tcp":{}}}`:                              "ExposedPorts",
		`{"ExposedPorts":{"1-65536/udp":{}}}`:                          "ExposedPorts",
		`{"ExposedPorts":{` + ports(1001) + `}}`:                       "ExposedPorts",
		`{"ExposedPorts":{` + ports(999) + `,"5000/udp":{}}}`:          "",
		`{"Healthcheck":{"Test":["CMD","` + long + `x"]}}`:             "Healthcheck.Test",
		`{"Healthcheck":{"Test":["CMD-SHELL","` + long + `x"]}}`:       "",
		`{"Healthcheck":{"Test":["CMD","sh","-c",` + words(64) + `]}}`: "Healthcheck.Test",
		`{"Healthcheck":{"Test":["CMD-SHELL",` + words(64) + `]}}`:     "Healthcheck.Test",
		`{"Healthcheck":{"Test":["CMD","sh","-c",` + words(63) + `]}}`: "",
		`{"Healthcheck":{"Interval":999999999}}`:                       "Healthcheck.Interval",
		`{"Healthcheck":{"Interval":-1}}`:                              "Healthcheck.Interval",
		`{"Healthcheck":{"Interval":1e6}}`:                             "Healthcheck.Interval",
		`{"Healthcheck":{"StartInterval":1000000}}`:                    "Healthcheck.StartInterval",
		`{"Volumes":{` + volumes(101) + `}}`:                           "Volumes",
		`{"Volumes":{` + volumes(100) + `}}`:                           "",
		`{"Volumes":{"/` + strings.Repeat(long, 4) + `":{}}}`:          "Volumes",
		`{"Healthcheck":{"Interval":0,"StartInterval":1000000000}}`:    "",
		`{"Healthcheck":null,"ExposedPorts":null,"Entrypoint":null}`:   "",
	} {
		op := mustParse(t, request("POST", "/containers/create", config))
		if got := strings.Join(op.HazardFields[HazardLimits], " "); got != want {
			t.Errorf("a request for %.80s: %q, want %q", config, got, want)
		}
		if got, err := ReadImageConfig([]byte(config)); strings.Join(got.Burdens, " ") != want || err != nil {
			t.Errorf("an image of %.80s: %q (%v), want %q", config, got.Burdens, err, want)
		}
	}
	if got, err := ReadImageConfig([]byte(`{"WorkingDir":"` + long + `x","Labels":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`)); !slices.Equal(got.Burdens, []string{"Labels", "WorkingDir"}) || err != nil {
		t.Errorf("labels of an image: %q, %v", got.Burdens, err)
	}
	for owner, want := range map[string]bool{"": false, "uid:1": true} {
		if got, err := ReadImageConfig([]byte(`{"Labels":{"` + OwnerLabel + `":"` + owner + `"}}`)); got.Owns != want || len(got.Burdens) > 0 || err != nil {
			t.Errorf("whose: %v, %v", got, err)
		}
	}
	if got, err := ReadImageConfig([]byte(`{"Volumes":{"/b":{},"/a":{}}}`)); !slices.Equal(got.Volumes, []string{"/a", "/b"}) || err != nil {
		t.Errorf("volumes of an image: %q, %v", got.Volumes, err)
	}
	if got, err := ReadImageConfig([]byte(`null`)); len(got.Burdens)+len(got.Volumes) > 0 || err != nil {
		t.Errorf("an image without a configuration: %v, %v", got, err)
	}
	if got, err := ReadImageConfig([]byte(`[]`)); err == nil {
		t.Errorf("what is none: %v", got)
	}
}

// TestClosedExecIsKept: the daemon keeps an exec that is not started as long as its container runs.
func TestClosedExecIsKept(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for body, want := range map[string]string{
		`{"Cmd":["` + long + `x"]}`:                                   "limits",
		`{"Cmd":["sh","` + strings.Repeat(long, 8) + `"]}`:            "limits",
		`{"Cmd":["sh"],"WorkingDir":"/` + long + `"}`:                 "limits",
		`{"Env":["A=` + strings.Repeat(long, 8) + `"]}`:               "env limits",
		`{"Cmd":["sh","-c","` + long + long + `"],"Env":[]}`:          "",
		`{"Cmd":["sh"],"WorkingDir":"/srv","Env":["A=` + long + `"]}`: "env",
	} {
		if got := hazards(mustParse(t, request("POST", "/containers/x/exec", body))); got != want {
			t.Errorf("%.60s: %q, want %q", body, got, want)
		}
	}
}

// TestClosedManyMounts: each list has them, and the daemon makes a volume for each that names none.
func TestClosedManyMounts(t *testing.T) {
	all := func(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	long := strings.Repeat("x", 16<<10)
	const tmpfs, unnamed, named = `{"Type":"tmpfs","Target":"/x"}`, `{"Type":"volume","Target":"/x"}`, `{"Type":"volume","Source":"v","Target":"/x"}`
	for body, want := range map[string]string{
		`{"HostConfig":{"Mounts":[` + all(tmpfs, 256) + `]}}`:                                                                  "",
		`{"HostConfig":{"Mounts":[` + all(tmpfs, 257) + `]}}`:                                                                  "HostConfig.Mounts",
		`{"HostConfig":{"Mounts":[` + all(`{"Type":"tmpfs","Target":"/`+long[1:]+`"}`, 4) + `]}}`:                              "HostConfig.Mounts",
		`{"HostConfig":{"Mounts":[` + all(unnamed, 100) + `]}}`:                                                                "",
		`{"HostConfig":{"Mounts":[` + all(unnamed, 101) + `]}}`:                                                                "HostConfig.Mounts",
		`{"HostConfig":{"Mounts":[` + all(named, 101) + `]}}`:                                                                  "",
		`{"HostConfig":{"Binds":[` + all(`"/x"`, 100) + `]}}`:                                                                  "",
		`{"HostConfig":{"Binds":[` + all(`"/x"`, 101) + `]}}`:                                                                  "HostConfig.Binds",
		`{"HostConfig":{"Binds":[` + all(`"v:/x"`, 256) + `]}}`:                                                                "",
		`{"HostConfig":{"Binds":[` + all(`"v:/x"`, 257) + `]}}`:                                                                "HostConfig.Binds",
		`{"HostConfig":{"Binds":[` + all(`"/`+long[1:]+`"`, 5) + `]}}`:                                                         "HostConfig.Binds",
		`{"Volumes":{"/y":{}},"HostConfig":{"Binds":[` + all(`"/x"`, 99) + `]}}`:                                               "",
		`{"Volumes":{"/y":{}},"HostConfig":{"Binds":[` + all(`"/x"`, 100) + `]}}`:                                              "HostConfig.Binds",
		`{"Volumes":{"/y":{}},"HostConfig":{"Binds":[` + all(`"/x"`, 49) + `],"Mounts":[` + all(unnamed, 51) + `]}}`:           "HostConfig.Mounts",
		`{"Volumes":{"/y":{}},"HostConfig":{"Binds":[` + all(`"/x"`, 49) + `],"Mounts":[` + all(unnamed+","+named, 50) + `]}}`: "",
	} {
		op := mustParse(t, request("POST", "/containers/create", body))
		if got := strings.Join(op.HazardFields[HazardLimits], " "); got != want {
			t.Errorf("%.120s: %q, want %q", body, got, want)
		}
	}
}

// TestClosedLongNetworks: each list has what was said of the networks of a container that does not run.
func TestClosedLongNetworks(t *testing.T) {
	for n, want := range map[int]string{60 << 10: "", 64 << 10: "limits"} {
		endpoint := `{"Gateway":"` + strings.Repeat("x", n) + `"}`
		if got := hazards(mustParse(t, request("POST", "/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"none":`+endpoint+`}}}`))); got != want {
			t.Errorf("a container with %d bytes: %q, want %q", n, got, want)
		}
		if got := hazards(mustParse(t, request("POST", "/networks/bridge/connect", `{"Container":"x","EndpointConfig":`+endpoint+`}`))); got != want {
			t.Errorf("a connection with %d bytes: %q, want %q", n, got, want)
		}
	}
}

// TestClosedSlowStart: with less than a hundredth of a processor a start takes the runtime half a minute, and holds everybody's prune.
func TestClosedSlowStart(t *testing.T) {
	for config, want := range map[string]string{
		`{"CpuQuota":1000,"CpuPeriod":1000000}`:  "limits",
		`{"CpuQuota":9999,"CpuPeriod":1000000}`:  "limits",
		`{"CpuQuota":10000,"CpuPeriod":1000000}`: "",
		`{"CpuQuota":999}`:                       "limits",
		`{"CpuQuota":1000}`:                      "",
		`{"CpuQuota":-1,"CpuPeriod":1000000}`:    "",
		`{"CpuQuota":0,"CpuPeriod":0}`:           "",
		`{"NanoCpus":10000000}`:                  "",
		`{"CpuQuota":1e3,"CpuPeriod":1000000}`:   "limits",
	} {
		if got := hazards(mustParse(t, request("POST", "/containers/create", `{"HostConfig":`+config+`}`))); got != want {
			t.Errorf("%s: %q, want %q", config, got, want)
		}
	}
	for query, want := range map[string]string{"cpuquota=1000&cpuperiod=1000000": "limits", "cpuquota=1000": "", "cpuquota=-1&cpuperiod=1000000": ""} {
		if got := strings.Join(mustParse(t, request("POST", "/build?"+query, "")).HazardFields[HazardLimits], " "); (got == "?cpuquota") != (want != "") {
			t.Errorf("a build with %s: %q", query, got)
		}
	}
	for config, want := range map[string]string{
		`{"CpuQuota":9999}`:                     "limits", // what the period is nobody says
		`{"CpuQuota":10000}`:                    "",
		`{"CpuPeriod":1000000}`:                 "limits",
		`{"CpuPeriod":100000}`:                  "",
		`{"CpuQuota":1000,"CpuPeriod":1000000}`: "limits",
		`{"CpuQuota":1000,"CpuPeriod":100000}`:  "",
		`{"Memory":9000000}`:                    "",
	} {
		if got := hazards(mustParse(t, request("POST", "/containers/x/update", config))); got != want {
			t.Errorf("update %s: %q, want %q", config, got, want)
		}
	}
}

// TestClosedTextsOfANetwork: they are in each list of networks, and nobody counts some of these.
func TestClosedTextsOfANetwork(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for body, want := range map[string]string{
		`{"Name":"` + long + `x"}`:                     "limits",
		`{"Name":"x","Scope":"` + long + `x"}`:         "limits",
		`{"Name":"` + long + `","ConfigOnly":true}`:    "",
		`{"Name":"x","Labels":{"a":"` + long + `xx"}}`: "",
	} {
		if got := hazards(mustParse(t, request("POST", "/networks/create", body))); got != want {
			t.Errorf("%.60s: %q, want %q", body, got, want)
		}
	}
}

// TestClosedTextsOfAnImage: labels are in each list of images, and in each event about one; all else is in its history.
func TestClosedTextsOfAnImage(t *testing.T) {
	text := strings.Repeat("x", 16<<10)
	few, many := url.QueryEscape(`{"a":"`+text+`"}`), url.QueryEscape(`{"a":"`+strings.Repeat(text, 4)+`"}`)
	for uri, want := range map[string]string{
		"/build?labels=" + few:                                 "",
		"/build?labels=" + many:                                "?labels",
		"/commit?author=" + text:                               "",
		"/commit?author=x" + text:                              "?author",
		"/commit?comment=x" + text:                             "?comment",
		"/commit?changes=LABEL+a%3D" + text:                    "",
		"/commit?changes=LABEL+a%3D" + strings.Repeat(text, 4): "?changes",
		"/commit?changes=" + strings.Repeat(text, 4):           "",
		"/commit?changes=CMD+" + text + "&changes=LABEL+a%3D" + strings.Repeat(text, 3): "?changes",
		"/images/create?fromSrc=-&message=" + text:                                      "",
		"/images/create?fromSrc=-&message=x" + text:                                     "?message",
		"/images/create?fromSrc=-&changes=LABEL+a%3D" + strings.Repeat(text, 4):         "?changes",
	} {
		op := mustParse(t, request("POST", uri, ""))
		if got := strings.Join(op.HazardFields[HazardLimits], " "); got != want {
			t.Errorf("%.60s: %q, want %q", uri, got, want)
		}
	}
	for n, want := range map[int]string{3: "", 4: "Labels"} {
		op := mustParse(t, request("POST", "/commit?container=x", `{"Labels":{"a":"`+strings.Repeat(text, n)+`"}}`))
		if got := strings.Join(op.HazardFields[HazardLimits], " "); got != want {
			t.Errorf("commit of %d KiB of labels: %q, want %q", 16*n, got, want)
		}
	}
}

// TestClosedTextsOfAService: they are in each list of services, and of tasks. A command, variables and labels are judged by themselves.
func TestClosedTextsOfAService(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for task, want := range map[string]string{
		`"ContainerSpec":{"Dir":"/` + long + `"}`:                                     "TaskTemplate.ContainerSpec.Dir",
		`"ContainerSpec":{"User":"` + long + `x"}`:                                    "TaskTemplate.ContainerSpec.User",
		`"ContainerSpec":{"Hostname":"` + long + `x"}`:                                "TaskTemplate.ContainerSpec.Hostname",
		`"ContainerSpec":{"Mounts":[{"Type":"tmpfs","Target":"/` + long + `"}]}`:      "TaskTemplate.ContainerSpec.Mounts",
		`"Placement":{"Constraints":["` + long + `x"]}`:                               "TaskTemplate.Placement",
		`"ContainerSpec":{"User":"` + long + `","Args":["-c","` + long + long + `"]}`: "",
	} {
		op := mustParse(t, request("POST", "/services/create", `{"Name":"x","TaskTemplate":{`+task+`}}`))
		if got := strings.Join(op.HazardFields[HazardLimits], " "); got != want {
			t.Errorf("%.80s: %q, want %q", task, got, want)
		}
	}
}
