package bypass

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestWhatIsAllowedWorks: the callers of these tests are refused for what they
// ask, not for who they are.
func TestWhatIsAllowedWorks(t *testing.T) {
	w := newWorld(t)
	t.Run("look", func(t *testing.T) { w.on(t).mayLook() })
	t.Run("creator", func(t *testing.T) { w.on(t).mayCreate() })
	t.Run("operator", func(t *testing.T) {
		w := w.on(t)
		if out, err := w.docker(operator, "exec", "web", "echo", "hello"); err != nil || out != "hello\n" {
			w.Errorf("exec: %v\n%s", err, out)
		}
	})
}

// docker runs the docker command line as a user, through the gateway.
func (w world) docker(as role, arg ...string) (string, error) {
	w.Helper()
	cmd := w.e.DockerCommand(w.p.Socket, arg...)
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG=/nonexistent")
	id := uint32(uids[as])
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w world) mayLook() {
	for _, command := range []string{
		"version", "info", "ps --all", "images", "volume ls", "volume inspect data", "network ls", "network inspect bridge",
		"inspect web", "image inspect secret:1", "history --no-trunc secret:1", "system df -v", "stats --no-stream web",
		"events --since 1h --until 0s --filter type=image",
	} {
		out, err := w.docker(look, strings.Fields(command)...)
		if err != nil || strings.TrimSpace(out) == "" || strings.Contains(out, secret) {
			w.Errorf("docker %s: %v\n%s", command, err, out)
		}
	}
	out, err := w.docker(look, "inspect", "--format", "{{.Config.Env}} {{.Name}}", "web")
	if err != nil || out != "[TOKEN=] /web\n" {
		w.Errorf("inspect shows %q, %v; want the environment's names alone", out, err)
	}
	out, err = w.docker(look, "run", "bb:1", "true")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 125 || !strings.Contains(out, "vitrine: unix:look may not ContainerCreate") {
		w.Errorf("docker run: %v\n%s", err, out)
	}
	for _, way := range w.ways(look) {
		for _, uri := range []string{"/_ping", "/v1.41/containers/json?all=1", "/version", "/images/json"} {
			r := request{method: "GET", uri: uri}
			if got := w.send(way, "GET", r.bytes()); got.status != http.StatusOK {
				w.Errorf("%s: GET %s: %d %s", way.name, uri, got.status, got.body)
			}
		}
	}
}

func (w world) mayCreate() {
	for _, way := range w.ways(creator) {
		for _, r := range []request{
			{method: "POST", uri: "/v1.41/containers/create?name=good", body: `{"Image":"bb:1","Cmd":["true"],"Env":["A=b"],"HostConfig":{"Memory":16777216}}`},
			{method: "POST", uri: "/v1.41/containers/create?name=chunked", body: `{"Image":"bb:1"}`, length: "chunked"},
			{method: "POST", uri: "/v1.41/containers/create?name=charset", body: `{"image":"bb:1"}`, header: []string{"Content-Type: application/json; charset=utf-8"}},
			{method: "POST", uri: "/v1.41/containers/create?name=big", body: `{"Image":"bb:1","Env":["PAD=` + strings.Repeat("x", 900<<10) + `"]}`},
			{method: "POST", uri: "/v1.41/containers/good/start"},
			{method: "POST", uri: "/v1.41/containers/chunked/rename?name=renamed"},
			{method: "POST", uri: "/v1.41/images/bb:1/tag?repo=good"},
			{method: "POST", uri: "/v1.41/volumes/create", body: `{"Name":"good"}`},
			{method: "POST", uri: "/v1.41/networks/create", body: `{"Name":"good"}`},
			{method: "POST", uri: "/v1.41/images/prune"},
		} {
			if got := w.send(way, "POST", r.bytes()); got.status >= 300 {
				w.Errorf("%s: POST %s: %d %s", way.name, r.uri, got.status, got.body)
			}
		}
		if err := w.e.DockerCommand(w.p.Socket, "rm", "--force", "good", "renamed", "charset", "big").Run(); err != nil {
			w.Error(err)
		}
		if err := w.e.DockerCommand(w.p.Socket, "network", "rm", "good").Run(); err != nil {
			w.Error(err)
		}
	}
	// Over 1 MiB the daemon shows the plugin nothing; the gateway has seen it all.
	big := request{method: "POST", uri: "/v1.41/containers/create?name=big", body: `{"Image":"bb:1","Env":["PAD=` + strings.Repeat("x", 1100<<10) + `"]}`}
	if got := w.send(w.ways(creator)[0], "POST", big.bytes()); got.status != http.StatusCreated {
		w.Errorf("1.1 MiB by the gateway: %d %s", got.status, got.body)
	}
}
