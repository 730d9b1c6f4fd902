package operation

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inspected is what ContainerInspect answers of a container, as far as those who
// make it anew read it.
type inspected struct {
	Name               string
	Config, HostConfig map[string]any
	NetworkSettings    struct{ Networks map[string]any }
}

// recreate is the create that Watchtower and Portainer make of it: all that was
// shown is sent back.
func (i *inspected) recreate(t *testing.T) string {
	body := maps.Clone(i.Config)
	body["HostConfig"] = i.HostConfig
	body["NetworkingConfig"] = map[string]any{"EndpointsConfig": i.NetworkSettings.Networks}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRecreateHasNoHazard: of containers that `docker run -d` made on engines with
// cgroup v1, and of one with --log-opt max-size, --memory and --restart.
func TestRecreateHasNoHazard(t *testing.T) {
	files, err := filepath.Glob("testdata/inspect-*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var containers map[string]*inspected
		if err := json.Unmarshal(text, &containers); err != nil {
			t.Fatal(err)
		}
		for name, c := range containers {
			ask := func(engine *Engine) *Operation {
				req := request("POST", "/containers/create?name="+strings.TrimPrefix(c.Name, "/"), c.recreate(t))
				req.Engine = engine
				return mustParse(t, req)
			}
			version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "inspect-"), ".json")
			op := ask(&Engine{Version: version, Runtime: "runc", LogDriver: "json-file", HostCgroupns: true})
			if len(op.Hazards) > 0 || len(op.Unknown) > 0 {
				t.Errorf("%s of %s: %v %v", name, file, op.HazardFields, op.Unknown)
			}
			// Of an engine of which nothing is known, or that has others.
			for _, other := range []*Engine{nil, {Runtime: "runsc", LogDriver: "local"}, {Version: "29.0.0"}} {
				want := "host-namespace runtime"
				if version != "28.5.2" {
					want += " unmasked"
				}
				if got := hazards(ask(other)); got != want {
					t.Errorf("%s of %s, engine %v: %q", name, file, other, got)
				}
			}
			connect := mustParse(t, request("POST", "/networks/bridge/connect", `{"Container":"x","EndpointConfig":`+endpoint(t, c)+`}`))
			if len(connect.Hazards) > 0 {
				t.Errorf("%s of %s, connected: %v", name, file, connect.HazardFields)
			}
		}
	}
}

func endpoint(t *testing.T, c *inspected) string {
	text, err := json.Marshal(c.NetworkSettings.Networks["bridge"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDefaultsOfTheEngineClosed: what is its default elsewhere is none here.
func TestDefaultsOfTheEngineClosed(t *testing.T) {
	for _, c := range []struct {
		engine *Engine
		host   string
		want   string
	}{
		{nil, `"CgroupnsMode":"host"`, "host-namespace"},
		{&Engine{HostCgroupns: true}, `"CgroupnsMode":"host"`, ""},
		{&Engine{HostCgroupns: true}, `"CgroupnsMode":"HOST"`, "host-namespace"},
		{&Engine{HostCgroupns: true}, `"PidMode":"host"`, "host-namespace"},
		{nil, `"Runtime":"runc"`, "runtime"},
		{&Engine{Runtime: "runc"}, `"Runtime":"runc"`, ""},
		{&Engine{Runtime: "runc"}, `"Runtime":"kata"`, "runtime"},
		{&Engine{Runtime: "runsc"}, `"Runtime":"runc"`, "runtime"},
		{&Engine{Runtime: "runsc"}, `"Runtime":"runsc"`, ""},
		{nil, `"LogConfig":{"Type":"journald"}`, "log-driver"},
		{&Engine{LogDriver: "journald"}, `"LogConfig":{"Type":"journald","Config":{"tag":"x"}}`, ""},
		{&Engine{LogDriver: "gelf"}, `"LogConfig":{"Type":"gelf","Config":{"gelf-address":"udp://x"}}`, "log-driver"},
	} {
		req := request("POST", "/containers/create", `{"HostConfig":{`+c.host+`}}`)
		req.Engine = c.engine
		if got := hazards(mustParse(t, req)); got != c.want {
			t.Errorf("%s, engine %v: %q, want %q", c.host, c.engine, got, c.want)
		}
	}
}

// TestOlderListOfMaskedPathsClosed: the list that an older Engine has by default is none
// of the daemon's, unless that is as old.
func TestOlderListOfMaskedPathsClosed(t *testing.T) {
	of2019 := maskedPaths
	of2023 := append(slices.Clip(of2019), "/sys/devices/virtual/powercap")
	of2025 := append(slices.Clip(of2023), "/proc/interrupts")
	for version, shortest := range map[string][]string{
		"19.03.15": of2019, "20.10.24+dfsg1": of2019, "20.10.26": of2019, "20.10.27": of2023, "20.10.27+dfsg1": of2023, "22.6.0": of2019, "23.0.7": of2019,
		"23.0.8": of2023, "24.0.6": of2019, "24.0.7": of2023, "25.0.0": of2023, "26.1.5+dfsg1": of2023, "28.0.1": of2023, "28.0.2": of2025,
		"28.5.2": of2025, "29.0.0-rc.1": of2025, "30.1.0": of2025,
		"": of2025, "dev": of2025, "library-import": of2025, "20.10": of2025, "20.10.x": of2025, "-1.2.3": of2025, "5.4.2": of2025, "1.13.1": of2025, "0.0.0-20260101000000-abcdef": of2025,
	} {
		for _, list := range [][]string{of2019, of2023, of2025} {
			req := request("POST", "/containers/create", `{"HostConfig":{"MaskedPaths":["`+strings.Join(list, `","`)+`"]}}`)
			req.Engine = &Engine{Version: version}
			want := ""
			if len(list) < len(shortest) {
				want = "unmasked"
			}
			if got := hazards(mustParse(t, req)); got != want {
				t.Errorf("%d paths on engine %q: %q, want %q", len(list), version, got, want)
			}
		}
	}
}

// TestNetworksOfOthersClosed: the names and addresses that a container takes, and
// the network whose id counts more than its name.
func TestNetworksOfOthersClosed(t *testing.T) {
	for _, c := range []struct{ uri, body, want string }{
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"NetworkID":"0f","IPAddress":"172.17.0.2"}}}}`, ""},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"x":{"NetworkID":"host"}}}}`, "host-namespace named-network"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"":{"NetworkID":"0f"}}}}`, "named-network"},
		{"/networks/bridge/connect", `{"Container":"x","EndpointConfig":{"NetworkID":"0f"}}`, ""},
		{"/networks/x/connect", `{"Container":"x","EndpointConfig":{"NetworkID":"host"}}`, "host-namespace named-network"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"MacAddress":"02:42:ac:11:00:02"}}}}`, "network-address"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"MacAddress":"02:42:ac:11:00:02","EndpointID":"0f"}}}}`, ""},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"EndpointID":"0f","IPAMConfig":{"IPv4Address":"172.17.0.3"}}}}}`, "network-address"},
		{"/networks/create", `{"Name":"n","IPAM":{"Config":[{"Subnet":"8.8.8.0/24"}]}}`, "network-address"},
		{"/networks/create", `{"Name":"n","IPAM":{"Driver":"default","Config":[{}],"Options":{}},"Options":{},"Scope":"local","EnableIPv4":true}`, ""},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"DNSNames":["db"]}}}}`, "named-network"},
		{"/networks/bridge/connect", `{"Container":"x","EndpointConfig":{"dnsnames":["db"]}}`, "named-network"},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"bridge":{"DNSNames":null,"Aliases":[]}}}}`, ""},
		{"/networks/x/disconnect", `{"Container":"x"}`, ""},
	} {
		if got := hazards(mustParse(t, request("POST", c.uri, c.body))); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.uri, c.body, got, c.want)
		}
	}
}

