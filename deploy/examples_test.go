package deploy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/vitrine"
)

// commandLines are the lists below v, in YAML or JSON, that begin with a command of our programs.
func commandLines(v any) (found [][]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, value := range v {
			found = append(found, commandLines(value)...)
		}
	case []any:
		if len(v) > 0 && (v[0] == "serve" || v[0] == "run") {
			var line []string
			for _, word := range v {
				text, _ := word.(string)
				line = append(line, text)
			}
			return [][]string{line}
		}
		for _, value := range v {
			found = append(found, commandLines(value)...)
		}
	}
	return found
}

// TestExamplesHaveFlagsThatThereAre: every example in this folder starts our programs with flags that they know.
func TestExamplesHaveFlagsThatThereAre(t *testing.T) {
	programs := map[string]string{"serve": binary(t, "authz-plugin"), "run": binary(t, "monitor")}
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !slices.Contains([]string{".yaml", ".json"}, filepath.Ext(path)) {
			return err
		}
		for document := range strings.SplitSeq(read(t, path), "\n---\n") {
			var v any
			if err := yaml.Unmarshal([]byte(document), &v); err != nil {
				return err
			}
			for _, line := range commandLines(v) {
				seen[filepath.Dir(path)] = true
				if out, err := exec.CommandContext(t.Context(), programs[line[0]], append(line, "--help")...).CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v\n%s", path, strings.Join(line, " "), err, out)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"compose", "swarm", "ecs", "kubernetes"} {
		if !seen[folder] {
			t.Errorf("no command line is in %s", folder)
		}
	}
}

// mounting is what a file of Compose and one of Kubernetes say of images and their mounts.
type mounting struct {
	Services map[string]struct {
		Image   string
		Volumes []string
	}
	Spec struct{ Template struct{ Spec podSpec } }
}

type podSpec struct {
	Containers []podContainer
	Volumes    []struct {
		Name     string
		HostPath struct{ Path string } `yaml:"hostPath"`
	}
	InitContainers []podContainer `yaml:"initContainers"`
}

type podContainer struct {
	Image        string
	VolumeMounts []struct{ Name string } `yaml:"volumeMounts"`
}

// mounts calls f with each image, and what of the host it is given.
func (m *mounting) mounts(f func(image, source string)) {
	for _, s := range m.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			f(s.Image, source)
		}
	}
	pod := m.Spec.Template.Spec
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, mount := range c.VolumeMounts {
			for _, v := range pod.Volumes {
				if v.Name == mount.Name {
					f(c.Image, v.HostPath.Path)
				}
			}
		}
	}
}

// TestOthersImagesGetLittleOfTheHostClosed: what is no image of ours has no folder of the host with Docker's socket or our settings in it.
func TestOthersImagesGetLittleOfTheHostClosed(t *testing.T) {
	for path, least := range map[string]int{"kubernetes/daemonset.yaml": 3, "compose/prometheus.yaml": 4} {
		others := 0
		for document := range strings.SplitSeq(read(t, path), "\n---\n") {
			var m mounting
			if err := yaml.Unmarshal([]byte(document), &m); err != nil {
				t.Fatal(err)
			}
			m.mounts(func(image, source string) {
				if strings.Contains(image, "vitrine/") {
					return
				}
				others++
				for _, closed := range []string{"/run/docker.sock", "/var/run/docker.sock", "/etc/vitrine/monitor.yaml", "/etc/docker/vitrine/config.yaml"} {
					if source == "/" || source == closed || strings.HasPrefix(closed, source+"/") {
						t.Errorf("%s: %s is given %s", path, image, source)
					}
				}
			})
		}
		if others < least {
			t.Errorf("%s: %d mounts were looked at", path, others)
		}
	}
}

