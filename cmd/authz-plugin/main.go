// Command authz-plugin decides, in Rego, what each caller of the Docker Engine
// API may do. It is dockerd's authorization plugin and the gateway in front of
// dockerd's socket in one process; docs/architecture.md shows how they connect.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vitrine/internal/version"
)

// Exit codes. eval has a meaning of its own for 1: denied.
const (
	exitOK     = 0
	exitFailed = 1 // failed while running, or denied
	exitUsage  = 2 // wrong arguments or configuration
)

// streams are what a command reads and writes, so that tests can hold them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exit is an error with an exit code. An err of nil says nothing more.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs one command and returns its exit code. An error that no command
// typed is one of the command line: 2.
func run(ctx context.Context, args []string, std streams) int {
	root := &cobra.Command{
		Use:           "authz-plugin",
		Short:         "A Docker authorization plugin and gateway that know who is calling",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetArgs(args)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(serveCommand(std), evalCommand(std), policyCommand(std), operationsCommand(std), versionCommand(std)) //nolint:contextcheck // cobra hands ctx on, as cmd.Context()

	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	e, ok := errors.AsType[exit](err)
	if !ok {
		e = exit{exitUsage, fmt.Errorf("%w\nRun \"authz-plugin --help\" for usage", err)}
	}
	if e.err != nil {
		fmt.Fprintln(std.err, "authz-plugin: "+e.Error())
	}
	return e.code
}

func versionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version and the newest Engine API that it knows", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(std.out, versionText())
			return nil
		},
	}
}

func versionText() string {
	v, goVersion := version.Get()
	return fmt.Sprintf("authz-plugin %s (Engine API 1.24 to %s, %s)", v, newestAPI(), goVersion)
}
