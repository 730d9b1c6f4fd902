package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/explain"
	"vitrine/internal/command"
)

func explainCommand(std command.Streams) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "explain --as PRINCIPAL... METHOD URI",
		Short: "Say why a request is allowed or denied, and what would allow it",
		Long: `Decide one request as eval does, and say for a person who the caller is known as, which
roles it holds and by which line, which line of which file decided, what the smallest
change is that would allow it, and what else that change would open. The change is
told only after the request was decided once more under it, and allowed. What it would
open are operations and hazards, of those that the catalogue knows.
Exit 0: allowed, 1: denied, 2: could not tell.`,
		Example: `  authz-plugin explain --as label:vitrine.role=look GET '/containers/web/logs?stdout=1'
  authz-plugin explain --as unix:jenkins --policy ./policy POST /containers/create --body create.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return explainOne(cmd.Context(), f, args[0], args[1], std)
		},
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, with all that a change would open")
	return cmd
}

func explainOne(ctx context.Context, f evalFlags, method, uri string, std command.Streams) error {
	q, err := f.question(method, uri, std.In)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	a, err := explain.Explain(ctx, *q)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	err = show(std.Out, f.asJSON, a, func() error { return printExplanation(a, std) })
	switch {
	case err != nil:
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("print the explanation: %w", err)}
	case !a.Allow:
		return command.ExitError{Code: command.Failed}
	}
	return nil
}

const mostOpened = 12 // lines

func printExplanation(a *explain.Answer, std command.Streams) error {
	w := tabwriter.NewWriter(std.Out, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("known as", "%s", cmp.Or(strings.Join(a.Known, ", "), "nobody"))
	for i, h := range a.Holds {
		row([]string{"holds", ""}[min(i, 1)], "%s, by %s (%s)", h.Role, strings.Join(h.Principals, " and "), h.At)
	}
	if len(a.Holds) == 0 {
		row("holds", "no role of the built-in rules")
	}
	if a.Operation != "" {
		row("asks", "%s, class %s", a.Operation, a.Class)
	}
	verdict := "no"
	if a.Allow {
		verdict = "yes"
	}
	row("answer", "%s: %s", verdict, a.Message)
	for i, line := range a.Decided {
		row([]string{"decided", ""}[min(i, 1)], "%s  %s", line.At, line.What)
	}
	if a.Why != "" {
		row("to allow", "%s", a.Why)
	}
	if c := a.Change; c != nil {
		for i, edit := range c.Edits {
			row([]string{"to allow", ""}[min(i, 1)], "%s", edit)
		}
		row("opens", "%d more kinds of requests", len(c.Opens))
		for i, o := range c.Opens {
			if i == mostOpened {
				row("", "and %d more: see --json", len(c.Opens)-i)
				break
			}
			row("", "%s", o)
		}
	}
	return w.Flush()
}
