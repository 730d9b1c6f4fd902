package bypass

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// network is one as the daemon shows it.
type network struct{ ID, Name string }

// references: a network is the one that the daemon means, by whatever it is named and by
// each door. creator takes no hazard that matters, so it is told which one a request has.
func (w world) references() {
	host, swarm := w.network("host"), w.network("host?scope=swarm")
	if host.Name != "host" || swarm.Name != "host" || swarm.ID == host.ID {
		w.Fatalf("the hosts' networks are %+v and %+v", host, swarm)
	}
	w.asAdmin("network", "create", "--driver", "overlay", "over")
	w.asAdmin("network", "create", "front")
	w.asAdmin("network", "create", host.ID[:9]) // whose name is the beginning of another's id
	w.asAdmin("create", "--name", "mine", "bb:1")
	defer func() {
		w.asAdmin("rm", "--force", "mine")
		w.asAdmin("network", "rm", "over", "front", host.ID[:9])
	}()
	front, over := w.network("front"), w.network("over")

	for _, way := range w.ways(creator) {
		for _, tc := range []struct {
			uri, body string
			host, not []string
		}{
			{
				"/v1.41/services/create", `{"Name":"evil","TaskTemplate":{"ContainerSpec":{"Image":"bb:1"},"Networks":[{"Target":"R"}]}}`,
				[]string{"host", host.ID, host.ID[:12], swarm.ID, swarm.ID[:20]},
				[]string{"over", over.ID, over.ID[:12], "nothing-here"},
			},
			{
				"/v1.41/services/create", `{"Name":"evil","Networks":[{"Target":"R"}],"TaskTemplate":{"ContainerSpec":{"Image":"bb:1"}}}`,
				[]string{"host", host.ID, host.ID[:12], swarm.ID},
				[]string{"over", over.ID},
			},
			{
				"/v1.41/services/svc/update?version=1", `{"Name":"svc","TaskTemplate":{"ContainerSpec":{"Image":"bb:1"},"Networks":[{"Target":"R"}]}}`,
				[]string{"host", host.ID, swarm.ID},
				[]string{"over", over.ID},
			},
			{
				"/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"NetworkMode":"R","Privileged":true}}`,
				[]string{"host", host.ID, host.ID[:12], host.ID[:9]}, // a name can be gone when the daemon looks for it
				[]string{"front", front.ID, front.ID[:12], "bridge", "nothing-here"},
			},
			{
				"/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"Privileged":true},"NetworkingConfig":{"EndpointsConfig":{"R":{}}}}`,
				[]string{"host", host.ID, host.ID[:12], host.ID[:9]},
				[]string{"front", front.ID},
			},
			{
				"/v1.41/containers/create?name=evil", `{"Image":"bb:1","HostConfig":{"NetworkMode":"front","Privileged":true},"NetworkingConfig":{"EndpointsConfig":{"front":{"NetworkID":"R"}}}}`,
				[]string{host.ID, host.ID[:12]},
				[]string{front.ID},
			},
			{"/v1.41/networks/R/connect", `{"Container":"mine"}`, []string{"host", host.ID, host.ID[:12], host.ID[:9]}, []string{"front", front.ID}},
			{"/v1.41/networks/front/connect", `{"Container":"mine","EndpointConfig":{"NetworkID":"R"}}`, []string{host.ID, host.ID[:12]}, []string{front.ID}},
			{"/v1.41/networks/R/disconnect", `{"Container":"mine"}`, []string{"host", host.ID, host.ID[:12]}, []string{"front", front.ID}},
		} {
			for _, ref := range slices.Concat(tc.host, tc.not) {
				r := request{method: "POST", uri: strings.ReplaceAll(tc.uri, "R", ref), body: strings.ReplaceAll(tc.body, "R", ref)}
				want := slices.Contains(tc.host, ref)
				w.Run(way.name+" POST "+r.uri+" "+ref, func(t *testing.T) {
					w := w.on(t)
					got := w.send(way, "POST", r.bytes())
					// What is no host's network is refused for something else, or carried.
					if want && got.status != http.StatusForbidden || strings.Contains(got.body, "host-namespace") != want {
						t.Errorf("answered %d %s; is it the host's: %v", got.status, got.body, want)
					}
				})
			}
		}
	}
}

func (w world) asAdmin(arg ...string) {
	w.Helper()
	if out, err := w.e.DockerCommand(w.p.Socket, arg...).CombinedOutput(); err != nil {
		w.Fatalf("docker %s: %v\n%s", strings.Join(arg, " "), err, out)
	}
}

func (w world) network(ref string) network {
	w.Helper()
	var n network
	w.get("/networks/"+ref, &n)
	return n
}
