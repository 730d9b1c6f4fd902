package tenants

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
	"vitrine/test/long"
)

// walkData lets a tenant do whatever a role can.
const walkData = `
roles:
  tenant:
    access: [ping, list, inspect, stream, content, interactive, write, secret, build]
    hazards: [env, named-volume, named-network, volumes-from, joined-namespace, link, outbound]
    own: true
    shared: {images: ["bb"]}
    image_names: ["ci/$owner/*"]
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4301", "uid:4302"]
`

// TestWalk: every operation of the catalogue, by each version of the API that describes it and the Engine has, and by every way to name what b has:
// the answer is that to what does not exist, and shows nothing of b's.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := worldOf(t, walkData)
	its := w.make(b, "planted")
	w.make(a, "mine")
	exec := w.made(b, "/containers/plantedbox/exec", `{"Cmd":["true"]}`)
	imported := func(file string) (id string) {
		if got := w.ask(b, http.MethodPost, "/images/create?fromSrc=-&repo=ci/uid_4302/planted&tag=1", buildContext(t, file)); got.Status != http.StatusOK {
			t.Fatalf("import: %s", got)
		}
		return strings.TrimPrefix(strings.TrimSpace(w.e.Docker("image", "inspect", "--format", "{{.Id}}", "ci/uid_4302/planted:1")), "sha256:")
	}
	lost, image := imported("planted before"), imported("planted") // the first has no name then; containerd's store gives it one of its own
	w.e.Docker("image", "inspect", lost)
	before := w.whole(its, "planted") + w.e.Docker("image", "inspect", image)
	w.planted = []string{"planted", its.container[:12], its.network[:12], exec, image[:12], lost[:12]}

	slash := func(refs ...string) []string { return append(refs, "/"+refs[0]) }
	refs := map[string][]string{
		"containers": {"plantedbox", its.container, its.container[:12], its.container[:4]},
		"exec":       {exec},
		"networks":   {"plantednet", its.network, its.network[:12], its.network[:4]},
		"volumes":    {"plantedvol"},
		"images": {
			"ci/uid_4302/planted:1", "ci/uid_4302/planted", "docker.io/ci/uid_4302/planted:1", image, image[:12], "sha256:" + image, "ci/uid_4302/planted@sha256:" + image,
			lost, lost[:12], "sha256:" + lost, "moby-dangling@sha256:" + lost, "ci/uid_4302/planted@sha256:" + lost,
		},
		"services": {"planted"}, "tasks": {"planted"}, "secrets": {"planted"}, "configs": {"planted"}, "nodes": {"planted"}, "plugins": {"planted"}, "distribution": {"ci/uid_4302/planted:1"},
	}
	filters := map[string][]string{
		"ancestor": refs["images"], "before": append(slash(refs["containers"]...), refs["images"]...), "since": append(slash(refs["containers"]...), refs["images"]...),
		"network": refs["networks"], "volume": refs["volumes"], "id": {its.container, its.network, its.network[:12]}, "name": {"plantedbox", "/plantedbox", "plantednet", "plantedvol", "planted"},
		"label": {"note=plantedlabel", "vitrine.owner=uid:4302", "note"}, "container": refs["containers"], "image": refs["images"], "reference": refs["images"],
	}
	ask := w.kept(a)
	asked, statuses := 0, map[int]int{}
	shows := func(method, path, body string) (int, string) {
		asked++
		got := ask(method, path, body)
		statuses[got.Status]++
		named, _ := url.QueryUnescape(path + body)
		for _, secret := range w.planted {
			if strings.Contains(got.Body, secret) && !strings.Contains(named, secret) {
				t.Errorf("%s %s %s shows %q: %s", method, path, body, secret, got)
			}
		}
		return got.Status, got.Body
	}
	// same asks of b's and of what nobody has.
	same := func(method, path, body, ref string) {
		write := func(ref string) (int, string) {
			where, query, _ := strings.Cut(path, "?")
			status, text := shows(method, strings.ReplaceAll(where, "REF", ref)+"?"+strings.ReplaceAll(query, "REF", url.QueryEscape(ref)), strings.ReplaceAll(body, "REF", ref))
			for _, form := range []string{ref, strings.TrimPrefix(ref, "docker.io/"), strings.TrimPrefix(ref, "sha256:"), strings.TrimPrefix(ref, "/")} {
				text = strings.ReplaceAll(text, form, "REF")
			}
			return status, request.ReplaceAllString(strings.TrimSpace(text), "")
		}
		status, hidden := write(ref)
		if missing, absent := write(nobodysRef(ref)); status != missing || hidden != absent {
			t.Errorf("%s %s %s of %s: %d %s; of what does not exist: %d %s", method, path, body, ref, status, hidden, missing, absent)
		}
	}

	var engine struct{ ApiVersion, MinAPIVersion string }
	if err := json.Unmarshal([]byte(w.e.Docker("version", "--format", "{{json .Server}}")), &engine); err != nil {
		t.Fatal(err)
	}
	oldest, newest := minor(t, engine.MinAPIVersion), minor(t, engine.ApiVersion)
	for v := max(oldest, 24); v <= newest+1; v++ {
		prefix := "/v1." + strconv.Itoa(v)
		if v > newest {
			prefix = ""
		} else if v < newest-1 && (v-oldest)%long.Of(6, 1) != 0 { // few of those between
			continue
		}
		for _, op := range operation.Operations() {
			if op.ID == "Options" || op.Rail != "" && op.ID != "ServiceCreate" || v <= newest && op.Documented && (minor(t, op.Since) > v || minor(t, op.Until) < v) {
				continue
			}
			query := known(op)
			body := ""
			if op.Method == http.MethodPost {
				body = `{"Cmd":["true"],"Container":"minebox","Image":"bb:1"}`
			}
			if strings.Contains(op.Path, "{") {
				for _, ref := range refs[op.Resource] {
					same(op.Method, prefix+parameter.ReplaceAllString(op.Path, "REF")+query, body, ref)
				}
				continue
			}
			if op.Method == http.MethodGet || op.Method == http.MethodHead {
				shows(op.Method, prefix+op.Path+query, "")
				if !slices.Contains(op.Params, "filters") {
					continue
				}
				for filter, values := range filters {
					for _, ref := range values {
						for _, written := range []any{map[string][]string{filter: {"REF"}}, map[string]map[string]bool{filter: {"REF": true}}} {
							text, err := json.Marshal(written)
							if err != nil {
								t.Fatal(err)
							}
							same(op.Method, prefix+op.Path+query+"&filters="+url.QueryEscape(string(text)), "", ref)
						}
					}
				}
			}
		}
		for _, made := range []struct{ path, body, kind string }{
			{"/containers/create", `{"Image":"REF"}`, "images"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"NetworkMode":"REF"}}`, "networks"},
			{"/containers/create", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"REF":{}}}}`, "networks"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"NetworkMode":"container:REF"}}`, "containers"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"PidMode":"container:REF"}}`, "containers"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"IpcMode":"container:REF"}}`, "containers"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"VolumesFrom":["REF"]}}`, "containers"},
			{"/containers/create", `{"Image":"bb:1","HostConfig":{"Links":["REF:db"]}}`, "containers"},
			{"/networks/minenet/connect", `{"Container":"REF"}`, "containers"},
			{"/networks/minenet/disconnect", `{"Container":"REF"}`, "containers"},
			{"/commit?container=REF&repo=ci/uid_4301/x", ``, "containers"},
			{"/images/REF/tag?repo=ci/uid_4301/x", ``, "images"},
		} {
			for _, ref := range refs[made.kind] {
				same(http.MethodPost, prefix+made.path, made.body, ref)
			}
		}
	}
	if t.Logf("%d questions, answers by status %v", asked, statuses); asked < 3000 || statuses[http.StatusOK] < asked/20 || statuses[http.StatusNotFound] < asked/10 {
		t.Errorf("%d questions, answers by status %v", asked, statuses)
	}
	if after := w.whole(its, "planted") + w.e.Docker("image", "inspect", image); after != before {
		t.Errorf("what b has is not what it was:\n%s\nand now\n%s", before, after)
	}
}

