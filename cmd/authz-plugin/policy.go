package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/policy/tool"
	"vitrine/internal/caller/identity"
	"vitrine/internal/command"
	"vitrine/internal/kernel/hostpath"
	"vitrine/internal/printable"
)

func policyCommand(std command.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Test, check, show and format policies",
		Long: `Test, check, show and format policies. Without a PATH the built-in policy is meant.`,
	}
	cmd.AddCommand(policyTestCommand(std), policyDiffCommand(std), policyUnusedCommand(std), policyCheckCommand(std), policyShowCommand(std), policyFmtCommand(std))
	return cmd
}

func policyTestCommand(std command.Streams) *cobra.Command {
	var coverage bool
	cmd := &cobra.Command{
		Use: "test [PATH]...", Short: "Run a policy's tests, with coverage",
		Long: `Run the cases (*.cases) and the tests of a policy (rules test_… in *_test.rego), and show
which lines no test reaches. Of data alone with cases, the built-in rules' own tests do not run.
Exit 0: all passed, 1: one failed, there is none, or a line of
the built-in policy is not reached, 2: the policy cannot be loaded.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			ok, err := policy.RunTests(cmd.Context(), paths, std.Out, coverage)
			switch {
			case err != nil:
				return command.ExitError{Code: command.Usage, Err: err}
			case !ok:
				return command.ExitError{Code: command.Failed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&coverage, "coverage", true, "show what the tests do not reach")
	return cmd
}

func policyCheckCommand(std command.Streams) *cobra.Command {
	var byDefault, host, alone bool
	cmd := &cobra.Command{
		Use: "check [PATH]...", Short: "Vet a policy as serve does, and look for what is probably not meant",
		Long: `Vet a policy as serve does before it loads one (it compiles, reads only what the
input has, answers the self-test, passes its own tests, binds roles that
exist), and look for what is probably not meant, such as admin bound to a
container. With --host, on the host, also at the folders that roles allow (whether
others than root can write to them, or put a link in their place) and at users
that are bound and do not exist.
Exit 0: in order, warnings aside, 1: serve would refuse it.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			opts := policy.Options{Paths: paths, AllowByDefault: byDefault, NoGateway: alone, NoSocket: configuredWithoutSocket(os.Environ())}
			if host {
				opts.Survey = func(p string) []string { return hostpath.Survey("/", p) }
				opts.Never = identity.NewUsers("/etc/passwd", nil).Never
			}
			bad, warnings := 0, 0
			for _, p := range policy.Check(cmd.Context(), opts) {
				kind := "error"
				if p.Warning {
					kind = "warning"
					warnings++
				} else {
					bad++
				}
				p.Warning = false // else it says so too
				fmt.Fprintf(std.Out, "%s: %s\n", kind, printable.Message(p.Error()))
			}
			if bad > 0 {
				return command.ExitError{Code: command.Failed}
			}
			summary, err := policy.Summary(opts)
			if err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			if warnings > 0 {
				summary += fmt.Sprintf("; warnings: %d, see above", warnings)
			}
			fmt.Fprintln(std.Out, "in order: "+summary)
			return nil
		},
	}
	cmd.Flags().BoolVar(&byDefault, "allow-by-default", false, "accept a policy that allows an empty input")
	cmd.Flags().BoolVar(&alone, "no-gateway", false, "as of a serve without listeners: warn of what only a gateway can do")
	cmd.Flags().BoolVar(&host, "host", false, "look at the host_paths of roles, and at users, on this machine")
	return cmd
}

func policyShowCommand(std command.Streams) *cobra.Command {
	var rules bool
	cmd := &cobra.Command{
		Use: "show [PATH]...", Short: "Print what a policy comes to: its data merged, and where each role and binding is from",
		Long: `Print what a policy comes to, if serve would take it: the roles and bindings of all
its files in one, each with its file and line, and the names of the files that hold
rules. What it prints is a data file again: in a folder with the same .rego files
it is the same policy. With --rules, print the rules instead. Without a PATH that is
/etc/docker/vitrine if it holds a policy, else the built-in one.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := policy.Show(cmd.Context(), policyAt(paths), rules, std.Out); err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&rules, "rules", false, "print the rules, file by file")
	return cmd
}

// configuredWithoutSocket says that serve's configuration, where there is one, has no socket to give to containers.
func configuredWithoutSocket(environ []string) bool {
	var s settings
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	table.AddFlags(flags)
	return len(table.Read(&s, flags, environ)) == 0 && !slices.ContainsFunc(s.listeners, listener.plain)
}

func policyFmtCommand(std command.Streams) *cobra.Command {
	var write, diff bool
	cmd := &cobra.Command{
		Use: "fmt PATH...", Short: "List, show or rewrite .rego files that are not in OPA's layout",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, paths []string) error {
			mode := tool.FormatList
			switch {
			case write && diff:
				return command.ExitError{Code: command.Usage, Err: errors.New("--write and --diff: give one of them")}
			case write:
				mode = tool.FormatWrite
			case diff:
				mode = tool.FormatDiff
			}
			tidy, err := tool.Format(paths, mode, std.Out)
			switch {
			case err != nil:
				return command.ExitError{Code: command.Usage, Err: err}
			case !tidy && !write:
				return command.ExitError{Code: command.Failed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "rewrite the files")
	cmd.Flags().BoolVarP(&diff, "diff", "d", false, "show the differences")
	return cmd
}
