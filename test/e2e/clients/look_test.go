package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"vitrine/test/vitrine"
)

// dockerLooks uses every docker command line there is as a user that may look.
func (w *world) dockerLooks() {
	server := w.e.Docker("version", "--format", "{{.Server.Version}}")
	for _, cli := range w.clis {
		look := func(arg ...string) *exec.Cmd {
			cmd := w.command(arg...)
			cmd.Path = cli
			return as(cmd, lookUID)
		}
		w.wants(w.output(look("ps")), "web", "8080/tcp")
		inspect := w.output(look("inspect", "web"))
		w.wants(inspect, `"TOKEN="`, `"team": "sre"`)
		w.hides(inspect)
		w.wants(w.output(look("images")), "bb")
		w.wants(w.output(look("image", "inspect", "bb:1")), `"bb:1"`)
		w.wants(w.output(look("history", "bb:1")), "IMAGE")
		w.wants(w.output(look("volume", "ls")), "data")
		w.wants(w.output(look("network", "inspect", "bridge")), `"web"`)
		w.wants(w.output(look("info")), "Running: 1")
		w.wants(w.output(look("version")), "Server:", server)
		w.wants(w.output(look("system", "df")), "Images")
		w.wants(w.output(look("stats", "--no-stream")), "web")
		w.e.Docker("exec", "web", "true", secret)
		events := w.output(look("events", "--since", "0", "--until=-1s", "--filter", "container=web"))
		w.wants(events, "container start", "exec_create: ", "exec_die")
		w.hides(events)

		w.refused(look("run", "--rm", "bb:1", "true"))
		w.refused(look("exec", "web", "true"))
		w.refused(look("logs", "web"))
		w.refused(look("cp", "web:/etc/passwd", "-"))
		w.refused(look("stop", "web"))
		w.refused(look("save", "bb:1"))
		w.refused(look("volume", "rm", "data"))
		w.refused(look("top", "web"))
		w.refused(look("events", "--until", "0s", "--filter", "event=exec_start: true "+secret[:1]))
	}
	if got := w.e.Docker("ps", "--all", "--format", "{{.Names}} {{.State}}"); got != "web running" {
		w.Errorf("containers = %q, want what there was", got)
	}
}