// known is a query of parameters that an operation has: what it does not know nobody is allowed.
func known(op operation.Info) string {
	query := url.Values{}
	for name, value := range map[string]string{
		"path": "/x", "name": "other", "repo": "ci/uid_4301/x", "t": "ci/uid_4301/x", "container": "minebox", "names": "bb:1", "fromImage": "bb", "term": "x",
		"stdout": "1", "until": "1", "all": "1", "follow": "0", "stream": "0", "condition": "removed",
	} {
		if slices.Contains(op.Params, name) && (name != "t" || op.ID == "ImageBuild") {
			query.Set(name, value)
		}
	}
	if slices.Contains([]string{"ContainerStats", "ContainerLogs", "SystemEvents"}, op.ID) && slices.Contains(op.Params, "since") {
		query.Set("since", "0")
	}
	return "?" + query.Encode()
}

// nobodysRef is a reference of the same form that nothing has.
func nobodysRef(ref string) string {
	algorithm, digest, is := strings.Cut(ref, "sha256:")
	switch {
	case is:
		return strings.Replace(algorithm, "planted", "missing", 1) + "sha256:" + nothing(digest)
	case strings.Contains(ref, "planted"):
		return strings.Replace(ref, "planted", "missing", 1)
	case strings.Trim(ref, "0123456789abcdef") == "":
		return nothing(ref)
	}
	return ref // it is no name
}

func minor(t *testing.T, version string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(version, "1."))
	if err != nil {
		t.Fatalf("version %q", version)
	}
	return n
}
