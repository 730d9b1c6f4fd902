// Package command is what the command lines of both programs share: how they end,
// and settings that have one name as a flag, as an environment variable and as a key of
// a YAML file; and what a terminal without colour is. What the settings are, and what they mean, is each program's own.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vitrine/internal/printable"
	"vitrine/internal/spelling"
)

// Exit codes.
const (
	OK     = 0
	Failed = 1 // failed while running; of authz-plugin eval: denied
	Usage  = 2 // wrong arguments or configuration
)

// Streams are what a command reads and writes, so that tests can hold them.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// ExitError is an error with an exit code. An Err of nil says nothing more.
type ExitError struct {
	Code int
	Err  error
}

func (e ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e ExitError) Unwrap() error { return e.Err }

// Main runs a program until it is done, or SIGINT or SIGTERM ends its context, and
// exits with its code.
func Main(run func(ctx context.Context, args []string, std Streams) int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// Run runs the command that args name and returns its exit code. An error that is
// no [ExitError] is one of the command line.
func Run(ctx context.Context, root *cobra.Command, args []string, std Streams) int {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetVersionTemplate("{{.Version}}\n")
	refuseUnknown(root)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return OK
	}
	e, ok := errors.AsType[ExitError](err)
	if !ok {
		e = ExitError{Usage, fmt.Errorf("%w\nRun \"%s --help\" for usage", err, root.Name())}
	}
	if e.Err != nil {
		fmt.Fprintln(std.Err, root.Name()+": "+printable.Message(e.Error()))
	}
	return e.Code
}

// refuseUnknown makes a command that only has commands below it refuse others. Cobra does
// so at the root; below it prints help, as if all was well.
func refuseUnknown(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseUnknown(sub)
	}
	if !cmd.HasParent() || !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		return fmt.Errorf("unknown command %q for %q%s (there are %s)", args[0], cmd.CommandPath(), spelling.Hint(args[0], names), strings.Join(names, ", "))
	}
}

// AddVersion gives root the command version, and the flag, which print one line.
func AddVersion(root *cobra.Command, short, line string, std Streams) {
	root.Version = line
	root.AddCommand(&cobra.Command{
		Use: "version", Short: short, Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) { fmt.Fprintln(std.Out, line) },
	})
}
