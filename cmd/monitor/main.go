// Command monitor is the agent behind the glass: it sees every container of a
// host and the host itself through the restricted socket and the kernel's files, as an
// ordinary user in an ordinary container. docs/metrics.md lists what it sees.
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

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // failed while running
	exitUsage  = 2 // wrong arguments or configuration
)

// streams are what a command writes to, so that tests can hold them.
type streams struct{ out, err io.Writer }

// usageError is a mistake in arguments or configuration: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// failure is what a command meets while it runs: exit code 1.
type failure struct{ error }

func (e failure) Unwrap() error { return e.error }

// run runs one command and returns its exit code. An error that no command
// typed is one of the command line.
func run(ctx context.Context, args []string, std streams) int {
	root := &cobra.Command{
		Use:           "monitor",
		Short:         "See containers and their host without the right to touch them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetArgs(args)
	root.CompletionOptions.DisableDefaultCmd = true
	//nolint:contextcheck // the commands take it from cobra
	root.AddCommand(runCommand(std), onceCommand(std), versionCommand(std))

	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[failure](err); ok {
		fmt.Fprintln(std.err, "monitor: "+f.Error())
		return exitFailed
	}
	if u, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(std.err, "monitor: "+u.Error())
		return exitUsage
	}
	fmt.Fprintf(std.err, "monitor: %v\nRun \"monitor --help\" for usage\n", err)
	return exitUsage
}

func versionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(std.out, versionText())
			return nil
		},
	}
}

func versionText() string {
	v, goVersion := version.Get()
	return fmt.Sprintf("monitor %s (%s)", v, goVersion)
}