// TestComposeTakesItsFiles without an Engine, and what they mount of this folder is there.
func TestComposeTakesItsFiles(t *testing.T) {
	requireProgram(t, "docker-compose")
	for _, files := range []string{"gateway.yaml", "monitor.yaml", "monitor.yaml behind-gateway.yaml", "prometheus.yaml"} {
		var arg []string
		for name := range strings.FieldsSeq(files) {
			arg = append(arg, "-f", filepath.Join("compose", name))
		}
		cmd := exec.CommandContext(t.Context(), "docker-compose", append(arg, "config")...)
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", files, err)
		}
		var merged struct {
			Services map[string]struct{ Volumes []any }
		}
		if err := yaml.Unmarshal(out, &merged); err != nil {
			t.Fatal(err)
		}
		here, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		for name, service := range merged.Services {
			for _, v := range service.Volumes {
				source, _, _ := strings.Cut(fmt.Sprint(v), ":")
				if m, long := v.(map[string]any); long {
					source, _ = m["source"].(string)
				}
				if !strings.HasPrefix(source, here) {
					continue
				}
				if _, err := os.Stat(source); err != nil {
					t.Errorf("%s: service %s mounts what is not there: %v", files, name, err)
				}
			}
		}
	}
}

// TestSwarm deploys the stack on a swarm of one node, with the policy of docs/deploy.md, and finds the monitor as a Prometheus on its network does.
func TestSwarm(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	e.Docker("build", "--quiet", "--tag", "vitrine/monitor", "--file", "monitor/Dockerfile", filepath.Dir(binary(t, "monitor")))
	var policy, settings string
	for _, block := range transcript.Blocks(t, "../docs/deploy.md") {
		if block.Heading == "Swarm" && block.Lang == "yaml" {
			if strings.Contains(block.Text, "bindings:") {
				policy = block.Text
			} else {
				settings = block.Text
			}
		}
	}
	if policy == "" || settings == "" {
		t.Fatal("docs/deploy.md has no policy and settings for a swarm")
	}
	config := e.Path("/etc/docker/vitrine/config.yaml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(config), 0o755), os.WriteFile(config, []byte(settings), 0o644)); err != nil {
		t.Fatal(err)
	}
	vitrine.Start(t, vitrine.Options{Engine: e, Data: policy})
	prepare(t, e)
	e.Docker("swarm", "init", "--advertise-addr", "127.0.0.1")
	secret := e.DockerCommand(e.Socket, "secret", "create", "page-token", "-")
	secret.Stdin = strings.NewReader("0123456789abcdefghij")
	must(t, secret)
	must(t, e.DockerCommand(e.Socket, "stack", "deploy", "--resolve-image", "never", "--compose-file", "swarm/monitor.yaml", "vitrine"))
	if out, err := e.DockerCommand(e.Socket, "run", "--rm", "--network", "vitrine_metrics", "bb:1", "true").CombinedOutput(); err == nil {
		t.Errorf("a container that is no task is on the network: %s", out)
	}
	e.Docker("service", "create", "--detach", "--no-resolve-image", "--name", "prometheus", "--network", "vitrine_metrics", "bb:1", "sleep", "600")
	ask := func(path, want string) error {
		id, err := e.DockerCommand(e.Socket, "ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=prometheus").Output()
		if err != nil || len(id) == 0 {
			return errors.Join(errors.New("the service of a Prometheus does not run yet"), err)
		}
		out, err := e.DockerCommand(e.Socket, "exec", strings.TrimSpace(string(id)), "wget", "-q", "-O-", "--header", "Authorization: Bearer 0123456789abcdefghij",
			"http://tasks.monitor:9780"+path).CombinedOutput()
		return has(string(out), want, err)
	}
	eventually(t, e, func() error { return ask("/metrics", "\ndocker_up 1\n") })
	eventually(t, e, func() error { return ask("/metrics", "\ndocker_mem_usage_bytes{container_name=\"vitrine_monitor.") })
	eventually(t, e, func() error { return ask("/api/authz-plugin/metrics", "vitrine_policy_last_load_success 1\n") })
}
