package operation

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// daemonRoutes are the routes in the order in which the daemon registers them
// (daemon/server/router/*, daemon/command/daemon.go): its mux takes the first
// that matches.
var daemonRoutes = strings.Fields(`
GET /containers/{name:.*}/checkpoints
POST /containers/{name:.*}/checkpoints
DELETE /containers/{name}/checkpoints/{checkpoint}
HEAD /containers/{name:.*}/archive
GET /containers/json
GET /containers/{name:.*}/export
GET /containers/{name:.*}/changes
GET /containers/{name:.*}/json
GET /containers/{name:.*}/top
GET /containers/{name:.*}/logs
GET /containers/{name:.*}/stats
GET /containers/{name:.*}/attach/ws
GET /exec/{id:.*}/json
GET /containers/{name:.*}/archive
POST /containers/create
POST /containers/{name:.*}/kill
POST /containers/{name:.*}/pause
POST /containers/{name:.*}/unpause
POST /containers/{name:.*}/restart
POST /containers/{name:.*}/start
POST /containers/{name:.*}/stop
POST /containers/{name:.*}/wait
POST /containers/{name:.*}/resize
POST /containers/{name:.*}/attach
POST /containers/{name:.*}/exec
POST /exec/{name:.*}/start
POST /exec/{name:.*}/resize
POST /containers/{name:.*}/rename
POST /containers/{name:.*}/update
POST /containers/prune
POST /commit
PUT /containers/{name:.*}/archive
DELETE /containers/{name:.*}
GET /images/json
GET /images/search
GET /images/get
GET /images/{name:.*}/get
GET /images/{name:.*}/history
GET /images/{name:.*}/json
GET /images/{name:.*}/attestations
POST /images/load
POST /images/create
POST /images/{name:.*}/push
POST /images/{name:.*}/tag
POST /images/prune
DELETE /images/{name:.*}
OPTIONS /{anyroute:.*}
GET /_ping
HEAD /_ping
GET /events
GET /info
GET /version
GET /system/df
POST /auth
GET /volumes
GET /volumes/{name:.*}
POST /volumes/create
POST /volumes/prune
PUT /volumes/{name:.*}
DELETE /volumes/{name:.*}
POST /build
POST /build/prune
POST /build/cancel
POST /session
POST /swarm/init
POST /swarm/join
POST /swarm/leave
GET /swarm
GET /swarm/unlockkey
POST /swarm/update
POST /swarm/unlock
GET /services
GET /services/{id}
POST /services/create
POST /services/{id}/update
DELETE /services/{id}
GET /services/{id}/logs
GET /nodes
GET /nodes/{id}
DELETE /nodes/{id}
POST /nodes/{id}/update
GET /tasks
GET /tasks/{id}
GET /tasks/{id}/logs
GET /secrets
POST /secrets/create
DELETE /secrets/{id}
GET /secrets/{id}
POST /secrets/{id}/update
GET /configs
POST /configs/create
DELETE /configs/{id}
GET /configs/{id}
POST /configs/{id}/update
GET /plugins
GET /plugins/{name:.*}/json
GET /plugins/privileges
DELETE /plugins/{name:.*}
POST /plugins/{name:.*}/enable
POST /plugins/{name:.*}/disable
POST /plugins/pull
POST /plugins/{name:.*}/push
POST /plugins/{name:.*}/upgrade
POST /plugins/{name:.*}/set
POST /plugins/create
GET /distribution/{name:.*}/json
GET /networks
GET /networks/
GET /networks/{id:.+}
POST /networks/create
POST /networks/{id:.*}/connect
POST /networks/{id:.*}/disconnect
POST /networks/prune
DELETE /networks/{id:.*}
POST /grpc
GET /debug/vars
GET /debug/pprof/
GET /debug/pprof/cmdline
GET /debug/pprof/profile
GET /debug/pprof/symbol
GET /debug/pprof/trace
GET /debug/pprof/{name}
`)

type daemonRoute struct {
	method, template string
	pattern          *regexp.Regexp
}

// daemonRouter reads templates as gorilla/mux does.
func daemonRouter(t testing.TB) []daemonRoute {
	variable := regexp.MustCompile(`\{(\w+)(?::([^}]+))?\}`)
	var routes []daemonRoute
	for i := 0; i < len(daemonRoutes); i += 2 {
		template := daemonRoutes[i+1]
		pattern := variable.ReplaceAllStringFunc(template, func(v string) string {
			if m := variable.FindStringSubmatch(v); m[2] != "" {
				return "(" + m[2] + ")"
			}
			return "([^/]+)"
		})
		routes = append(routes, daemonRoute{daemonRoutes[i], template, regexp.MustCompile("^" + pattern + "$")})
	}
	if len(routes) != len(catalogue) {
		t.Fatalf("%d routes, and the catalogue has %d", len(routes), len(catalogue))
	}
	return routes
}

var braces = regexp.MustCompile(`\{[^}]*\}`)

