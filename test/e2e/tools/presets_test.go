package tools

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"vitrine/rego"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// toolsEnv names a folder with the tools themselves, which come from their own projects: docs/tools.md says how each is had. A
// machine that wants this check puts them there; a tool that is not there is said to be absent.
const toolsEnv = "VITRINE_TOOLS"

// tool is one of them, under its preset.
type tool struct {
	name, preset string             // name: of its file
	run          string             // for the shell, as a user of the host; $T is the folder, $W one to write to, $S the gateway's socket
	says         string             // what it only writes if it has been answered
	asks         string             // operations, at least
	refused      string             // operations that its preset is there to deny: each is asked, and denied; no other is
	before       func(w *toolWorld) // what it needs besides the container web
	after        func(w *toolWorld)
}

//go:embed testdata/portainer.sh
var portainer string

func toolsToRun() []tool {
	return []tool{
		{
			name: "watchtower", preset: "watchtower", says: "Updated=1", asks: "ContainerKill ContainerDelete ContainerCreate NetworkDisconnect NetworkConnect ContainerStart", after: (*toolWorld).webIsNew,
			run: `DOCKER_API_VERSION=1.41 $T/watchtower --run-once --no-startup-message --no-pull --label-enable --stop-timeout 1s`,
		},
		{
			name: "diun", preset: "diun", says: "Jobs completed", asks: "ContainerList ImageInspect",
			run: `printf 'db: {path: %s/diun.db}\nwatch: {runOnStartup: true, schedule: "0 0 1 1 *"}\nproviders: {docker: {endpoint: "unix://%s", watchByDefault: true}}\n' $W $S > $W/diun.yml; timeout 20 $T/diun serve --config $W/diun.yml || true`,
		},
		{
			name: "docker-volume-backup", preset: "backup", says: "Stopping 1 out of", asks: "ContainerStop ContainerStart",
			run: `mkdir -p $W/src $W/to; BACKUP_SOURCES=$W/src BACKUP_ARCHIVE=$W/to BACKUP_FILENAME=b.tar.gz $T/docker-volume-backup`,
		},
		{
			name: "telegraf", preset: "telegraf", says: "container_name=web", asks: "SystemInfo ContainerList ContainerInspect ContainerStats",
			run: `printf '[[inputs.docker]]\n  endpoint = "unix://%s"\n' $S > $W/telegraf.conf; $T/telegraf --config $W/telegraf.conf --test`,
		},
		{
			name: "cadvisor", preset: "cadvisor", says: `name="web"`, asks: "SystemInfo SystemVersion ContainerInspect ImageList", before: (*toolWorld).layersMayBeRead,
			run: `$T/cadvisor -docker unix://$S -docker_only -port 18080 -listen_ip 127.0.0.1 -logtostderr > $W/o 2>&1 & ` + until(`curl -fsS http://127.0.0.1:18080/metrics > $W/m; grep -q 'name="web"' $W/m`) +
				`; curl -fsS http://127.0.0.1:18080/docker/ | grep bb:1; cat $W/o; grep -m 3 'name="web"' $W/m; kill %1`,
		},
		{
			name: "traefik-provider", preset: "traefik", says: "Host(`shop`)", asks: "SystemVersion ContainerList ContainerInspect SystemEvents", before: (*toolWorld).shop,
			run: `$T/traefik-provider docker unix://$S > $W/o 2>&1 & ` + until("test $(grep -c 'Host(.shop.)' $W/o) -gt 1") + `; cat $W/o; kill %1`,
		},
		{
			name: "traefik-provider", preset: "traefik-swarm", says: "Host(`shop`)", asks: "SystemVersion ServiceList NetworkList TaskList NodeInspect", before: (*toolWorld).shopInSwarm,
			run: `$T/traefik-provider swarm unix://$S > $W/o 2>&1 & ` + until("test $(grep -c 'Host(.shop.)' $W/o) -gt 1") + `; cat $W/o; kill %1`,
		},
		{
			name: "crowdsec-docker", preset: "crowdsec", says: "read: /turns hello", asks: "SystemInfo ContainerList ContainerInspect ContainerLogs SystemEvents", before: (*toolWorld).shop,
			run: `printf 'source: docker\ncontainer_name_regexp: [".*"]\ndocker_host: "unix://%s"\nlabels: {type: any}\n' $S > $W/c.yaml; $T/crowdsec-docker $W/c.yaml > $W/o 2>&1 & ` + until("grep -q '^read: /turns' $W/o") + `; cat $W/o; kill %1`,
		},
		{
			name: "dozzle", preset: "dozzle", says: "hello", asks: "SystemInfo SystemVersion ContainerList ContainerInspect ContainerLogs ContainerStats SystemEvents", before: (*toolWorld).shop,
			run: `cd $W; DOZZLE_NO_ANALYTICS=1 DOZZLE_RELEASE_CHECK_MODE=manual $T/dozzle --addr 127.0.0.1:18081 & A=http://127.0.0.1:18081/api; ` + until("curl -fsS -m 3 -N $A/events/stream > $W/e; grep -q container-stat $W/e") +
				`; H=$(grep -o '"host":"[^"]*"' $W/e | head -1 | cut -d'"' -f4); I=$(grep -o '{"id":"[^"]*","name":"turns"' $W/e | head -1 | cut -d'"' -f4); curl -sS -m 5 -N "$A/hosts/$H/containers/$I/logs/stream?stdout=1&stderr=1&levels=unknown"; kill %1`,
		},
		{
			name: "glances", preset: "glances", says: "'name': 'web'", asks: "SystemVersion ContainerList ContainerInspect ContainerStats",
			run: `timeout 100 $T/glances --disable-check-update --disable-autodiscover --disable-plugin all --enable-plugin containers --stdout containers --time 1 --stop-after 4`,
		},
		{
			name: "homepage", preset: "homepage", says: "discovered:", asks: "ContainerList ContainerInspect ContainerStats ServiceInspect TaskList", before: func(w *toolWorld) { w.shop(); w.shopInSwarm() },
			run: `printf 'my: {socket: "%s"}\n' $S > $W/docker.yaml; export HOMEPAGE_CONFIG_DIR=$W; $T/homepage discover shop@my > $W/o 2>&1; printf 'my: {socket: "%s", swarm: true}\n' $S > $W/docker.yaml; ` +
				`shown() { $T/homepage tasks@my >> $W/o 2>&1; for seen in 'discovered: .*Shop' 'status shop@my .200.*running' 'stats shop@my .200.*memory_stats' 'status tasks@my .200.*running' ` +
				`'stats tasks@my .200.*memory_stats'; do grep -q "$seen" $W/o || return 1; done; }; ` + until("shown") + `; R=$?; cat $W/o; exit $R`,
		},
		{
			name: "wud", preset: "wud", says: `"name":"turns"`, asks: "ContainerList ContainerInspect ImageInspect SystemEvents", before: (*toolWorld).shop,
			run: `WUD_STORE_PATH=$W WUD_WATCHER_LOCAL_SOCKET=$S WUD_SERVER_PORT=18082 $T/wud > $W/o 2>&1 & ` + until(`curl -fsS -m 3 http://127.0.0.1:18082/api/containers > $W/c; grep -q '"name":"turns"' $W/c && grep -q 'Status changed' $W/o`) + `; cat $W/o $W/c; kill -9 %1`,
		},
		{
			name: "portainer", preset: "portainer-readonly", says: "all pages", before: (*toolWorld).swarmOfEverything, run: portainer,
			asks: "SystemInfo SystemVersion SystemEvents ContainerList ContainerInspect ContainerLogs ContainerStats ImageList ImageInspect ImageHistory VolumeList VolumeInspect NetworkList NetworkInspect " +
				"PluginList NodeList NodeInspect ServiceList ServiceInspect ServiceLogs TaskList TaskInspect TaskLogs SecretList SecretInspect ConfigList ConfigInspect",
			refused: "ContainerTop SwarmInspect ImageGetAll ContainerStop ContainerRestart ContainerExec ContainerCreate ContainerDelete ImageCreate ImageDelete VolumeCreate VolumeDelete " +
				"NetworkCreate ServiceUpdate ServiceDelete",
		},
		{
			name: "nextcloud-appapi", preset: "nextcloud-appapi", says: "runs: true\nremoved: \"\"\nvolume: {\"success\":true}", before: (*toolWorld).externalApp,
			run:  `case $(curl -sS --unix-socket $S http://docker/version) in *'"ApiVersion":"1.41"'*) export API=v1.41 ;; esac; $T/nextcloud-appapi`, // app_api's own is 1.44, and a setting
			asks: "ImageCreate ImageInspect VolumeCreate ContainerCreate ContainerStart ContainerExec PutContainerArchive ContainerStop ContainerInspect ContainerLogs ContainerDelete VolumeDelete",
		},
		{
			name: "gitlab-runner-docker", preset: "gitlab-runner", says: "both jobs passed", before: (*toolWorld).jobImages, run: "cd $W; $T/gitlab-runner-docker",
			asks: "SystemInfo SystemVersion ImageInspect ContainerCreate ContainerAttach ContainerStart ContainerInspect ContainerWait ContainerDelete NetworkCreate NetworkDelete VolumeCreate",
		},
		{
			name: "autoheal", preset: "autoheal", says: "Restarting container now", asks: "ContainerList ContainerRestart",
			run: `DOCKER_SOCK=$S AUTOHEAL_INTERVAL=1 AUTOHEAL_DEFAULT_STOP_TIMEOUT=1 timeout 20 bash $T/autoheal autoheal || true`,
		},
	}
}

