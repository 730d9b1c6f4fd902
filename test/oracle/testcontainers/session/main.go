// Program session is a test run with Testcontainers: a network, and a container in it with a published port, a file and a command. It says what it has, and
// ends without tidying up, as one that was killed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "session:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	n, err := network.New(ctx)
	if err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	c, err := testcontainers.Run(ctx, "alpine", testcontainers.WithCmd("sh", "-c", "cat /greeting; exec httpd -f -p 80"), testcontainers.WithExposedPorts("80/tcp"),
		testcontainers.WithEnv(map[string]string{"MODE": "test"}), network.WithNetwork([]string{"store"}, n),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: strings.NewReader("it is up\n"), ContainerFilePath: "/greeting", FileMode: 0o644}),
		testcontainers.WithWaitStrategy(wait.ForAll(wait.ForLog("it is up"), wait.ForListeningPort("80/tcp"))))
	if err != nil {
		return fmt.Errorf("run a container: %w", err)
	}
	status, out, err := c.Exec(ctx, []string{"sh", "-c", "echo $MODE"}, exec.Multiplexed())
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	said, err := io.ReadAll(out)
	if err != nil || status != 0 || string(said) != "test\n" {
		return fmt.Errorf("exec: status %d, %q, %w", status, said, err)
	}
	for from, read := range map[string]func() (io.ReadCloser, error){
		"logs": func() (io.ReadCloser, error) { return c.Logs(ctx) },
		"file": func() (io.ReadCloser, error) { return c.CopyFileFromContainer(ctx, "/greeting") },
	} {
		r, err := read()
		if err != nil {
			return fmt.Errorf("read its %s: %w", from, err)
		}
		text, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || !strings.Contains(string(text), "it is up\n") {
			return fmt.Errorf("its %s: %q, %w", from, text, err)
		}
	}
	state, err := c.State(ctx)
	if err != nil || !state.Running {
		return errors.Join(errors.New("it does not run"), err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"session": testcontainers.SessionID(), "container": c.GetContainerID(), "network": n.ID}); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is told to end
	return nil
}