// goLooks uses Docker's own library, whose types must be able to read what was blanked.
func (w *world) goLooks() {
	c, err := client.New(client.WithHost("unix://"+w.p.Socket), client.WithDialContext(
		func(context.Context, string, string) (net.Conn, error) { return w.look.Dial(w.p.Socket) }))
	w.check(err)
	defer c.Close()
	ctx := w.Context()

	_, err = c.Ping(ctx, client.PingOptions{})
	w.check(err)
	_, err = c.ServerVersion(ctx, client.ServerVersionOptions{})
	w.check(err)
	info, err := c.Info(ctx, client.InfoOptions{})
	w.check(err)
	containers, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Size: true})
	w.check(err)
	if len(containers.Items) != info.Info.Containers || len(containers.Items) != 1 {
		w.Errorf("%d containers are listed, info has %d, want 1", len(containers.Items), info.Info.Containers)
	}
	web, err := c.ContainerInspect(ctx, "web", client.ContainerInspectOptions{Size: true})
	w.check(err)
	if !slices.Contains(web.Container.Config.Env, "TOKEN=") {
		w.Errorf("environment = %q, want TOKEN without its value", web.Container.Config.Env)
	}
	if !web.Container.NetworkSettings.Networks["bridge"].IPAddress.Is4() {
		w.Error("the container has lost its address")
	}
	w.hides(string(web.Raw))
	images, err := c.ImageList(ctx, client.ImageListOptions{All: true})
	w.check(err)
	_, err = c.ImageInspect(ctx, images.Items[0].ID)
	w.check(err)
	_, err = c.ImageHistory(ctx, "bb:1")
	w.check(err)
	volumes, err := c.VolumeList(ctx, client.VolumeListOptions{})
	w.check(err)
	networks, err := c.NetworkList(ctx, client.NetworkListOptions{})
	w.check(err)
	if len(volumes.Items) != 1 || len(networks.Items) != 3 {
		w.Errorf("%d volumes and %d networks, want 1 and 3", len(volumes.Items), len(networks.Items))
	}
	_, err = c.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{Verbose: true})
	w.check(err)
	_, err = c.DiskUsage(ctx, client.DiskUsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true, Verbose: true})
	w.check(err)
	stats, err := c.ContainerStats(ctx, "web", client.ContainerStatsOptions{})
	w.check(err)
	w.check(json.NewDecoder(stats.Body).Decode(&struct{}{}))
	w.check(stats.Body.Close())

	w.goFollowsEvents(c)
	for what, err := range map[string]error{
		"create": second(c.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "bb:1", Name: "evil"})),
		"kill":   second(c.ContainerKill(ctx, "web", client.ContainerKillOptions{Signal: "KILL"})),
		"logs":   second(c.ContainerLogs(ctx, "web", client.ContainerLogsOptions{ShowStdout: true})),
	} {
		if err == nil || !strings.Contains(err.Error(), "vitrine: uid:4201 may not") {
			w.Errorf("%s: %v, want a refusal of vitrine's", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// goFollowsEvents sees an event that happens while it listens.
func (w *world) goFollowsEvents(c *client.Client) {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	stream := c.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.Add("event", "pause")})
	w.pauseUntil(func() string {
		select {
		case m := <-stream.Messages:
			return string(m.Action) + " " + m.Actor.Attributes["name"]
		case err := <-stream.Err:
			return err.Error()
		}
	}, "pause web")
}

// pythonLooks uses Debian's python3-docker.
func (w *world) pythonLooks() {
	script, err := os.ReadFile("testdata/look.py")
	w.check(err)
	cmd := exec.Command("/usr/bin/python3", "-c", string(script), "unix://"+w.p.Socket)
	w.wants(w.output(as(cmd, lookUID)), "looked")
}

// startPrometheus lets it discover containers; the answer waits for what it finds.
func (w *world) startPrometheus() func(*world) {
	dir := filepath.Join(w.e.Dir, "prometheus")
	w.check(os.Mkdir(dir, 0o755))
	w.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.check(os.Chown(dir, lookUID, lookUID))
	config := filepath.Join(dir, "prometheus.yml")
	w.check(os.WriteFile(config, []byte(`
scrape_configs:
- job_name: docker
  docker_sd_configs:
  - {host: "unix:///run/vitrine/docker/docker.sock", refresh_interval: 1s}
`), 0o644))
	cmd := w.e.Command("setpriv", "--reuid=4201", "--regid=4201", "--clear-groups", "prometheus",
		"--config.file="+config, "--storage.tsdb.path="+dir+"/data", "--web.listen-address=127.0.0.1:9090")
	log, err := os.Create(filepath.Join(w.TempDir(), "prometheus.log"))
	w.check(err)
	cmd.Stdout, cmd.Stderr = log, log
	w.check(cmd.Start())
	w.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	return func(w *world) {
		http := &http.Client{Transport: &http.Transport{DialContext: w.e.Dial, DisableKeepAlives: true}}
		// It publishes what it has discovered every 5 s.
		w.eventually("Prometheus to find the container", func() error { return findTarget(http) })
		text, err := os.ReadFile(log.Name())
		w.check(err)
		if strings.Contains(string(text), "vitrine:") {
			w.Errorf("Prometheus was refused something:\n%s", text)
		}
	}
}

func findTarget(c *http.Client) error {
	res, err := c.Get("http://127.0.0.1:9090/api/v1/targets")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			ActiveTargets []struct {
				DiscoveredLabels map[string]string
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	for _, t := range answer.Data.ActiveTargets {
		l := t.DiscoveredLabels
		if l["__meta_docker_container_name"] != "/web" {
			continue
		}
		if l["__meta_docker_container_label_team"] != "sre" || !strings.HasSuffix(l["__address__"], ":8080") || l["__meta_docker_network_name"] != "bridge" {
			return fmt.Errorf("labels %v are not those of web", l)
		}
		return nil
	}
	return errors.New("no target for web")
}

// buildKitClosed: nobody can judge the gRPC that BuildKit speaks. A session takes the hazard buildkit, and the calls of buildx an admin.
func (w *world) buildKitClosed() {
	for uid, path := range map[uint32]string{lookUID: "session", operatorUID: "grpc"} {
		c, err := vitrine.As(w.T, int(uid)).Dial(w.p.Socket)
		w.check(err)
		_, err = io.WriteString(c, "POST /"+path+" HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		w.check(err)
		answer, err := io.ReadAll(c) // ends: what comes behind is no request
		w.check(err)
		w.wants(string(answer), "HTTP/1.1 403 ", fmt.Sprintf("vitrine: uid:%d may not %s%s", uid, strings.ToUpper(path[:1]), path[1:]))
		w.check(c.Close())
	}

	dir := w.folder(map[string]string{"Dockerfile": "FROM bb:1\nRUN touch /evil\n"})
	cmd := w.command("build", "--tag", "evil:1", dir)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
	if out, err := w.try(as(cmd, lookUID)); err == nil {
		w.Errorf("docker built it:\n%s", out)
	}
	if got := w.e.Docker("images", "--quiet", "evil"); got != "" {
		w.Errorf("the image was built: %s", got)
	}
}
