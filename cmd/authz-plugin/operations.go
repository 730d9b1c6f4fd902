package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
)

func operationsCommand(std command.Streams) *cobra.Command {
	var access string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "operations", Short: "List the operations of the Engine API, with their access classes", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return listOperations(access, asJSON, std)
		},
	}
	cmd.Flags().StringVar(&access, "access", "", "only those of access `CLASS`: ping, list, inspect, stream, content, secret, interactive, write, build or admin")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func listOperations(access string, asJSON bool, std command.Streams) error {
	var found []operation.Info
	for _, info := range operation.Operations() {
		if access == "" || string(info.Access) == access {
			found = append(found, info)
		}
	}
	if len(found) == 0 {
		return command.ExitError{Code: command.Usage, Err: fmt.Errorf("--access %q: there is no such class; there are ping, list, inspect, stream, content, secret, interactive, write, build and admin", access)}
	}
	if asJSON {
		return printJSON(std.Out, found)
	}
	w := tabwriter.NewWriter(std.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join([]string{"OPERATION", "ACCESS", "RESOURCE", "METHOD", "PATH"}, "\t"))
	for _, i := range found {
		fmt.Fprintln(w, strings.Join([]string{i.ID, string(i.Access), i.Resource, i.Method, i.Path}, "\t"))
	}
	return w.Flush()
}
