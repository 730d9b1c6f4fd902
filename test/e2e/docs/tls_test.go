package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/test/engine"
	"vitrine/test/transcript"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) { vitrine.Main(); os.Exit(m.Run()) }

// TestChapterOnCertificates runs docs/tls.md.
func TestChapterOnCertificates(t *testing.T) {
	chapter := transcript.Blocks(t, "../../../docs/tls.md")
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	cmd := e.Command("bash", "-s")
	cmd.Env = append(engine.Environ(), "PATH="+filepath.Dir(e.CLI())+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+e.Dir+"/state/docker")
	shell := transcript.Start(t, cmd)
	write := func(name string, block transcript.Block) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(e.Path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(e.Path(name), []byte(block.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	section := func(heading, lang string) []transcript.Block {
		t.Helper()
		var found []transcript.Block
		for _, block := range chapter {
			if block.Heading == heading && block.Lang == lang {
				found = append(found, block)
			}
		}
		if len(found) == 0 {
			t.Fatalf("no block of %s below %q", lang, heading)
		}
		return found
	}
	run := func(heading string) {
		t.Helper()
		for _, block := range section(heading, "console") {
			shell.Run(block.Text)
		}
	}

	const certificates, listener, gateway, socket = "An authority and certificates", "dockerd's own listener", "The gateway over TCP", "The gateway over a Unix socket"
	run(certificates)
	write("/etc/docker/vitrine/data.yaml", section(certificates, "yaml")[0])
	write("/etc/docker/vitrine/config.yaml", section(gateway, "yaml")[0])
	p := vitrine.Start(t, vitrine.Options{Engine: e})

	write("/etc/docker/daemon.json", section(listener, "json")[0])
	unit := section(listener, "ini")[0].Text
	_, flags, _ := strings.Cut(unit, "dockerd -H fd:// ")
	e.SetFlags(strings.Fields(flags)...)
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	p.WaitReady()
	run(listener)
	run(gateway)
	run(socket)
}
