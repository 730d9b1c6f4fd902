package tenants

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/internal/engine/operation"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// a and b share a role, and nothing else.
const (
	a = 4301
	b = 4302
)

const policyData = `
roles:
  tenant:
    access: [ping, list, inspect, stream, content, interactive, write]
    operations: [BuildPrune]
    hazards: [env, named-volume, named-network, volumes-from, joined-namespace, link]
    own: true
    shared: {images: ["bb"]}
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4301", "uid:4302"]
`

type world struct {
	*testing.T
	e     *engine.Engine
	p     *vitrine.Process
	users map[int]*vitrine.User
	// planted are texts that a must never see: names, ids, labels and addresses of what b has.
	planted []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOf(t, policyData)
}

func worldOf(t *testing.T, policyData string) *world {
	t.Helper()
	return worldOn(t, engine.Options{}, policyData)
}

func worldOn(t *testing.T, o engine.Options, policyData string) *world {
	t.Helper()
	engine.Require(t)
	w := &world{T: t, e: engine.Start(t, o)}
	if err := w.e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Data: policyData})
	w.users = map[int]*vitrine.User{a: vitrine.As(t, a), b: vitrine.As(t, b)}
	return w
}

// ask asks as one of the two, and holds what a is answered against what is planted.
func (w *world) ask(uid int, method, path, body string) vitrine.Answer {
	w.Helper()
	c, err := w.users[uid].Dial(w.p.Socket)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	answer, err := vitrine.Ask(c, method, path, body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	if uid == a {
		asked, _ := url.QueryUnescape(path + body)
		for _, secret := range w.planted {
			if strings.Contains(answer.Body, secret) && !strings.Contains(asked, secret) {
				w.Errorf("%s %s %s shows %q: %s", method, path, body, secret, answer)
			}
		}
	}
	return answer
}

func (w *world) made(uid int, path, body string) (id string) {
	w.Helper()
	answer := w.ask(uid, http.MethodPost, path, body)
	var made struct{ ID, Id, Name string }
	if answer.Status != http.StatusCreated || json.Unmarshal([]byte(answer.Body), &made) != nil {
		w.Fatalf("POST %s %s: %s", path, body, answer)
	}
	return max(made.ID, made.Id, made.Name)
}

// own are one tenant's objects, of which the names begin with a word.
type own struct{ container, network, volume string }

func (w *world) make(uid int, word string) own {
	w.Helper()
	var o own
	o.network = w.made(uid, "/networks/create", `{"Name":"`+word+`net","Labels":{"note":"`+word+`label"}}`)
	o.volume = w.made(uid, "/volumes/create", `{"Name":"`+word+`vol","Labels":{"note":"`+word+`label"}}`)
	o.container = w.made(uid, "/containers/create?name="+word+"box", `{"Image":"bb:1","Cmd":["sleep","1000"],"Labels":{"note":"`+word+`label"},
		"Env":["PASSWORD=`+word+`env"],"HostConfig":{"NetworkMode":"`+word+`net","Binds":["`+word+`vol:/data"]}}`)
	if answer := w.ask(uid, http.MethodPost, "/containers/"+word+"box/start", ""); answer.Status != http.StatusNoContent {
		w.Fatalf("start: %s", answer)
	}
	return o
}

// whole is all that there is to see of an object, by root.
func (w *world) whole(o own, word string) string {
	w.Helper()
	return w.e.Docker("inspect", o.container) + w.e.Docker("network", "inspect", o.network) + w.e.Docker("volume", "inspect", word+"vol")
}

// TestTwoTenants: whatever a asks, of whatever b has and by whatever names it, the answer is the one for something
// that does not exist, and b's things stay as they were.
func TestTwoTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	its := w.make(b, "planted")
	mine := w.make(a, "mine")
	before := w.whole(its, "planted")
	w.planted = []string{"planted", its.container, its.container[:12], its.network, its.network[:12]}
	if ip := strings.TrimSpace(w.e.Docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", its.container)); ip != "" {
		w.planted = append(w.planted, ip)
	}

	t.Run("own things work", func(t *testing.T) { w.on(t).works(mine) })
	t.Run("lists", func(t *testing.T) { w.on(t).lists(mine) })
	t.Run("paths", func(t *testing.T) { w.on(t).paths(its) })
	t.Run("filters", func(t *testing.T) { w.on(t).filters(its) })
	t.Run("bodies", func(t *testing.T) { w.on(t).bodies(its) })
	t.Run("stamps", func(t *testing.T) { w.on(t).stamps(its) })
	t.Run("names that mean something else later", func(t *testing.T) { w.on(t).later() })
	t.Run("all tags of a name", func(t *testing.T) { w.on(t).tags(its) })
	t.Run("what cannot be limited", func(t *testing.T) { w.on(t).refused("GET", "/plugins", "", http.StatusForbidden) })

	if after := w.whole(its, "planted"); after != before {
		t.Errorf("what b has is not what it was:\n%s\nand now\n%s", before, after)
	}
}

