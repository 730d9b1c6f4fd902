package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/policy"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/spelling"
)

// proofFlags are what who-can and can ask.
type proofFlags struct {
	policy, as        []string
	hazard            string
	byDefault, asJSON bool
}

func (f *proofFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.policy, "policy", nil, "`PATH` of a policy, as for serve; default /etc/docker/vitrine if it holds one, else the built-in policy")
	flags.StringVar(&f.hazard, "hazard", "", "`HAZARD` that the request carries, such as privileged; docs/hazards.md lists them")
	flags.BoolVar(&f.byDefault, "allow-by-default", false, "accept a policy that allows an empty input")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
}

// prover loads the policy. paths are those to write into a line that replays a request.
func (f *proofFlags) prover(ctx context.Context) (p *policy.Prover, paths []string, err error) {
	var names []string
	for _, h := range operation.Hazards() {
		names = append(names, string(h.Hazard))
	}
	if hint := spelling.Hint(f.hazard, names); f.hazard != "" && !operation.IsHazard(f.hazard) {
		return nil, nil, fmt.Errorf("--hazard %q: there is no such hazard%s", f.hazard, hint)
	}
	of := policyAt(f.policy)
	of.AllowByDefault = f.byDefault
	p, err = policy.NewProver(ctx, of)
	if err != nil {
		return nil, nil, fmt.Errorf("load the policy: %w", err)
	}
	return p, f.policy, nil
}

func whoCanCommand(std command.Streams) *cobra.Command {
	var f proofFlags
	cmd := &cobra.Command{
		Use:   "who-can OPERATION",
		Short: "Say who can do an operation under a policy, and that nobody else can",
		Long: `Say who can do an operation, with a hazard or whatever it carries: each with a line that
asks eval for a request that is allowed, and whether nobody else can is proved or not
decided. docs/proofs.md says what a proof stands on.
Exit 0: proved, 1: not decided, 2: wrong arguments, or a policy that does not load.`,
		Example: `  authz-plugin who-can ContainerCreate --hazard privileged
  authz-plugin who-can ContainerExec --policy ./policy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, paths, err := f.prover(cmd.Context())
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			found, err := p.WhoCan(cmd.Context(), args[0], operation.Hazard(f.hazard))
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			return f.print(std, found, found.State, func() { printFinding(std, found, paths) })
		},
	}
	f.addTo(cmd)
	return cmd
}

// print prints what was found, and says by the exit status whether it is decided.
func (f *proofFlags) print(std command.Streams, found any, state policy.State, inWords func()) error {
	if f.asJSON {
		if err := printJSON(std.Out, found); err != nil {
			return command.ExitError{Code: command.Failed, Err: fmt.Errorf("print what was found: %w", err)}
		}
	} else {
		inWords()
	}
	if state != policy.Proved {
		return command.ExitError{Code: command.Failed}
	}
	return nil
}

func kindOfRequest(id string, h operation.Hazard) string {
	if h == "" {
		return id
	}
	return id + " with hazard " + string(h)
}

func printFinding(std command.Streams, f policy.Finding, paths []string) {
	what := kindOfRequest(f.Operation, f.Hazard)
	switch {
	case f.State == policy.NotDecided:
		fmt.Fprintf(std.Out, "%s: whether others than these can is not decided\n", what)
	case len(f.Can) == 0:
		fmt.Fprintf(std.Out, "%s: nobody can (proved)\n", what)
	default:
		fmt.Fprintf(std.Out, "%s: these can, and nobody else (proved)\n", what)
	}
	for _, w := range f.Can {
		fmt.Fprintf(std.Out, "  %s\n      %s\n", who(w), w.Command(paths))
	}
	for _, open := range f.Open {
		fmt.Fprintf(std.Out, "  ? %s\n", open)
	}
}

func who(w policy.Witness) string {
	as := strings.Join(w.Principals, " and ")
	if w.Role == "" {
		return as
	}
	return fmt.Sprintf("%s, by role %s (%s)", as, w.Role, w.At)
}

func canCommand(std command.Streams) *cobra.Command {
	var f proofFlags
	cmd := &cobra.Command{
		Use:   "can --as PRINCIPAL... [OPERATION]",
		Short: "Say what a caller can do under a policy, and that it can do nothing else",
		Long: `Say which operations, with which hazards, a caller can do that has these principals and
no others; of one operation, if it is named. What is not listed it cannot do, which is
proved; what is not decided begins with a question mark.
Exit 0: proved, 1: something is not decided, 2: wrong arguments, or a policy that does not load.`,
		Example: `  authz-plugin can --as label:vitrine.role=look
  authz-plugin can --as unix:jenkins --policy ./policy ContainerCreate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := f.abilities(cmd.Context(), args)
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			state := policy.Proved
			for _, a := range list {
				if a.State != policy.Proved {
					state = a.State
				}
			}
			return f.print(std, list, state, func() { printAbilities(std, list) })
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringArrayVar(&f.as, "as", nil, "`PRINCIPAL` that the caller has; may be given several times")
	return cmd
}

// abilities are all that a caller can do, or of which it is not decided.
func (f *proofFlags) abilities(ctx context.Context, ids []string) (list []policy.Ability, err error) {
	if len(f.as) == 0 {
		return nil, errors.New("who? give --as PRINCIPAL, such as --as container:web")
	}
	for _, s := range f.as {
		if _, err := principal.Parse(s); err != nil {
			return nil, fmt.Errorf("--as: %w", err)
		}
	}
	p, _, err := f.prover(ctx)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		for _, info := range operation.Operations() {
			ids = append(ids, info.ID)
		}
	}
	for _, id := range ids {
		hazards := []operation.Hazard{operation.Hazard(f.hazard)}
		if f.hazard == "" {
			hazards = append(hazards, operation.MayHave(id)...)
		}
		for _, h := range hazards {
			a, err := p.Can(ctx, f.as, id, h)
			if err != nil {
				return nil, err
			}
			if a.Can != nil || a.State != policy.Proved {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

func printAbilities(std command.Streams, list []policy.Ability) {
	w := tabwriter.NewWriter(std.Out, 0, 8, 2, ' ', 0)
	last := ""
	for _, a := range list {
		name := a.Operation
		if name == last {
			name = ""
		}
		mark := "  "
		if a.Can == nil {
			mark = "? "
		}
		hazard := ""
		if a.Hazard != "" {
			hazard = "with " + string(a.Hazard)
		}
		last = a.Operation
		fmt.Fprintf(w, "%s%s\t%s\n", mark, name, hazard)
	}
	_ = w.Flush() // of a writer that has gone nothing is expected
	if len(list) == 0 {
		fmt.Fprintln(std.Out, "nothing (proved)")
	}
}