// compareRoutes says whether we and the daemon take a path for the same.
func compareRoutes(t *testing.T, router []daemonRoute, method, path string) {
	e, target := find(method, path)
	for _, r := range router {
		if r.method != method {
			continue
		}
		m := r.pattern.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		if slices.Contains(m[1:], "") {
			if e != nil {
				t.Errorf("%s %q: the daemon's name is empty, ours is %s of %q", method, path, e.id, target)
			}
			return
		}
		if e == nil || braces.ReplaceAllString(e.path, "{}") != braces.ReplaceAllString(r.template, "{}") {
			t.Errorf("%s %q: the daemon says %s, we %v", method, path, r.template, e)
		} else if len(m) == 2 && method != "OPTIONS" && m[1] != target {
			t.Errorf("%s %q: the daemon's name is %q, ours %q", method, path, m[1], target)
		}
		return
	}
	if e != nil {
		t.Errorf("%s %q: unknown to the daemon, and we say %s", method, path, e.id)
	}
}

func TestRoutesAsTheDaemonReadsThem(t *testing.T) {
	long.Alone(t)
	router := daemonRouter(t)
	words := []string{"json", "a", "archive", "get", "checkpoints", "create", "attach", "ws"}
	heads := []string{"containers", "images", "volumes", "networks", "plugins", "exec", "services", "distribution", "debug/pprof", "nope", "build"}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"} {
		for _, head := range heads {
			paths := []string{"/" + head, "/" + head + "/"}
			for _, a := range words {
				paths = append(paths, "/"+head+"/"+a, "/"+head+"/"+a+"/")
				for _, b := range words {
					paths = append(paths, "/"+head+"/"+a+"/"+b)
					for _, c := range words {
						paths = append(paths, "/"+head+"/"+a+"/"+b+"/"+c)
					}
				}
			}
			for _, p := range paths {
				compareRoutes(t, router, method, p)
			}
		}
	}
}

// TestListParameters parses each list parameter twice and holds our reading
// against what the daemon takes from the request, r.Form["…"].
func TestListParameters(t *testing.T) {
	for _, c := range []struct{ method, path, name, first, second string }{
		{"POST", "/build", "t", "a", "b"},
		{"POST", "/build", "extrahosts", "a:1.1.1.1", "b:1.1.1.1"},
		{"POST", "/build", "securityopt", "a", "b"},
		{"POST", "/commit", "changes", "ENV a=b", "CMD x"},
		{"POST", "/images/create", "changes", "ENV a=b", "CMD x"},
		{"GET", "/images/get", "names", "a", "b"},
		{"GET", "/images/get", "platform", `{"os":"linux"}`, `{"os":"plan9"}`},
		{"GET", "/images/a/get", "platform", `{"os":"linux"}`, `{"os":"plan9"}`},
		{"POST", "/images/load", "platform", `{"os":"linux"}`, `{"os":"plan9"}`},
		{"DELETE", "/images/a", "platforms", `{"os":"linux"}`, `{"os":"plan9"}`},
		{"GET", "/system/df", "type", "image", "volume"},
	} {
		uri := c.path + "?" + c.name + "=" + url.QueryEscape(c.first) + "&" + c.name + "=" + url.QueryEscape(c.second)
		op := mustParse(t, request(c.method, uri, ""))
		r, err := http.NewRequest(c.method, op.URI, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		want := []string{c.first, c.second}
		if !slices.Equal(op.Query[c.name], want) || !slices.Equal(r.Form[c.name], want) {
			t.Errorf("%s: we read %q, the daemon %q", uri, op.Query[c.name], r.Form[c.name])
		}
	}
}

// TestRepeatedParameterClosed: the daemon takes the first of them, and nobody sees another.
func TestRepeatedParameterClosed(t *testing.T) {
	lists := map[string]bool{}
	for i := range catalogue {
		e := &catalogue[i]
		for _, p := range paramTable[e.params.lo:e.params.hi] {
			if p.list {
				lists[e.id+" "+p.name] = true
				continue
			}
			path := strings.NewReplacer("{id}", "x", "{name}", "x", "{checkpoint}", "x").Replace(e.path)
			body, first := "", ""
			if e.body == bodyRequired {
				body = "{}"
			}
			if p.json == 0 {
				first = "1"
			}
			op := mustParse(t, request(e.method, path+"?"+p.name+"="+first+"&"+p.name+"=evil", body))
			if !slices.Equal(op.Query[p.name], []string{first}) || strings.Contains(op.URI, "evil") {
				t.Errorf("%s %s twice: %q, and %s goes up", e.id, p.name, op.Query[p.name], op.URI)
			}
		}
	}
	if len(lists) != 13 {
		t.Errorf("%d list parameters: %v", len(lists), lists)
	}
	if code := refused(t, request("GET", "/info?x=1&x=2", "")); code != "query-repeated" {
		t.Errorf("an unknown parameter twice: %s", code)
	}
}
