package main

import (
	"github.com/spf13/cobra"

	"vitrine/internal/authz/doctor"
	"vitrine/internal/command"
)

func doctorCommand(std command.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this host is really protected",
		Long: `Look whether this host is really protected: whether dockerd asks the plugin, who
can pass by it, and what of the Engine no plugin sees. What can be seen is seen,
not read from a configuration. It changes nothing.

Run it as root on the host. The settings are those of serve, by flag, variable
and file, so that it looks where serve does; of them it reads upstream,
admin_socket, policy and proc. docs/doctor.md explains each finding.
Exit 0: nothing high, 1: a finding is high, 2: wrong use.`,
		Example: `  authz-plugin doctor
  authz-plugin doctor --json | jq '.[] | select(.severity == "high")'`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			findings := doctor.Examine(doctor.Gather(cmd.Context(), doctor.Config{
				Socket: s.upstream, Admin: s.adminSocket, Proc: s.proc, Etc: "/etc",
				Policy: s.policy,
			}))
			err := show(std.Out, asJSON, findings, func() error { return doctor.Write(std.Out, findings) })
			if err == nil && !doctor.Worst(findings) {
				return nil
			}
			return command.ExitError{Code: command.Failed, Err: err}
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}