func (w *world) on(t *testing.T) *world {
	other := *w
	other.T, other.e = t, w.e.For(t)
	return &other
}

// refused is for a.
func (w *world) refused(method, path, body string, status int) {
	w.Helper()
	if answer := w.ask(a, method, path, body); answer.Status != status {
		w.Errorf("%s %s %s: %s, want %d", method, path, body, answer, status)
	}
}

func (w *world) works(mine own) {
	for _, asked := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/containers/minebox/json", "", 200},
		{"GET", "/containers/" + mine.container + "/json", "", 200},
		{"GET", "/containers/" + mine.container[:12] + "/top", "", 200},
		{"GET", "/containers/minebox/logs?stdout=1", "", 200},
		{"POST", "/containers/minebox/pause", "", 204},
		{"POST", "/containers/minebox/unpause", "", 204},
		{"POST", "/containers/minebox/rename?name=mine2", "", 204},
		{"POST", "/containers/mine2/rename?name=minebox", "", 204},
		{"GET", "/networks/minenet", "", 200},
		{"GET", "/volumes/minevol", "", 200},
		{"GET", "/images/bb:1/json", "", 200},
		{"GET", "/info", "", 200},
		{"GET", "/version", "", 200},
		{"GET", "/_ping", "", 200},
	} {
		w.refused(asked.method, asked.path, asked.body, asked.status)
	}
	exec := w.made(a, "/containers/minebox/exec", `{"Cmd":["true"]}`)
	w.refused("POST", "/exec/"+exec+"/start", `{"Detach":true}`, 200)
	w.refused("GET", "/exec/"+exec+"/json", "", 200)
}

func (w *world) lists(mine own) {
	for path, want := range map[string]string{
		"/containers/json?all=1": mine.container,
		"/networks":              mine.network,
		"/volumes":               "minevol",
		"/images/json":           "bb:1",
		"/system/df":             mine.container,
		"/containers/json?filters=" + url.QueryEscape(`{"label":["note=minelabel"]}`):                mine.container,
		"/containers/json?filters=" + url.QueryEscape(`{"label":{"note=minelabel":true}}`):           mine.container,
		"/events?since=0&until=9999999999.0&filters=" + url.QueryEscape(`{"container":["minebox"]}`): "minebox",
	} {
		if strings.HasPrefix(path, "/events") {
			path = strings.Replace(path, "9999999999.0", "1", 1)
			want = ""
		}
		if answer := w.ask(a, http.MethodGet, path, ""); answer.Status != 200 || !strings.Contains(answer.Body, want) {
			w.Errorf("%s: %s", path, answer)
		}
	}
	for _, path := range []string{"/containers/json?all=1&filters=" + url.QueryEscape(`{"label":["note=plantedlabel"]}`), "/containers/json?filters=" + url.QueryEscape(`{"name":["planted"]}`)} {
		if answer := w.ask(a, http.MethodGet, path, ""); strings.TrimSpace(answer.Body) != "[]" {
			w.Errorf("%s: %s", path, answer)
		}
	}
	var info struct{ Containers, ContainersRunning, Images int }
	if answer := w.ask(a, http.MethodGet, "/info", ""); json.Unmarshal([]byte(answer.Body), &info) != nil || info.Containers+info.ContainersRunning+info.Images != 0 {
		w.Errorf("/info counts what others have: %+v", info)
	}
}