// until is the shell's: a minute of a command's tries, which end when it succeeds. The last one says whether it did.
func until(command string) string {
	return `for i in $(seq 60); do ` + command + ` && break; sleep 1; done; ` + command
}

// roleOf is what a preset calls its role, and the operations that this names.
func roleOf(t *testing.T, preset []byte) (name string, ids []string) {
	t.Helper()
	var data struct {
		Roles map[string]struct{ Operations []string }
	}
	must(t, yaml.Unmarshal(preset, &data))
	if len(data.Roles) != 1 {
		t.Fatalf("%d roles", len(data.Roles))
	}
	for name, role := range data.Roles {
		return name, role.Operations
	}
	return "", nil
}

type toolWorld struct {
	*testing.T
	e *engine.Engine
	p *vitrine.Process
}

// shop is a healthy container that Traefik and Homepage are told of; turns is one that says hello, and ends and
// starts again every few seconds (Docker waits ever longer for one that ran less than ten), of an image that WUD finds a registry for.
func (w *toolWorld) shop() {
	w.e.Docker("run", "--detach", "--name", "shop", "--label", "traefik.http.services.shop.loadbalancer.server.port=80",
		"--label", "homepage.name=Shop", "--label", "homepage.group=all", "bb:1", "sleep", "100000")
	w.e.Docker("tag", "bb:1", "ghcr.io/example/bb:1")
	w.e.Docker("run", "--detach", "--name", "turns", "--restart", "always", "ghcr.io/example/bb:1", "sh", "-c", "echo hello; sleep 11")
}

