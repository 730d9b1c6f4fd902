package docs

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

// TestLockedOut runs what docs/install.md tells who is locked out, in situations in which he is. An editor and systemd
// are the test's own.
func TestLockedOut(t *testing.T) {
	named := map[string]any{"authorization-plugins": []string{"vitrine"}}
	for name, situation := range map[string]struct {
		heading string
		options vitrine.Options
		broken  map[string]string // written once it runs
		stopped bool              // and then started again
	}{
		"nobody is admin":                 {heading: "The host is admin again", options: vitrine.Options{Data: "strict: true\nbindings: {look: [\"tls:x\"]}\n"}},
		"a broken first policy":           {heading: "The host is admin again", options: vitrine.Options{NotReady: true, Data: "bindings: ["}},
		"a broken policy after a restart": {heading: "The host is admin again", options: vitrine.Options{Data: "strict: true\nbindings: {look: [\"tls:x\"]}\n"}, broken: map[string]string{"data.yaml": ""}, stopped: true},
		"rules that allow nothing":        {heading: "The rules are your own", options: vitrine.Options{Rego: "package docker.authz\n\ndefault allow := false\n"}},
		"a plugin that is not there":      {heading: "dockerd refuses to start", options: vitrine.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := engine.Start(t, engine.Options{})
			situation.options.Engine = e
			p := vitrine.Start(t, situation.options)
			must(t, e.WriteDaemonJSON(named))
			must(t, e.Hangup())
			for file, content := range situation.broken {
				p.WritePolicy(file, content)
			}
			if situation.stopped {
				p.Stop()
				p.Run()
			}
			if situation.heading != "dockerd refuses to start" {
				wait.Until(t, "everybody to be locked out", func() bool { return status(t, e.Socket) == http.StatusForbidden })
			}

			cmd := e.Command("bash", "-s")
			cmd.Env = append(engine.Environ(), "PATH="+filepath.Dir(e.CLI())+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+e.Dir+"/state/docker", "HOME="+t.TempDir())
			shell := transcript.Start(t, cmd)
			run := func(heading string) {
				t.Helper()
				for _, command := range commandsBelow(t, heading) {
					switch word, _, _ := strings.Cut(command.text, "  "); {
					case strings.HasPrefix(word, "editor") && strings.Contains(command.text, "put it back"):
						must(t, e.WriteDaemonJSON(named))
					case strings.HasPrefix(word, "editor"):
						must(t, e.WriteDaemonJSON(map[string]any{}))
					case word == "systemctl start docker":
						must(t, e.Resume())
					case word == "systemctl start vitrine":
						p.Run()
						p.WaitReady()
					default:
						shell.Run("# " + strings.NewReplacer("/root/", "$HOME/", "/run/docker.pid", "/run/dockerd.pid").Replace(command.text) + "\n" + command.prints)
					}
				}
			}
			if situation.heading == "dockerd refuses to start" {
				p.Stop()
				must(t, e.Kill())
				if err := e.Resume(); err == nil {
					t.Error("dockerd starts without the plugin that daemon.json names")
				}
			} else {
				run("Locked out")
			}
			run(situation.heading)
		})
	}
}

type command struct{ text, prints string }

// commandsBelow are the commands of a section of docs/install.md, one by one.
func commandsBelow(t *testing.T, heading string) []command {
	t.Helper()
	var found []command
	for _, block := range transcript.Blocks(t, "../../../docs/install.md") {
		if block.Heading != heading || block.Lang != "console" {
			continue
		}
		for _, text := range transcript.Commands(block.Text) {
			_, below, _ := strings.Cut(block.Text, "# "+text+"\n")
			prints, _, _ := strings.Cut("\n"+below, "\n# ")
			found = append(found, command{text, strings.TrimPrefix(prints, "\n")})
		}
	}
	if len(found) == 0 {
		t.Fatalf("no commands below %q", heading)
	}
	return found
}

func status(t *testing.T, socket string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/containers/json", nil)
	must(t, err)
	res, err := engine.SocketClient(socket).Do(req)
	if err != nil {
		return 0
	}
	must(t, res.Body.Close())
	return res.StatusCode
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