var parameter = regexp.MustCompile(`{[^}]*}`)

// nothing stands for a reference of the same form, and means no object.
func nothing(ref string) string {
	if strings.Trim(ref, "0123456789abcdef") == "" {
		return strings.Repeat("0123456789abcdef", 4)[:len(ref)]
	}
	return strings.Replace(ref, "planted", "missing", 1)
}

// paths asks every operation about what b has, and about what nobody has.
func (w *world) paths(its own) {
	refs := map[string][]string{
		"containers": {"plantedbox", its.container, its.container[:12]},
		"networks":   {"plantednet", its.network, its.network[:12]},
		"volumes":    {"plantedvol"},
	}
	n := 0
	for _, op := range operation.Operations() {
		if !strings.Contains(op.Path, "{") || op.ID == "Options" {
			continue
		}
		for _, ref := range refs[op.Resource] {
			ask := func(ref string) (int, string) {
				body := ""
				if op.Method == http.MethodPost {
					body = `{"Cmd":["true"],"Container":"minebox"}`
				}
				answer := w.ask(a, op.Method, parameter.ReplaceAllString(op.Path, ref)+known(op), body)
				return answer.Status, strings.ReplaceAll(answer.Body, ref, "REF")
			}
			status, hidden := ask(ref)
			missing, absent := ask(nothing(ref))
			if status != missing || request.ReplaceAllString(hidden, "") != request.ReplaceAllString(absent, "") || status < 400 {
				w.Errorf("%s of %s: %d %s; of what does not exist: %d %s", op.ID, ref, status, hidden, missing, absent)
			}
			n++
		}
	}
	if n < 60 {
		w.Errorf("%d questions", n)
	}
}

var request = regexp.MustCompile(`\(request [^)]*\)`)

// filters name what b has.
func (w *world) filters(its own) {
	for path, refs := range map[string]map[string][]string{
		"/containers/json?all=1&": {
			"before": {"plantedbox", "/plantedbox", its.container}, "since": {"plantedbox", its.container}, "network": {"plantednet", its.network},
			"volume": {"plantedvol"}, "id": {its.container}, "name": {"plantedbox"},
		},
		"/networks?":               {"name": {"plantednet"}, "id": {its.network}},
		"/volumes?":                {"name": {"plantedvol"}},
		"/events?since=0&until=1&": {"container": {"plantedbox", its.container}, "network": {"plantednet"}, "volume": {"plantedvol"}},
	} {
		for filter, values := range refs {
			for _, ref := range values {
				ask := func(ref string) (int, string) {
					answer := w.ask(a, http.MethodGet, path+"filters="+url.QueryEscape(fmt.Sprintf(`{%q:[%q]}`, filter, ref)), "")
					return answer.Status, strings.ReplaceAll(answer.Body, ref, "REF")
				}
				status, hidden := ask(ref)
				if missing, absent := ask(nothing(ref)); status != missing || request.ReplaceAllString(hidden, "") != request.ReplaceAllString(absent, "") {
					w.Errorf("%s%s=%s: %d %s; of what does not exist: %d %s", path, filter, ref, status, hidden, missing, absent)
				}
			}
		}
	}
}

