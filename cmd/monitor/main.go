// Command monitor is the agent behind the glass: it sees every container of a
// host and the host itself through the gateway's socket and the kernel's files, as an
// ordinary user in an ordinary container. docs/metrics.md lists what it sees.
package main

import (
	"context"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/version"
)

func main() { command.Main(run) }

// run runs one command and returns its exit code.
func run(ctx context.Context, args []string, std command.Streams) int {
	root := &cobra.Command{Use: "monitor", Short: "See containers and their host without the right to touch them"}
	//nolint:contextcheck // the commands take it from cobra
	root.AddCommand(runCommand(std), onceCommand(std), topCommand(std))
	command.AddVersion(root, "Print the version", "monitor "+version.Text(), std)
	return command.Run(ctx, root, args, std)
}
