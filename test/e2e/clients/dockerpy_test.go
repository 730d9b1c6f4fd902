package clients

import (
	"encoding/xml"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

// dockerPyEnv names a checkout of github.com/docker/docker-py whose integration tests are run. Its tests are in no package
// of a distribution, so the machine that wants this check fetches them.
const dockerPyEnv = "VITRINE_DOCKER_PY"

// TestDockerPyItself runs docker-py's own integration tests as admin, straight at an Engine, at one that asks us, and
// through our gateway: what passes on the first passes on the others. Each way has an Engine of its own, as the tests
// take one that is empty. Those that pull an image fail everywhere, since nothing can be pulled here. Some are a race that they may lose
// straight too (docs/engines.md): what fails on the others alone is run again by itself, a few times.
func TestDockerPyItself(t *testing.T) {
	checkout := os.Getenv(dockerPyEnv)
	if checkout == "" {
		t.Skipf("%s is not set: docker-py's own tests are run from a checkout of github.com/docker/docker-py alone", dockerPyEnv)
	}
	direct := dockerPy(t, checkout, "direct", nil)
	if passed := count(direct, "passed"); passed < 100 {
		t.Fatalf("only %d of docker-py's %d tests pass without us: is this a checkout of it, and python3-pytest installed?", passed, len(direct))
	}
	for _, way := range []string{"plugin", "gateway"} {
		got := dockerPy(t, checkout, way, direct)
		t.Logf("%s: %d passed of %d; without us %d of %d", way, count(got, "passed"), len(got), count(direct, "passed"), len(direct))
		for _, name := range slices.Sorted(maps.Keys(direct)) {
			if direct[name] != got[name] && direct[name] == "passed" {
				t.Errorf("%s: %s passes without us, and here: %s", way, name, got[name])
			} else if direct[name] != got[name] {
				t.Logf("%s: %s: %.200s\nwithout us: %.200s", way, name, got[name], direct[name])
			}
		}
	}
}

func count(outcomes map[string]string, outcome string) int {
	n := 0
	for _, o := range outcomes {
		if o == outcome {
			n++
		}
	}
	return n
}

// dockerPy is what came of each of the tests: "passed", "skipped", or what failed. What passes directly, and not
// here, is run again, up to five times.
func dockerPy(t *testing.T, checkout, way string, direct map[string]string) map[string]string {
	t.Helper()
	outcomes := map[string]string{}
	t.Run(way, func(t *testing.T) {
		e := engine.Start(t, engine.Options{})
		for _, name := range []string{"alpine:3.10", "alpine:latest", "busybox:latest"} {
			if err := e.ImportImage(name); err != nil {
				t.Fatal(err)
			}
		}
		socket := e.Socket
		if way != "direct" {
			p := vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData})
			if way == "gateway" {
				socket = p.Socket
			} else {
				p.Plug(nil)
			}
		}
		pytest(t, e, checkout, socket, outcomes, "tests/integration")
		for range 5 {
			var again []string
			for _, name := range slices.Sorted(maps.Keys(direct)) {
				if direct[name] == "passed" && outcomes[name] != "passed" {
					t.Logf("%s: %s: %.300s: once more", way, name, outcomes[name])
					parts := strings.SplitN(name, ".", 3) // file, class, test
					again = append(again, "tests/integration/"+parts[0]+".py::"+strings.Join(parts[1:], "::"))
				}
			}
			if len(again) > 0 {
				pytest(t, e, checkout, socket, outcomes, again...)
			}
		}
	})
	return outcomes
}

// pytest runs some of the tests, and notes what came of each.
func pytest(t *testing.T, e *engine.Engine, checkout, socket string, outcomes map[string]string, which ...string) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.xml")
	// In the Engine's network: some tests connect to ports that they publish.
	cmd := e.Command("/usr/bin/python3", append([]string{"-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=120", "--junitxml=" + report}, which...)...)
	cmd.Dir = checkout
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte("{}"), 0o600); err != nil { // without one its contexts are kept in the checkout
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket, "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+checkout, "DOCKER_CONFIG="+config)
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("pytest made no report: %s", out)
	}
	var suites struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure []problem `xml:"failure"`
			Error   []problem `xml:"error"`
			Skipped []problem `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(raw, &suites); err != nil {
		t.Fatal(err)
	}
	for _, c := range suites.Cases {
		outcome := "passed"
		if len(c.Skipped) > 0 {
			outcome = "skipped"
		}
		for _, p := range append(c.Failure, c.Error...) {
			outcome = "failed: " + p.Message
		}
		outcomes[strings.TrimPrefix(c.Class, "tests.integration.")+"."+c.Name] = outcome
	}
}

type problem struct {
	Message string `xml:"message,attr"`
}