// bodies use what b has.
func (w *world) bodies(its own) {
	for _, asked := range []struct{ path, body string }{
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"NetworkMode":"REF"}}` + "\x00plantednet"},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"NetworkMode":"REF"}}` + "\x00" + its.network},
		{"/containers/create", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"REF":{}}}}` + "\x00plantednet"},
		{"/containers/create", `{"Image":"bb:1","NetworkingConfig":{"EndpointsConfig":{"minenet":{"NetworkID":"REF"}}}}` + "\x00" + its.network},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"NetworkMode":"container:REF"}}` + "\x00plantedbox"},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"PidMode":"container:REF"}}` + "\x00" + its.container},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"IpcMode":"container:REF"}}` + "\x00" + its.container[:12]},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"VolumesFrom":["REF:ro"]}}` + "\x00plantedbox"},
		{"/containers/create", `{"Image":"bb:1","HostConfig":{"Links":["REF:db"]}}` + "\x00plantedbox"},
		{"/networks/minenet/connect", `{"Container":"REF"}` + "\x00plantedbox"},
		{"/networks/minenet/disconnect", `{"Container":"REF"}` + "\x00" + its.container},
	} {
		body, ref, _ := strings.Cut(asked.body, "\x00")
		ask := func(ref string) (int, string) {
			answer := w.ask(a, http.MethodPost, asked.path, strings.ReplaceAll(body, "REF", ref))
			return answer.Status, strings.ReplaceAll(answer.Body, ref, "REF")
		}
		status, hidden := ask(ref)
		missing, absent := ask(nothing(ref))
		if status != missing || request.ReplaceAllString(hidden, "") != request.ReplaceAllString(absent, "") || status < 400 {
			w.Errorf("%s %s with %s: %d %s; of what does not exist: %d %s", asked.path, body, ref, status, hidden, missing, absent)
		}
	}
	for path, body := range map[string]string{ // what is there and is not a's cannot be made again, and is not mounted
		"/volumes/create":                            `{"Name":"plantedvol"}`,
		"/containers/create":                         `{"Image":"bb:1","HostConfig":{"Binds":["plantedvol:/data"]}}`,
		"/containers/create?name=another":            `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"volume","Source":"plantedvol","Target":"/data"}]}}`,
		"/containers/create?name=plantedbox":         `{"Image":"bb:1"}`,
		"/containers/minebox/rename?name=plantedbox": "",
	} {
		if answer := w.ask(a, http.MethodPost, path, body); answer.Status < 400 {
			w.Errorf("%s %s: %s", path, body, answer)
		}
	}
}

// stamps: nobody says himself whose something is.
func (w *world) stamps(its own) {
	for path, body := range map[string]string{
		"/containers/create?name=forged": `{"Image":"bb:1","Labels":{"vitrine.owner":"uid:4302"}}`,
		"/networks/create":               `{"Name":"forged","Labels":{"vitrine.owner":"uid:4302"}}`,
		"/volumes/create":                `{"Name":"forged","Labels":{"vitrine.owner":""}}`,
	} {
		if answer := w.ask(a, http.MethodPost, path, body); answer.Status != http.StatusForbidden {
			w.Errorf("%s %s: %s", path, body, answer)
		}
	}
	w.made(a, "/containers/create?name=stamped", `{"Image":"bb:1"}`)
	w.p.Eventually("the record of a stamp", func() error {
		for _, r := range w.p.Audit() {
			if strings.Contains(r.URI, "name=stamped") && slices.Equal(r.Changed, []audit.Change{{What: "label", To: "vitrine.owner=uid:4301"}}) {
				return nil
			}
		}
		return errors.New("there is none")
	})
	if owner := strings.TrimSpace(w.e.Docker("inspect", "--format", `{{index .Config.Labels "vitrine.owner"}}`, "stamped")); owner != "uid:4301" {
		w.Errorf("stamped with %q", owner)
	}
	w.made(a, "/containers/create?name=mounts", `{"Image":"bb:1","HostConfig":{"Mounts":[{"Type":"volume","Source":"minemount","Target":"/x"}]}}`)
	if owner := strings.TrimSpace(w.e.Docker("volume", "inspect", "--format", `{{index .Labels "vitrine.owner"}}`, "minemount")); owner != "uid:4301" {
		w.Errorf("a volume that a mount makes is stamped with %q", owner)
	}
	w.volumesOfBinds()
	w.prunesNothing(its)
	// b's container from an image that says it is a's is b's all the same.
	w.e.Docker("commit", "--change", "LABEL vitrine.owner=uid:4301", its.container, "bb:lies")
	lied := w.made(b, "/containers/create?name=plantedlie", `{"Image":"bb:lies"}`)
	defer w.ask(b, http.MethodDelete, "/containers/"+lied, "")
	w.e.Docker("create", "--name", "plantedroot", "bb:lies") // root's own, without a stamp
	defer w.e.Docker("rm", "plantedroot")
	if answer := w.ask(a, http.MethodGet, "/containers/json?all=1", ""); strings.Contains(answer.Body, lied) || strings.Contains(answer.Body, "plantedroot") {
		w.Errorf("an image's label makes a container a's: %s", answer)
	}
	w.refused("GET", "/containers/plantedroot/json", "", 404)
	w.refused("DELETE", "/containers/plantedroot", "", 404)
	w.refused("POST", "/containers/prune", "", 403)
	if !slices.Contains(strings.Fields(w.e.Docker("ps", "--all", "--format", "{{.Names}}")), "plantedroot") {
		w.Error("another's container has been removed")
	}
}

// later: the daemon keeps names, and looks them up when a container starts. Whoever has the name by then is another.
func (w *world) later() {
	w.made(a, "/containers/create?name=waiter", `{"Image":"bb:1","Cmd":["sleep","1000"]}`)
	for _, name := range []string{"plantednet", "missingnet"} {
		w.refused("POST", "/networks/"+name+"/connect", `{"Container":"waiter"}`, http.StatusNotFound)
	}
	if networks := w.e.Docker("inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", "waiter"); strings.TrimSpace(networks) != "bridge" {
		w.Errorf("a stopped container has the networks %s", networks)
	}
	camp := w.made(a, "/networks/create", `{"Name":"camp"}`)
	w.made(a, "/containers/create?name=camper", `{"Image":"bb:1","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"camp"}}`)
	w.refused("DELETE", "/networks/"+camp, "", http.StatusNoContent)
	w.p.Eventually("the name to be free", func() error { // as the Engine's events say, a moment after its answer
		if got := w.ask(b, http.MethodPost, "/networks/create", `{"Name":"camp"}`); got.Status != http.StatusCreated {
			return errors.New(got.Body)
		}
		return nil
	})
	for _, path := range []string{"/containers/camper/start", "/containers/camper/restart"} {
		w.refused("POST", path, "", http.StatusNotFound)
	}
	w.refused("POST", "/containers/waiter/start", "", http.StatusNoContent)
	// Nor does a second one of a name make the first one's ambiguous.
	w.refused("POST", "/networks/create", `{"Name":"plantednet"}`, http.StatusConflict)
	if answer := w.ask(b, http.MethodGet, "/networks/plantednet", ""); answer.Status != http.StatusOK {
		w.Errorf("b's network, to b: %s", answer)
	}
	for range 20 { // one's own is there as soon as it is made
		id := w.made(a, "/networks/create", `{"Name":"soon"}`)
		w.refused("GET", "/networks/soon", "", http.StatusOK)
		w.refused("DELETE", "/networks/"+id, "", http.StatusNoContent)
	}
}

