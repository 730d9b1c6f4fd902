package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/series"
)

func onceCommand(std command.Streams) *cobra.Command {
	var asJSON bool
	var between time.Duration
	cmd := &cobra.Command{
		Use:   "once",
		Short: "Collect everything once, and print it",
		Long: `Collect everything once, and print a table of all containers, or JSON.

Rates need two readings, so there are two, a second apart. "IN USE" is anonymous
memory as a part of the limit, "+SWAP" with swap and the limit of both, "NET
IN/OUT" and "DISK R/W" are bytes a second. "FULL IN" (when memory reaches its
limit at the present rate) needs a longer look: monitor run.

"-" means nothing to show: no limit, no traffic, not running, or not readable. A
column with nothing but "-" is left out. So are, on a terminal, the columns that
have no room: pipe it to less -S for all.

The settings are those of monitor run; what concerns HTTP and DogStatsD has no
effect here. Run beside monitor run (docker exec monitor /monitor once), it knows
the same variables and file, but not the flags that monitor run was given.`,
		Example: `  monitor once
  monitor once --json | jq '.containers[] | {name, state}'
  monitor once --between 10s`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			if s.logLevel == slog.LevelInfo {
				s.logLevel = slog.LevelWarn // what is printed is the answer
			}
			p, err := build(s, s.logger(std))
			if err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return p.once(cmd.Context(), std, s.docker, between, asJSON)
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&between, "between", time.Second, "wait `DURATION` between the two readings")
	return cmd
}

// errSilent: not even a refusal came.
var errSilent = errors.New("the engine does not answer")

// engineWait is how long once waits for the Engine's list.
const engineWait = 10 * time.Second

// once prints what there is even if the Engine does not answer, and then fails.
func (p *parts) once(ctx context.Context, std command.Streams, socket string, between time.Duration, asJSON bool) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = p.inventory.Run(ctx) }()
	defer func() { cancel(); <-done }()

	waiting, enough := context.WithTimeout(ctx, engineWait)
	docker.Await(waiting, p.inventory.Changed, func() bool { return p.inventory.Ready() || p.inventory.Err() != nil })
	enough()
	up := p.inventory.Ready()
	if up {
		p.collector.Count(ctx)
	}
	p.series.Update(p.collector.Collect(time.Now()))
	select {
	case <-time.After(between):
	case <-ctx.Done():
		return command.ExitError{Code: command.Failed, Err: ctx.Err()}
	}
	p.series.Update(p.collector.Collect(time.Now()))
	var err error
	p.series.Look(func(v *series.View) {
		if asJSON {
			err = export.JSON(std.Out, v)
		} else {
			err = export.Table(std.Out, v, columns(std.Out))
		}
	})
	switch {
	case err != nil:
		return command.ExitError{Code: command.Failed, Err: err}
	case !up:
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("there are no containers above because none could be listed on %s: %w", socket, cmp.Or(p.inventory.Err(), errSilent))}
	}
	return nil
}
