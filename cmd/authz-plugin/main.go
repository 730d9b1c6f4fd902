// Command authz-plugin decides, in Rego, what each caller of the Docker Engine
// API may do. It is dockerd's authorization plugin and the gateway in front of
// dockerd's socket in one process; docs/architecture.md shows how they connect.
package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/version"
)

func main() { command.Main(run) }

// run runs one command and returns its exit code.
func run(ctx context.Context, args []string, std command.Streams) int {
	root := &cobra.Command{Use: "authz-plugin", Short: "A Docker authorization plugin and gateway that know who is calling"}
	//nolint:contextcheck // the commands take it from cobra
	root.AddCommand(serveCommand(std), evalCommand(std), explainCommand(std), whoCanCommand(std), canCommand(std), policyCommand(std), operationsCommand(std), presetCommand(std), importCommand(std), doctorCommand(std), learnCommand(std))
	//nolint:contextcheck // as above
	root.AddCommand(grantCommand(std), grantsCommand(std), revokeCommand(std), statusCommand(std), decisionsCommand(std))
	command.AddVersion(root, "Print the version and the newest Engine API that it knows", versionText(), std)
	return command.Run(ctx, root, args, std)
}

func versionText() string {
	return fmt.Sprintf("authz-plugin %s, Engine API 1.24 to %s", version.Text(), operation.MaxVersion)
}