// tags: to save an image by its bare name is to save all that have it.
func (w *world) tags(its own) {
	w.e.Docker("commit", its.container, "plantedimg:v1")
	for _, ref := range []string{"plantedimg", "plantedimg:v1"} {
		w.refused("GET", "/images/"+ref+"/get", "", http.StatusNotFound)
		w.refused("GET", "/images/get?names="+ref, "", http.StatusNotFound)
		w.refused("GET", "/images/"+ref+"/json", "", http.StatusNotFound)
	}
	if answer := w.ask(a, http.MethodGet, "/images/bb:1/json", ""); answer.Status != http.StatusOK {
		w.Errorf("a shared image: %s", answer)
	}
}

// volumesOfBinds: what docker run -v NAME:/x makes by the way is its maker's, to use again and to remove, and nobody else's.
func (w *world) volumesOfBinds() {
	w.Helper()
	const body = `{"Image":"bb:1","Cmd":["true"],"HostConfig":{"Binds":["minebind:/x","minero:/y:ro"]}}`
	first := w.made(a, "/containers/create?name=binds", body)
	for _, name := range []string{"minebind", "minero"} {
		if owner := strings.TrimSpace(w.e.Docker("volume", "inspect", "--format", `{{index .Labels "vitrine.owner"}}`, name)); owner != "uid:4301" {
			w.Errorf("a volume that a bind makes is stamped with %q", owner)
		}
	}
	if got := w.ask(a, http.MethodPost, "/containers/"+first+"/start", ""); got.Status != http.StatusNoContent {
		w.Errorf("start: %s", got)
	}
	again := w.made(a, "/containers/create?name=bindsagain", body)
	for method, path := range map[string]string{http.MethodGet: "/volumes/minebind", http.MethodDelete: "/volumes/minebind"} {
		if got := w.ask(b, method, path, ""); got.Status != http.StatusNotFound {
			w.Errorf("b: %s %s: %s", method, path, got)
		}
	}
	if got := w.ask(b, http.MethodPost, "/containers/create?name=steals", `{"Image":"bb:1","HostConfig":{"Binds":["minebind:/x"]}}`); got.Status != http.StatusNotFound {
		w.Errorf("b uses it: %s", got)
	}
	if got := w.ask(b, http.MethodGet, "/volumes", ""); strings.Contains(got.Body, "minebind") {
		w.Errorf("b sees it: %s", got)
	}
	for _, id := range []string{first, again} {
		if got := w.ask(a, http.MethodDelete, "/containers/"+id+"?force=1", ""); got.Status != http.StatusNoContent {
			w.Errorf("remove: %s", got)
		}
	}
	// Of that version of the API a prune takes named volumes too.
	if got := w.ask(b, http.MethodPost, "/v1.41/volumes/prune", ""); strings.Contains(got.Body, "minebind") {
		w.Errorf("b's prune removes it: %s", got)
	}
	if got := w.ask(a, http.MethodDelete, "/volumes/minebind", ""); got.Status != http.StatusNoContent {
		w.Errorf("its maker removes it: %s", got)
	}
	if got := w.ask(a, http.MethodPost, "/v1.41/volumes/prune", ""); !strings.Contains(got.Body, "minero") {
		w.Errorf("its maker's prune leaves it: %s", got)
	}
}

// prunesNothing: an image that says it is a's is nobody's, and neither is what builds left.
func (w *world) prunesNothing(its own) {
	w.Helper()
	image := strings.TrimSpace(w.e.Docker("commit", "--change", "LABEL vitrine.owner=uid:4301", its.container)) // it has no name, and no container
	defer w.e.Docker("rmi", image)
	for _, path := range []string{"/images/prune", `/images/prune?filters={"dangling":["false"]}`, "/build/prune?all=1"} {
		if got := w.ask(a, http.MethodPost, path, ""); got.Status != http.StatusOK || !strings.Contains(got.Body, `"SpaceReclaimed":0`) {
			w.Errorf("%s: %s", path, got)
		}
	}
	if got := w.ask(a, http.MethodGet, "/system/df", ""); strings.Contains(got.Body, image) {
		w.Errorf("another's image is shown: %s", got)
	}
	w.e.Docker("inspect", image)
}
