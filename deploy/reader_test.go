package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/transcript"
)

// reader does on a host what a page tells its reader, word for word. systemd and the editor are the test's own.
type reader struct {
	host
	shell  *transcript.Shell
	units  map[string]func() // what ends each that runs
	places *strings.Replacer // what is elsewhere here
}

// newReader is root, and begins in a folder.
func (h host) newReader(folder string, places ...string) *reader {
	h.Helper()
	return h.newReaderAs("root", folder, places...)
}

func (h host) newReaderAs(user, folder string, places ...string) *reader {
	h.Helper()
	config := "/nonexistent"
	if user == "root" {
		config = h.e.Dir + "/state/docker"
	}
	cmd := h.e.Command("setpriv", "--reuid="+user, "--regid="+user, "--clear-groups", "bash", "-s")
	cmd.Env = append(engine.Environ(), "DOCKER_CONFIG="+config, "PATH="+filepath.Dir(h.e.CLI())+":/usr/local/go/bin:"+os.Getenv("PATH"))
	r := &reader{h, transcript.Start(h.T, cmd), map[string]func(){}, strings.NewReplacer(append(places, "/run/docker.pid", "/run/dockerd.pid")...)}
	r.shell.Type("cd " + folder)
	return r
}

// blocks are those of a page below a heading.
func blocks(t *testing.T, page, heading string) []transcript.Block {
	t.Helper()
	found := slices.DeleteFunc(transcript.Blocks(t, page), func(b transcript.Block) bool { return b.Heading != heading })
	if len(found) == 0 {
		t.Fatalf("%s has no block below %q", page, heading)
	}
	return found
}

// follow does what a block says: a YAML file is the policy's.
func (r *reader) follow(block transcript.Block) {
	r.Helper()
	switch block.Lang {
	case "yaml":
		if err := os.WriteFile(r.e.Path("/etc/docker/vitrine/data.yaml"), []byte(block.Text), 0o644); err != nil {
			r.Fatal(err)
		}
	case "console":
		for _, step := range transcript.Steps(block.Text) {
			r.step(step)
		}
	}
}

func (r *reader) step(step transcript.Step) {
	r.Helper()
	switch {
	case strings.HasPrefix(step.Command, "editor /etc/docker/daemon.json") && strings.Contains(step.Command, `add: "authorization-plugins": ["vitrine"]`):
		if err := r.e.WriteDaemonJSON(map[string]any{"authorization-plugins": []string{"vitrine"}}); err != nil {
			r.Fatal(err)
		}
	case strings.Contains(step.Command, "systemctl "):
		for command := range strings.SplitSeq(strings.TrimSpace(step.Command), " && ") {
			if words := strings.Fields(command); words[0] == "systemctl" {
				r.systemctl(words[1], words[2:]...)
			} else {
				r.works(transcript.Step{Command: command + "\n"})
			}
		}
	default:
		step.Command, step.Prints = r.places.Replace(step.Command), r.places.Replace(step.Prints)
		r.works(step)
	}
}

// works runs a command: what it prints is what the text says, sooner or later; where the text shows nothing, or that it worked, its status is 0.
func (r *reader) works(step transcript.Step) {
	r.Helper()
	r.shell.Await(step)
	if status := strings.TrimSpace(r.shell.Type("echo $status")); step.Prints == "" && status != "0" && !strings.Contains(step.Command, "# exit "+status) {
		r.Errorf("%sended with status %s", step.Command, status)
	}
}

func (r *reader) systemctl(verb string, words ...string) {
	r.Helper()
	switch verb {
	case "daemon-reload":
	case "enable": // --now
		for _, unit := range words[1:] {
			r.start(unit)
		}
	case "restart":
		r.units[words[0]]()
		r.start(words[0])
	case "reload": // docker
		if err := r.e.Hangup(); err != nil {
			r.Fatal(err)
		}
	default:
		r.Errorf("what is systemctl %s?", verb)
	}
}

// start starts a unit as it is installed.
func (r *reader) start(unit string) {
	r.Helper()
	installed := r.sh("cat /etc/systemd/system/" + unit + ".service /usr/lib/systemd/system/" + unit + ".service 2>/dev/null || true")
	_, line, found := strings.Cut(installed, "\nExecStart=")
	if !found {
		r.Fatalf("no unit %s is installed", unit)
	}
	line, _, _ = strings.Cut(line, "\n")
	var as []string
	if _, user, found := strings.Cut(installed, "\nUser="); found {
		user, _, _ = strings.Cut(user, "\n")
		as = []string{"setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups", "--bounding-set=-all"}
	}
	r.units[unit] = run(r.T, r.e, append(as, strings.Fields(line)...))
	eventually(r.T, r.e, func() error { // and not before may it be ended
		if unit != "vitrine-monitor" {
			return status(r.e.Path(socket), "/_ping", http.StatusOK)
		}
		code, _, err := get(r.e, "/", "")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("the page answers %d", code)
		}
		return err
	})
}

// sources is a clone of the repository, in which a reader may build; what is not committed yet is in it too.
func sources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, exec.CommandContext(t.Context(), "sh", "-c", "cd .. && git ls-files -z --cached --others --exclude-standard -- ':!web' | tar --null --files-from - --create | tar -x -C "+dir))
	return dir
}

// asked: dockerd asks the plugin.
func (r *reader) asked() {
	r.Helper()
	eventually(r.T, r.e, func() error { return status(r.e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusForbidden) })
}

// done takes the plugin's name out of daemon.json again, so that all can end.
func (r *reader) done() {
	r.Helper()
	if err := r.e.WriteDaemonJSON(map[string]any{}); err != nil {
		r.Fatal(err)
	}
	if err := r.e.Hangup(); err != nil {
		r.Fatal(err)
	}
	eventually(r.T, r.e, func() error { return status(r.e.Socket, "/_ping?vitrine=1&vitrine=2", http.StatusOK) })
}