// shopInSwarm is a service that Traefik reaches by the swarm's own address of it, and one whose tasks are looked for.
func (w *toolWorld) shopInSwarm() {
	w.e.Docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	w.e.Docker("network", "create", "--driver", "overlay", "front")
	w.e.Docker("service", "create", "--detach", "--no-resolve-image", "--name", "shop", "--network", "front",
		"--label", "traefik.swarm.lbswarm=true", "--label", "traefik.http.services.shop.loadbalancer.server.port=80", "bb:1", "sleep", "100000")
	w.e.Docker("service", "create", "--detach", "--no-resolve-image", "--name", "tasks", "bb:1", "sleep", "100000")
}

// swarmOfEverything has one of each thing that a page of Portainer's shows.
func (w *toolWorld) swarmOfEverything() {
	w.shopInSwarm()
	w.e.Docker("volume", "create", "data")
	for _, kind := range []string{"secret", "config"} {
		w.e.Docker(kind, "create", "one", "/proc/version")
	}
}

// externalApp is the image of an app of Nextcloud's, which can be given certificates.
func (w *toolWorld) externalApp() {
	w.e.Docker("network", "create", "nextcloud")
	w.e.Docker("run", "--name", "app", "bb:1", "sh", "-c", "mkdir -p /etc /usr/local/share/ca-certificates; echo ID=alpine > /etc/os-release; echo '#!/bin/sh' > /bin/update-ca-certificates; chmod +x /bin/update-ca-certificates")
	w.e.Docker("commit", "--change", `CMD ["sh","-c","echo hello; trap exit TERM; while :; do sleep 1; done"]`, "app", "ghcr.io/nextcloud/bot:latest")
	w.e.Docker("rm", "app")
}

// jobImages are those of a job of GitLab's, of its service, which answers on a port, and of the runner's helper, of which a job without sources needs a shell.
func (w *toolWorld) jobImages() {
	w.e.Docker("tag", "bb:1", "alpine")
	for image, made := range map[string][]string{
		"postgres": {`CMD ["httpd","-f","-p","80"]`, "echo served > /index.html", "EXPOSE 80"},
		"registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-latest": {`CMD ["sh"]`, "mkdir -p /usr/bin; for f in gitlab-runner-build gitlab-runner-helper; do printf '#!/bin/sh\\ntest $0 = /usr/bin/gitlab-runner-helper || exec /bin/sh\\n' > /usr/bin/$f; chmod +x /usr/bin/$f; done", "WORKDIR /"},
	} {
		w.e.Docker("run", "--name", "made", "bb:1", "sh", "-c", made[1])
		w.e.Docker("commit", "--change", made[0], "--change", made[2], "made", image)
		w.e.Docker("rm", "made")
	}
}

