package tools

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/audit"
	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

var update = flag.Bool("update", false, "write the table into docs/tools.md")

// commands are run in this order, as root, by a gateway that lets root do everything. One that ends in a "!" fails here, as
// there is no registry to answer it, once it has asked all that it asks.
const commands = `
version
info
ps
images
inspect web
logs web
top web
stats --no-stream web
port web
diff web
events --since 0 --until 1
run --rm bb:1 true
run --detach --name two bb:1 sleep 1000
exec web true
cp web:/etc/passwd -
cp FILE web:/tmp/file
attach talk
stop --time 0 two
start two
restart --time 0 two
pause two
unpause two
update --cpu-shares 512 two
rename two second
kill second
wait second
rm second
create --name third bb:1 true
commit third made:1
export third
container prune --force
build --tag built:1 CONTEXT
tag built:1 other:1
history built:1
save built:1
load --input TAR
import TAR imported:1
rmi imported:1
image prune --force
pull 127.0.0.1:1/none !
push 127.0.0.1:1/none !
login --username x --password y 127.0.0.1:1 !
volume create cache
volume ls
volume inspect cache
volume rm cache
volume prune --force
network create net
network ls
network inspect net
network connect net web
network disconnect net web
network rm net
network prune --force
system df
compose up --detach
compose ps
compose logs
compose exec -T shop true
compose stop --timeout 0
compose down --timeout 0
`

// TestCommandsAsk holds the tables of docs/tools.md against what the commands ask.
func TestCommandsAsk(t *testing.T) {
	name := os.Getenv("VITRINE_ENGINE")
	if name == "" {
		name = "20"
	}
	e := engine.Start(t, engine.Options{})
	must(t, e.ImportBusybox())
	p := vitrine.Start(t, vitrine.Options{Engine: e, Alone: true})
	e.Docker("run", "--detach", "--name", "web", "bb:1", "sleep", "1000")
	e.Docker("run", "--detach", "--interactive", "--name", "talk", "bb:1", "sh", "-c", "read line") // ends when attach is told a line
	dir := t.TempDir()
	for file, text := range map[string]string{
		"file": "x\n", "context/Dockerfile": "FROM bb:1\nRUN true\n",
		"compose.yaml": "services:\n  shop:\n    image: bb:1\n    command: sleep 1000\n    volumes: [\"data:/data\"]\nvolumes: {data: {}}\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
	}
	e.Docker("save", "--output", filepath.Join(dir, "tar"), "bb:1")

	asked := map[string]string{}
	var order []string
	for line := range strings.Lines(strings.TrimSpace(commands)) {
		command, fails := strings.CutSuffix(strings.TrimSpace(line), " !")
		args := strings.Fields(strings.NewReplacer("FILE", dir+"/file", "CONTEXT", dir+"/context", "TAR", dir+"/tar").Replace(command))
		shown := "docker " + strings.NewReplacer("127.0.0.1:1/none", "IMAGE", "127.0.0.1:1", "REGISTRY", "--password y ", "", "--username x ", "", " --time 0", "", " --timeout 0", "").Replace(command)
		order = append(order, shown)
		asked[shown] = operations(t, p, command, func() {
			cmd := docker(e, p.Socket, dir, args)
			cmd.Stdin = strings.NewReader("line\n")
			if out, err := cmd.CombinedOutput(); err != nil && !fails {
				t.Errorf("docker %s: %v\n%.400s", command, err, out)
			}
		})
	}
	write(t, name, order, asked)
}

// docker is the engine's own command line, or its compose, asking the gateway.
func docker(e *engine.Engine, socket, dir string, args []string) *exec.Cmd {
	cmd := e.DockerCommand(socket, args...)
	if args[0] == "compose" {
		program := "docker-compose"
		if own := filepath.Join(e.Dir, "state/docker/cli-plugins/docker-compose"); exists(own) {
			program = own
		}
		cmd = exec.Command(program, slices.Concat([]string{"--project-name", "proj", "--file", dir + "/compose.yaml"}, args[1:])...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=" + dir + "/config", "DOCKER_HOST=unix://" + socket}
	}
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0")
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// operations are those that were recorded while f ran: each once, the ping first, then sorted, as some are asked at a time. A last
// request of our own marks the end.
func operations(t *testing.T, p *vitrine.Process, command string, f func()) string {
	t.Helper()
	before := len(p.Audit())
	f()
	c, err := net.Dial("unix", p.Socket)
	must(t, err)
	defer c.Close()
	if _, err := vitrine.Ask(c, "GET", "/volumes/end-of-command", ""); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var records []audit.Record
	p.Eventually("the record of the end", func() error {
		records = p.Audit()[before:]
		if i := slices.IndexFunc(records, func(r audit.Record) bool { return r.URI == "/volumes/end-of-command" }); i >= 0 {
			records = records[:i]
			return nil
		}
		return fmt.Errorf("%d records", len(records))
	})
	var ping string
	var found []string
	for _, r := range records {
		switch {
		case !r.Allow || r.Operation == "":
			t.Errorf("%s: %s %s: %v", command, r.Method, r.URI, r.Reasons)
		case r.Operation == "SystemPing" || r.Operation == "SystemPingHead":
			ping = "ping"
		case !slices.Contains(found, r.Operation):
			found = append(found, r.Operation)
		}
	}
	slices.Sort(found)
	if ping != "" {
		found = append([]string{ping}, found...)
	}
	if len(found) == 0 {
		t.Errorf("%s asks nothing", command)
	}
	return strings.Join(found, ", ")
}

const page = "../../../docs/tools.md"

// write holds one engine's table, or writes it. That of 28 has only what differs.
func write(t *testing.T, name string, order []string, asked map[string]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	section := func(name string) *regexp.Regexp {
		return regexp.MustCompile(`(?s)(<!-- generated: commands ` + name + ` -->\n).*?(<!-- end -->)`)
	}
	if !section(name).Match(text) {
		return // 26 and 28c: that they run is enough
	}
	var b strings.Builder
	b.WriteString("| command | asks |\n|---|---|\n")
	first := section("20").FindString(string(text))
	for _, command := range order {
		row := fmt.Sprintf("| `%s` | %s |\n", command, asked[command])
		if name == "20" || !strings.Contains(first, row) {
			b.WriteString(row)
		}
	}
	want := section(name).ReplaceAllString(string(text), "${1}"+strings.ReplaceAll(b.String(), "$", "$$")+"${2}")
	if *update {
		must(t, os.WriteFile(page, []byte(want), 0o644))
	} else if want != string(text) {
		t.Errorf("docs/tools.md is not what the commands ask: run with -update, and read the difference. They ask\n%s", b.String())
	}
}
