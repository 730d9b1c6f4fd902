package children

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// ask asks as a user of the host.
func ask(t *testing.T, w *world, u *vitrine.User, method, path, body string) vitrine.Answer {
	t.Helper()
	c, err := u.Dial(w.p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := vitrine.Ask(c, method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// TestOwnerIsNotForgedClosed: nobody makes something another one's, whatever he writes, and with whatever role.
func TestOwnerIsNotForgedClosed(t *testing.T) {
	w := begin(t, vitrine.Options{})
	w.child("runner", "job", bound)
	owned := func() string {
		return w.e.Docker("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=vitrine.owner=container:runner") +
			w.e.Docker("volume", "ls", "--quiet", "--filter", "label=vitrine.owner=container:runner") +
			w.e.Docker("network", "ls", "--quiet", "--filter", "label=vitrine.owner=container:runner")
	}
	before := owned()
	const label = `"vitrine.owner":"container:runner"`
	for _, who := range []*vitrine.User{vitrine.As(t, 4402), vitrine.As(t, 4403)} {
		for _, asked := range []struct{ path, body string }{
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":{` + label + `}}`},
			{"/v1.24/containers/create?name=forged", `{"Image":"caller:1","Labels":{` + label + `}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","labels":{` + label + `}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","LABELS":{` + label + `}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":{},"Labels":{` + label + `}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":{` + label + `},"labels":{"a":"b"}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":{"vitrine.owner":"",` + label + `}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":{"vitrine\u002eowner":"container:runner"}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","Labels":["vitrine.owner=container:runner"]}`},
			{"/containers/create?name=forged&Labels=vitrine.owner", `{"Image":"caller:1","HostConfig":{"Labels":{` + label + `}}}`},
			{"/containers/create?name=forged", `{"Image":"caller:1","HostConfig":{"Mounts":[{"Type":"volume","Source":"forged","Target":"/x","VolumeOptions":{"Labels":{` + label + `}}}]}}`},
			{"/volumes/create", `{"Name":"forged","Labels":{` + label + `}}`},
			{"/networks/create", `{"Name":"forged","Labels":{` + label + `}}`},
			{"/containers/job/update", `{"Labels":{` + label + `}}`},
			{"/services/create", `{"Name":"forged","TaskTemplate":{"ContainerSpec":{"Image":"caller:1","Labels":{` + label + `}}}}`},
			{"/commit?container=job&changes=LABEL+vitrine.owner%3Dcontainer:runner", `{"Labels":{` + label + `}}`},
		} {
			if answer := ask(t, w, who, http.MethodPost, asked.path, asked.body); answer.Status < 400 || answer.Status == http.StatusInternalServerError {
				t.Errorf("uid %d: POST %s %s: %s", who.UID, asked.path, asked.body, answer)
			}
		}
	}
	if after := owned(); after != before {
		t.Errorf("what the runner owns was %s, and is %s", before, after)
	}
}

// TestImagesAndNamesMoveNoOwnershipClosed: what an image says counts for nobody, and a container's own word stays with it.
func TestImagesAndNamesMoveNoOwnershipClosed(t *testing.T) {
	w := begin(t, vitrine.Options{})
	w.child("runner", "job", bound)
	w.e.Docker("commit", "job", "caller:committed") // has the labels of what it was made of
	w.e.Docker("commit", "--change", "LABEL vitrine.owner=container:runner", "other", "caller:said")
	w.e.Docker("tag", "caller:said", "caller:tagged")
	archive := w.e.Dir + "/state/said.tar"
	w.e.Docker("save", "--output", archive, "caller:said")
	w.e.Docker("rmi", "caller:said", "caller:tagged")
	w.e.Docker("load", "--input", archive)
	w.e.Docker("tag", "caller:said", "caller:tagged")
	rootfs := w.e.Dir + "/state/rootfs.tar"
	w.e.Docker("export", "--output", rootfs, "other")
	w.e.Docker("import", "--change", "LABEL vitrine.owner=container:runner", rootfs, "caller:imported")

	for _, tag := range []string{"committed", "said", "tagged", "imported"} {
		for _, of := range []string{"other", "runner"} {
			name := of + "-" + tag
			w.want(http.StatusCreated, of, "POST", "/containers/create?name="+name, strings.Replace(bound, "caller:1", "caller:"+tag, 1))
			w.e.Docker("start", name) // its maker does not see it any more
			w.want(http.StatusForbidden, name, "GET", "/containers/json", "")
			if r := w.lastOf(name); slices.ContainsFunc(r.Caller.Principals, func(p string) bool { return strings.HasPrefix(p, "owner:") }) {
				t.Errorf("%s is known as %q", name, r.Caller.Principals)
			}
		}
	}

	// Names: a job renamed is a job, and another's under its old name is another's.
	w.want(http.StatusNoContent, "runner", "POST", "/containers/job/rename?name=moved", "")
	w.child("other", "job", bound)
	w.want(http.StatusOK, "moved", "GET", "/containers/moved/json", "")
	w.want(http.StatusNotFound, "moved", "GET", "/containers/job/json", "")
	w.want(http.StatusNotFound, "job", "GET", "/containers/moved/json", "")
	if r := w.lastOf("job"); !slices.Contains(r.Caller.Principals, "owner:container:other") {
		t.Errorf("another's job is known as %q", r.Caller.Principals)
	}
	w.e.Docker("rename", "moved", "again") // by root
	w.want(http.StatusOK, "again", "GET", "/containers/again/json", "")
	if r := w.lastOf("again"); !slices.Contains(r.Caller.Principals, "owner:container:runner") {
		t.Errorf("it is known as %q", r.Caller.Principals)
	}
}

// TestDockerdsOwnSocketClosed: there nothing can be put in the place of the Engine's socket, so the gateway's is named; and
// whose something is cannot be said there either.
func TestDockerdsOwnSocketClosed(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: `
roles:
  makes: {access: [ping, list, inspect, write], hazards: [env], engine_socket: substitute}
bindings:
  admin: ["unix:root"]
  makes: ["local"]
`})
	p.Plug(nil)
	out, err := e.DockerCommand(e.Socket, "create", "--name", "child", "-v", "/var/run/docker.sock:/var/run/docker.sock", "bb:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "would be the gateway's own socket") || !strings.Contains(string(out), folder+"/docker.sock") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = e.DockerCommand(e.Socket, "create", "--name", "child", "--label", "vitrine.owner=container:runner", "bb:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "only the gateway gives it") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := e.DockerCommand(e.Socket, "create", "--name", "plain", "bb:1").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