// layersMayBeRead is what cAdvisor has as root: it looks in Docker's own folder for the layer that a container writes to.
func (w *toolWorld) layersMayBeRead() {
	w.Helper()
	for dir := filepath.Join(w.e.Dir, "data/image/overlay2/layerdb/mounts"); dir != w.e.Dir; dir = filepath.Dir(dir) {
		must(w.T, os.Chmod(dir, 0o711))
	}
}

// webIsNew: the container was made anew, of the image that its name means now.
func (w *toolWorld) webIsNew() {
	w.Helper()
	if now, want := w.e.Docker("inspect", "--format", "{{.Image}}", "web"), w.e.Docker("inspect", "--format", "{{.Id}}", "bb:1"); now != want {
		w.Errorf("web has the image %s, and bb:1 is %s", now, want)
	}
}

// TestToolsUnderTheirPresets: each does its work, and asks for nothing that its preset denies.
func TestToolsUnderTheirPresets(t *testing.T) {
	folder := os.Getenv(toolsEnv)
	if folder == "" {
		t.Skipf("%s is not set: the tools themselves are run where a folder has them", toolsEnv)
	}
	ran := 0
	for i, tool := range toolsToRun() {
		t.Run(tool.preset, func(t *testing.T) {
			if !exists(filepath.Join(folder, tool.name)) {
				t.Skipf("absent: %s has no %s", folder, tool.name)
			}
			ran++
			uid := 4600 + i
			raw, _, err := rego.Preset(tool.preset)
			must(t, err)
			name, operations := roleOf(t, raw)
			role, _, _ := strings.Cut(string(raw), "\nbindings:")
			w := &toolWorld{T: t, e: engine.Start(t, engine.Options{})}
			must(t, w.e.ImportBusybox())
			w.e.Docker("run", "--detach", "--name", "web", "--label", "com.centurylinklabs.watchtower.enable=true", "--label", "autoheal=true", "--label", "docker-volume-backup.stop-during-backup=true",
				"--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1", "bb:1", "sleep", "100000")
			w.e.Docker("run", "--name", "plain", "bb:1", "true")
			w.e.Docker("commit", "--change", "LABEL newer=1", "plain", "bb:1")
			w.e.Docker("rm", "plain")
			if tool.before != nil {
				tool.before(w)
			}
			locks := w.e.Path("/run/lock")
			must(t, os.MkdirAll(locks, 0o755))
			must(t, os.Chmod(locks, 0o777|os.ModeSticky))
			w.p = vitrine.Start(t, vitrine.Options{Engine: w.e, Alone: true, Data: role + fmt.Sprintf("\nbindings:\n  admin: [\"unix:root\", \"local\"]\n  %s: [\"uid:%d\"]\n", name, uid)})
			dir := filepath.Join(w.e.Dir, "state/tool")
			must(t, os.MkdirAll(dir, 0o755))
			must(t, os.Chown(dir, uid, uid))
			id := fmt.Sprint(uid)
			cmd := w.e.Command("setpriv", "--reuid="+id, "--regid="+id, "--clear-groups", "env", "HOME="+dir, "LOGNAME=tool", "T="+folder, "W="+dir, "S=/run/vitrine/docker/docker.sock",
				"DOCKER_HOST=unix:///run/vitrine/docker/docker.sock", "bash", "-c", tool.run)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tool.says) {
				t.Errorf("%v: it says no %q:\n%s", err, tool.says, out)
			}
			asked, refused := map[string]int{}, strings.Fields(tool.refused)
			for _, r := range w.p.Audit() {
				if r.Caller.UID != nil && *r.Caller.UID == uint32(uid) {
					if asked[r.Operation]++; r.Allow == slices.Contains(refused, r.Operation) {
						t.Errorf("allowed %v: %s %s: %v", r.Allow, r.Method, r.URI, r.Reasons)
					}
				}
			}
			t.Logf("asked %v; did not ask %v", asked, slices.DeleteFunc(operations, func(id string) bool { return asked[id] > 0 }))
			for _, id := range slices.Concat(strings.Fields(tool.asks), refused) {
				if asked[id] == 0 {
					t.Errorf("it did not ask %s", id)
				}
			}
			if tool.after != nil {
				tool.after(w)
			}
		})
	}
	if ran == 0 {
		t.Errorf("%s has none of the tools", folder)
	}
}