func TestUnknownInputHasNoField(t *testing.T) {
	op := mustParse(t, request("POST", "/networks/x/connect", `{"Container":"x","Nope":1}`))
	if got := hazards(op); got != "named-network unknown-input" || len(op.HazardFields[HazardUnknownInput]) > 0 {
		t.Errorf("%s of %v", got, op.HazardFields)
	}
}

// TestProcessOfAChosenUserMintsClosed: whoever makes a process with a user of its
// choice becomes that user.
func TestProcessOfAChosenUserMintsClosed(t *testing.T) {
	const anyone = "container-gid:* container-uid:*"
	for _, c := range []struct{ method, uri, body, want string }{
		{"POST", "/containers/x/exec", `{}`, anyone}, // whoever the container's own user is
		{"POST", "/containers/x/exec", `{"User":""}`, anyone},
		{"POST", "/containers/x/exec", `{"User":null}`, anyone},
		{"POST", "/containers/x/attach?stream=1&stdin=1", "", anyone},
		{"GET", "/containers/x/attach/ws?stream=1", "", anyone},
		{"POST", "/containers/x/exec", `{"User":"1000"}`, "container-gid:* container-uid:1000"},
		{"POST", "/containers/x/exec", `{"User":"01000:+20"}`, "container-gid:20 container-uid:1000"},
		{"POST", "/containers/x/exec", `{"User":"1000:staff"}`, "container-gid:* container-uid:1000"},
		{"POST", "/containers/x/exec", `{"User":"app"}`, anyone},
		{"POST", "/containers/x/exec", `{"User":":1000"}`, anyone},
		{"POST", "/containers/x/exec", `{"User":"0:0"}`, anyone},
		{"POST", "/containers/x/exec", `{"User":"-1"}`, anyone},
		{"POST", "/containers/x/exec", `{"User":"99999999999999999999"}`, anyone},
		{"POST", "/containers/x/exec", `{"Privileged":true}`, anyone},
		{"POST", "/containers/create", `{"User":"1000"}`, anyone + " image-id:*"},
		{"POST", "/build", "", anyone + " image-id:*"},
		{"PUT", "/containers/x/archive?path=/etc", "", anyone},
	} {
		req := request(c.method, c.uri, c.body)
		req.Engine = &Engine{HostUsers: true}
		got := mustParse(t, req).Mints
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %s mints %q, want %q", c.uri, c.body, got, c.want)
		}
	}
	if got := strings.Join(mustParse(t, request("POST", "/containers/x/exec", `{"User":"1000"}`)).Mints, " "); got != anyone {
		t.Errorf("where users may have other numbers on the host: %q", got)
	}
}
