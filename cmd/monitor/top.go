package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/monitor/top"
)

func topCommand(std command.Streams) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what is wrong now, and who asks Docker, on this terminal",
		Long: `Show on this terminal what the page of a running monitor shows: what is wrong now,
all containers, who asks Docker for what, and what happened, as it happens. Press ? for the keys.

It asks the monitor at --from, by default the first address of --http, and knows the
same variables and file as monitor run, but not the flags that monitor run was given.`,
		Example: `  monitor top
  docker exec --interactive --tty monitor /monitor top
  monitor top --from unix:///run/vitrine-page/page.sock`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			if from == "" && len(s.http) == 0 {
				return errors.New("no monitor to ask: --from says where one answers")
			}
			if from == "" {
				from = s.http[0]
			}
			var where settings
			if err := setHTTP(&where, []string{from}); err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			source := top.NewSource(from, s.token)
			defer source.Close()
			if columns(std.Out) == 0 {
				return command.ExitError{Code: command.Failed, Err: errors.New("show the screen: this is no terminal; monitor once prints a table")}
			}
			if err := source.Try(cmd.Context()); err != nil {
				return command.ExitError{Code: command.Failed, Err: fmt.Errorf("show %s: %w; does monitor run there?", from, err)}
			}
			if err := top.Run(cmd.Context(), top.Options{Source: source, In: std.In, Out: std.Out, Environ: os.Environ()}); err != nil {
				return command.ExitError{Code: command.Failed, Err: fmt.Errorf("show the screen: %w", err)}
			}
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "", "`ADDR` at which a monitor answers: HOST:PORT or unix:///PATH (default the first of --http)")
	return cmd
}
