package bypass

import (
	"fmt"
	"strings"
)

// privileged is what nobody here may have.
const privileged = `{"Image":"bb:1","HostConfig":{"Privileged":true}}`

// create is an attempt on the default path: by a caller that may not create, and
// by one that may create but takes no hazard.
func create(number, name, body, why string) request {
	return request{
		number: number, name: name, as: []role{look, creator},
		method: "POST", uri: "/v1.41/containers/create?name=evil", body: body, why: why,
	}
}

// with changes a request.
func (r request) with(change func(r *request)) request {
	change(&r)
	return r
}

func header(h ...string) func(r *request) { return func(r *request) { r.header = h } }

func code(code string) func(r *request) { return func(r *request) { r.code = code } }

func uri(uri string) func(r *request) { return func(r *request) { r.uri = uri } }

// padded is a privileged create of n bytes more.
func padded(n int) string {
	return `{"Image":"bb:1","Env":["PAD=` + strings.Repeat("x", n) + `"],"HostConfig":{"Privileged":true}}`
}

// Requests for a container with more rights than the caller may give.
var createRequests = []request{
	create("3", "body over 1 MiB, which engines did not show", padded(1100<<10), "hazards privileged"),
	create("3", "body over 4 MiB", padded(4<<20), "").with(func(r *request) { r.daemon = 500 }),
	create("4", "chunked body", privileged, "hazards privileged").with(func(r *request) { r.length = "chunked" }),
	create("4", "length 0 before a body", "", "needs a JSON body").with(func(r *request) {
		r.header, r.length, r.behind, r.code = []string{"Content-Type: application/json"}, "0", privileged, "body-missing"
	}),
	create("4", "length and chunked", "", "").with(func(r *request) {
		r.raw = fmt.Sprintf("POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"+
			"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(privileged), privileged)
		r.method, r.why = "", "hazards privileged"
	}),
	create("4", "two lengths", "", "").with(func(r *request) {
		r.raw = fmt.Sprintf("POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"+
			"Content-Length: 2\r\nContent-Length: %d\r\n\r\n%s", len(privileged), privileged)
		r.method, r.want, r.daemon = "", malformed, 400
	}),
	create("4", "another transfer encoding", "", "").with(func(r *request) {
		r.raw = fmt.Sprintf("POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"+
			"Transfer-Encoding: identity, chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(privileged), privileged)
		r.method, r.want, r.daemon = "", malformed, 501
	}),
	create("5", "charset", privileged, "hazards privileged").with(header("Content-Type: application/json; charset=utf-8")),
	create("5", "upper case", privileged, "hazards privileged").with(header("Content-Type: Application/JSON")),
	create("5", "two headers", privileged, "more than one Content-Type").
		with(header("Content-Type: application/json", "Content-Type: text/plain")).with(code("content-type")),
	create("5", "two headers, the other way", privileged, "more than one Content-Type").
		with(header("Content-Type: text/plain", "Content-Type: application/json")).with(code("content-type")),
	create("5", "another type", privileged, "must be application/json").
		with(header("Content-Type: text/plain")).with(code("body-type")).with(func(r *request) { r.daemon = 400 }),
	create("5", "encoded body", privileged, "Content-Encoding").
		with(header("Content-Type: application/json", "Content-Encoding: gzip")).with(code("content-encoding")),
	create("6", "query that ends in /auth", privileged, "hazards privileged (HostConfig.Privileged), unknown-input (?x)").with(uri("/v1.41/containers/create?x=/auth")),
	create("6", "query that ends in /auth, harmless body", `{"Image":"bb:1"}`, "hazards unknown-input").with(uri("/v1.41/containers/create?x=/auth")),
	create("7", "lower case", `{"image":"bb:1","hostconfig":{"privileged":true}}`, "hazards privileged"),
	create("7", "image twice", `{"Image":"bb:1","image":"secret:1"}`, "twice").with(code("body-duplicate-key")),
	create("7", "key twice", `{"Image":"bb:1","HostConfig":{"Privileged":false,"Privileged":true}}`, "twice").with(code("body-duplicate-key")),
	create("7", "objects that replace", `{"Image":"bb:1","HostConfig":{"Privileged":false},"hostconfig":{"privileged":true}}`, "twice").with(code("body-duplicate-key")),
	create("7", "objects that merge", `{"Image":"bb:1","hostconfig":{"privileged":true},"HostConfig":{"Binds":[]}}`, "twice").with(code("body-duplicate-key")),
	create("7", "null that erases", `{"Image":"bb:1","HostConfig":{"Privileged":true},"hostConfig":null}`, "twice").with(code("body-duplicate-key")),
	create("8", "long s", `{"Image":"bb:1","ho`+"\u017f"+`tconfig":{"Privileged":true}}`, "hazards privileged"),
	create("8", "long s, escaped", `{"Image":"bb:1","ho\u017ftconfig":{"Privileged":true}}`, "hazards privileged"),
	create("8", "long s beside the plain key", `{"Image":"bb:1","HostConfig":{},"ho`+"\u017f"+`tconfig":{"Privileged":true}}`, "twice").with(code("body-duplicate-key")),
	create("8", "Kelvin sign", `{"Image":"bb:1","HostConfig":{"Networ`+"\u212a"+`Mode":"host"}}`, "hazards host-namespace"),
	create("9", "second document", `{"Image":"bb:1"}`+privileged, "").with(code("body-trailing")),
	create("9", "brace behind", privileged+"}", "").with(code("body-trailing")),
	create("9", "bracket behind", privileged+" ]", "").with(code("body-trailing")),
	create("11", "encoded path", privileged, "hazards privileged").with(uri("/%63ontainers/create")),
	create("11", "encoded version", privileged, "hazards privileged").with(uri("/%76%31.41/containers/create")),
	create("11", "encoded slash", privileged, "hazards privileged").with(uri("/v1.41%2fcontainers%2Fcreate")),
	create("11", "encoded twice", privileged, "").with(uri("/%2563ontainers/create")).with(code("path-encoding")).with(daemon(404)),
	create("12", "absolute form", privileged, "hazards privileged").with(uri("http://evil.example/v1.41/containers/create")),
	create("13", "version with a zero", privileged, "").with(uri("/v1.041/containers/create")).with(code("path-version")),
	create("13", "version with a zero in front", privileged, "").with(uri("/v01.41/containers/create")).with(code("path-version")),
	create("13", "version with a dot", privileged, "").with(uri("/v1.41./containers/create")).with(code("path-version")),
	create("13", "version with four parts", privileged, "").with(uri("/v1.41.0.0/containers/create")).with(code("path-version")),
	create("13", "version of dots", privileged, "").with(uri("/v.../containers/create")).with(code("path-version")),
	create("14", "two slashes", privileged, "").with(uri("//containers/create")).with(code("path-not-canonical")).with(daemon(301)),
	create("14", "dot", privileged, "").with(uri("/./containers/create")).with(code("path-not-canonical")).with(daemon(301)),
	create("14", "parent", privileged, "").with(uri("/v1.41/../containers/create")).with(code("path-not-canonical")).with(daemon(301)),
	create("14", "encoded parent", privileged, "").with(uri("/v1.41/%2e%2e/containers/create")).with(code("path-not-canonical")).with(daemon(301)),
	create("21", "bind", `{"Image":"bb:1","HostConfig":{"Binds":["/:/host"]}}`,
		"hazards engine-socket (HostConfig.Binds), host-path (HostConfig.Binds), vitrine-files (HostConfig.Binds)"),
	create("21", "mount", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]}}`,
		"hazards engine-socket (HostConfig.Mounts[].Source), host-path (HostConfig.Mounts[].Source), vitrine-files"),
	create("21", "driver of a mount", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"volume","Target":"/host","VolumeOptions":`+
		`{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]}}`, "volume-driver"),
	create("21", "volumes of another", `{"Image":"bb:1","HostConfig":{"VolumesFrom":["web"]}}`, "hazards volumes-from"),
	create("21", "named volume", `{"Image":"bb:1","HostConfig":{"Binds":["data:/data"]}}`, "hazards named-volume"),
	create("21", "device", `{"Image":"bb:1","HostConfig":{"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}]}}`, "hazards devices"),
	create("21", "symbolic link", `{"Image":"bb:1","HostConfig":{"Binds":["/proc/self/root:/host"]}}`, "hazards engine-socket (HostConfig.Binds), host-path"),
	create("41", "host configuration at the top", `{"Image":"bb:1","Privileged":true,"Binds":["/:/host"]}`, "unknown-input"),
	create("41", "host configuration at the top, API 1.24", `{"Image":"bb:1","Privileged":true,"Binds":["/:/host"]}`, "unknown-input").with(uri("/v1.24/containers/create")),
	create("41", "host configuration at the top, lower case", `{"Image":"bb:1","privileged":true}`, "unknown-input"),
	create("42", "cluster options of a mount", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"cluster","Source":"v","Target":"/v","ClusterOptions":{}}]}}`, "volume-driver"),
	create("42", "unknown key", `{"Image":"bb:1","HostConfig":{"NextYearsPrivileged":true}}`, "unknown-input"),
	create("46", "nested in another's cgroup", `{"Image":"bb:1","HostConfig":{"CgroupParent":"/docker/{monitor}"}}`, "hazards cgroup-parent"),
	create("49", "the gateway's folder", `{"Image":"bb:1","HostConfig":{"Binds":["/run/vitrine/docker:/run/vitrine/docker"]}}`, "vitrine-files"),
	create("49", "the plugin's folder", `{"Image":"bb:1","HostConfig":{"Binds":["/run/docker/plugins:/x"]}}`, "vitrine-files"),
	create("50", "another's processes", `{"Image":"bb:1","HostConfig":{"PidMode":"container:monitor"}}`, "hazards joined-namespace"),
	create("50", "another's volumes", `{"Image":"bb:1","HostConfig":{"VolumesFrom":["monitor"]}}`, "hazards volumes-from"),
	create("50", "another's name", `{"Image":"bb:1"}`, "container:monitor is bound to role monitor").with(uri("/v1.41/containers/create?name=/monitor")),
	create("50", "another's label", `{"Image":"bb:1","Labels":{"vitrine.role":"monitor"}}`, "is bound to role monitor"),

	create("P6", "escaped key", `{"Image":"bb:1","HostConfig":{"Pri\u0076ileged":true}}`, "hazards privileged"),
	create("P6", "escaped value", `{"Image":"bb:1","HostConfig":{"NetworkMode":"\u0068ost"}}`, "hazards host-namespace"),
	create("P7", "capability", `{"Image":"bb:1","HostConfig":{"CapAdd":["SYS_ADMIN"]}}`, "hazards cap"),
	create("P7", "the host's processes", `{"Image":"bb:1","HostConfig":{"PidMode":"host"}}`, "hazards host-namespace"),
	create("P7", "the host's network", `{"Image":"bb:1","HostConfig":{"NetworkMode":"host"}}`, "hazards host-namespace"),
	create("P7", "the host's network by endpoint", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"host":{}}}}`, "hazards host-namespace"),
	create("P7", "the host's network in upper case", `{"Image":"bb:1","HostConfig":{"NetworkMode":"HOST"}}`, "hazards host-namespace"),
	create("P7", "unconfined", `{"Image":"bb:1","HostConfig":{"SecurityOpt":["seccomp=unconfined"]}}`, "hazards security-opt"),
	create("P7", "unmasked", `{"Image":"bb:1","HostConfig":{"MaskedPaths":[]}}`, "hazards unmasked"),
	create("P7", "device rule", `{"Image":"bb:1","HostConfig":{"DeviceCgroupRules":["b *:* rwm"]}}`, "hazards devices"),
	create("P7", "runtime", `{"Image":"bb:1","HostConfig":{"Runtime":"evil"}}`, "hazards runtime"),
	create("P7", "log driver", `{"Image":"bb:1","HostConfig":{"LogConfig":{"Type":"syslog","Config":{"syslog-address":"tcp://127.0.0.1:5000"}}}}`, "hazards log-driver"),
	create("P7", "an address of its choice", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.9"}}}}}`, "hazards network-address"),
	create("P7", "another network by its id behind a name", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"x":{"NetworkID":"host"}}}}`, "host-namespace (NetworkingConfig.EndpointsConfig.*.NetworkID)"),
	create("P7", "real-time priority", `{"Image":"bb:1","HostConfig":{"Ulimits":[{"Name":"rtprio","Soft":99,"Hard":99}]}}`, "hazards limits"),
	create("P7", "devices by a driver's names", `{"Image":"bb:1","HostConfig":{"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["vendor.com/class=all"]}]}}`, "hazards devices"),
	create("P7", "a device of everybody's folder", `{"Image":"bb:1","HostConfig":{"Devices":[{"PathOnHost":"/dev/shm/sda"}]}}`, "hazards devices (HostConfig.Devices, HostConfig.Devices[].PathOnHost)"),
	create("P7", "cgroups to write to", `{"Image":"bb:1","HostConfig":{"SecurityOpt":["writable-cgroups=true"]}}`, "hazards security-opt"),
	create("P7", "privileges by setuid, said to be none", `{"Image":"bb:1","HostConfig":{"SecurityOpt":["no-new-privileges=false"]}}`, "hazards security-opt"),
	create("P7", "annotations for the runtime", `{"Image":"bb:1","HostConfig":{"Annotations":{"run.oci.keep_original_groups":"1"}}}`, "hazards runtime"),
	create("P7", "processes by a namespace's file", `{"Image":"bb:1","HostConfig":{"PidMode":"ns:/proc/1/ns/pid"}}`, "hazards host-namespace"),
	create("P7", "a network by a namespace's file", `{"Image":"bb:1","HostConfig":{"NetworkMode":"ns:/proc/1/ns/net"}}`, "hazards named-network"),
	create("P7", "a sysctl by an endpoint's options", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"bridge":{"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.ip_forward=1"}}}}}`, "hazards network-driver"),
	create("P7", "a name in the default bridge", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"bridge":{"DNSNames":["db"]}}}}`, "hazards named-network (NetworkingConfig.EndpointsConfig.*.DNSNames)"),
	create("P7", "shared, in a tmpfs option's value", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[["size","1m,rshared"]]}}]}}`, "hazards propagation (HostConfig.Mounts[].TmpfsOptions.Options)"),
	create("P7", "a bind in capitals", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"BIND","Source":"/","Target":"/x"}]}}`, "host-path"),
	create("P7", "a path as a volume", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"volume","Source":"/","Target":"/x"}]}}`, "host-path"),
	create("P7", "a driver of a mount in capitals", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"volume","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"LOCAL","Options":{"type":"none","o":"bind","device":"/"}}}}]}}`, "volume-driver"),
	create("P7", "a host configuration in a text", `{"Image":"bb:1","HostConfig":"{\"Privileged\":true}"}`, "").with(code("body-type")),
	create("P7", "a host configuration in a list", `{"Image":"bb:1","HostConfig":[{"Privileged":true}]}`, "").with(code("body-type")),
	create("P7", "a container in a list", `[`+privileged+`]`, "").with(code("body-type")),
	create("P7", "truth in a text", `{"Image":"bb:1","HostConfig":{"Privileged":"true"}}`, "").with(code("body-type")),
	create("P7", "a byte order mark", "\ufeff"+privileged, "").with(code("body-json")),
	create("P7", "a comment", `{"Image":"bb:1"/*,*/,"HostConfig":{"Privileged":true}}`, "").with(code("body-json")),
	create("P7", "half a surrogate", `{"Image":"bb:1","HostConfig\ud800":{"Privileged":true}}`, "").with(code("body-utf8")),
	create("P7", "a NUL behind a key", `{"Image":"bb:1","HostConfig\u0000":{"Privileged":true}}`, "unknown-input"),
	create("P7", "a blank behind a key", `{"Image":"bb:1","HostConfig ":{"Privileged":true}}`, "unknown-input"),
	create("P7", "a key in words", `{"Image":"bb:1","host_config":{"Privileged":true}}`, "unknown-input"),
	create("P7", "a container in a container", `{"Image":"bb:1","Config":{"HostConfig":{"Privileged":true}}}`, "unknown-input"),
	create("P7", "what inspect shows of an image's manifest", `{"Image":"bb:1","ImageManifestDescriptor":{"digest":"sha256:0"}}`, "unknown-input"),
	create("P7", "another's name by a parameter in another case", `{"Image":"bb:1"}`, "unknown-input (?Name)").with(uri("/v1.41/containers/create?Name=monitor")),
	create("P7", "another's name behind slashes", `{"Image":"bb:1"}`, "container:monitor is bound to role monitor").with(uri("/v1.41/containers/create?name=%2F%2Fmonitor")),
	create("P7", "a network whose addresses are others'", `{"Name":"n","IPAM":{"Config":[{"Subnet":"8.8.8.0/24"}]}}`, "hazards network-address (IPAM.Config[].Subnet)").with(uri("/v1.41/networks/create")),
}

func daemon(status int) func(r *request) { return func(r *request) { r.daemon = status } }
