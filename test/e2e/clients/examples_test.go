package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// examples are the projects of testdata/examples, which have the shapes of those that
// https://github.com/docker/awesome-compose shows, written anew: their services are all a busybox that waits.
var examples = []struct {
	name    string
	healthy bool   // there are health checks to wait for
	exec    string // what is run in which service
}{
	{"api-db", true, "api cat /run/secrets/password /greeting"},
	{"blog", false, "db env"},
	{"front-back", false, "back cat /app/src/index.txt /mode"},
	{"graphs", false, "metrics cat /etc/metrics.yml"},
	{"health-chain", true, "proxy cat /etc/nginx/from"},
	{"host", false, "look cat /host/etc/group"},
	{"logs", false, "server cat /etc/server.conf"},
	{"names", false, "resolver cat /etc/hosts"},
	{"replicas", false, "cache ls -a /data"},
	{"router", false, "front ls -a /var/run/docker.sock"},
	{"search", true, "collect cat /etc/pipeline/main.conf"},
}

// TestComposeExamplesPassAsTheyDoDirectly: what the engine's own compose 2 can do with a project straight at an Engine,
// it can do through the gateway as admin, where dockerd asks us too: it prints the same, asks the same things with the
// same success, and leaves as little, which is nothing.
func TestComposeExamplesPassAsTheyDoDirectly(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Options{})
	program, ok := ownCompose(e)
	if !ok {
		t.Skip("this engine came without compose 2, which is that of the other engines")
	}
	folder, err := filepath.Abs("testdata/examples")
	if err != nil {
		t.Fatal(err)
	}
	importServices(t, e, folder)
	before := things(e)
	ways := map[string]map[string]seen{}
	walk := func(way, socket string) {
		ways[way] = map[string]seen{}
		s := &session{T: t, e: e, way: way, rec: record(t, socket), folder: folder, cli: e.CLI()}
		for _, one := range examples {
			s.run(ways[way], one.name+": ", exampleSteps(program, one.name, one.exec, one.healthy))
			e.Docker("image", "prune", "--force") // the stages of what was built
			if lacks, has := difference(before, things(e)); len(lacks)+len(has) > 0 {
				t.Errorf("%s, %s: it has taken %q away, and left %q", way, one.name, lacks, has)
			}
		}
		for name, one := range ways[way] { // how often it looks whether something is healthy is a matter of time
			one.wire, one.output = slices.Compact(one.wire), inAnyOrder.ReplaceAllStringFunc(one.output, sortedList)
			ways[way][name] = one
		}
	}
	walk("direct", e.Socket)
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData})
	p.Plug(nil)
	walk("gateway", p.Socket)
	for name, want := range ways["direct"] {
		if want.code != 0 {
			t.Errorf("directly, %s ends with %d:\n%s", name, want.code, want.output)
		}
		compare(t, "gateway", name, want, ways["gateway"][name])
	}
}

func exampleSteps(program, name, exec string, healthy bool) (steps []step) {
	up := "up --detach"
	if healthy {
		up += " --wait --wait-timeout 120"
	}
	for _, line := range []string{"config", up, "ps --all --format json", "exec -T " + exec, "stop", "logs", "down --volumes --rmi local"} {
		steps = append(steps, composeExample(program, name, line))
	}
	return steps
}

func composeExample(program, name, line string) step {
	return step{name: line, coarse: true, cmd: func(s *session) *exec.Cmd {
		args := []string{"--ansi=never", "--progress=plain", "--file", filepath.Join(s.folder, name, "compose.yaml")}
		cmd := exec.Command(program, append(args, strings.Split(line, " ")...)...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=" + s.folder + "/config", "DOCKER_HOST=unix://" + s.rec.socket,
			"COMPOSE_PARALLEL_LIMIT=1", "DOCKER_BUILDKIT=0", "ENGINE_SOCKET=" + s.e.Socket,
		}
		return cmd
	}}
}

// inAnyOrder are lists that compose or dockerd write in the order of a map of Go's.
var inAnyOrder = regexp.MustCompile(`"(?:Labels|Mounts|Networks)":"[^"]*"|"Publishers":\[[^]]*\]`)

// anonymous is the beginning of the name of a volume that has none.
var anonymous = regexp.MustCompile(`\b[0-9a-f]{14}…`)

func sortedList(list string) string {
	list = strings.ReplaceAll(anonymous.ReplaceAllString(list, "ID…"), "depends_on=", "depends_on=,") // a list in the list
	between := `",`
	if strings.HasPrefix(list, `"Publishers"`) {
		between = "{}"
	}
	parts := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(between, r) })
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// image is the image of a service, or what one is built from.
var image = regexp.MustCompile(`(?m)^(?: +image: |FROM )([a-z]+:\d+)\b`)

// importServices makes the images that the examples name: nothing can be pulled.
func importServices(t *testing.T, e *engine.Engine, folder string) {
	t.Helper()
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	e.Docker("run", "--name", "serve", "bb:1", "sh", "-c", "mkdir -p /tmp && chmod 1777 /tmp")
	e.Docker("cp", filepath.Join(folder, "serve"), "serve:/bin/serve")
	e.Docker("commit", "--change", `CMD ["serve"]`, "serve", "serve:1")
	e.Docker("rm", "--volumes", "serve")
	var files []string
	for _, pattern := range []string{"*/compose.yaml", "*/Dockerfile", "*/*/Dockerfile"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range image.FindAllSubmatch(text, -1) {
			e.Docker("tag", "serve:1", string(m[1]))
		}
	}
}

// things are the names of all that an Engine has.
func things(e *engine.Engine) []string {
	return slices.Concat(
		strings.Split(e.Docker("ps", "--all", "--format", "container {{.Names}}"), "\n"),
		strings.Split(e.Docker("images", "--all", "--format", "image {{.Repository}}:{{.Tag}}"), "\n"),
		strings.Split(e.Docker("network", "ls", "--format", "network {{.Name}}"), "\n"),
		strings.Split(e.Docker("volume", "ls", "--format", "volume {{.Name}}"), "\n"),
	)
}
