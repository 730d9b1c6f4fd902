package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/internal/command"
	"vitrine/internal/spelling"
	"vitrine/rego"
)

func presetCommand(std command.Streams) *cobra.Command {
	var cases bool
	cmd := &cobra.Command{
		Use: "preset [NAME]", Short: "List ready-made roles for tools, or print one",
		Long: `List ready-made roles for tools that are given a Docker socket, or print one as
YAML. The bindings at its end are an example: say there by which name, label or
certificate your tool is known. Copied to /etc/docker/vitrine/data.yaml, with
your bindings, it is a policy. Or keep it where it is and name it as a path:
authz-plugin serve --policy preset:NAME --policy /etc/docker/vitrine
gives its role beside your data.yaml, and that says who holds it.`,
		Example: `  authz-plugin preset
  authz-plugin preset dozzle > /etc/docker/vitrine/data.yaml
  authz-plugin preset dozzle --cases`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listPresets(std)
			}
			return printPreset(args[0], cases, std)
		},
	}
	cmd.Flags().BoolVar(&cases, "cases", false, "print what it allows and denies, in lines of allow|deny WHO METHOD URI [BODY]")
	return cmd
}

func listPresets(std command.Streams) error {
	for _, name := range rego.Presets() {
		data, _, err := rego.Preset(name)
		if err != nil {
			return err
		}
		summary, _, _ := strings.Cut(strings.TrimPrefix(string(data), "# "), "\n")
		fmt.Fprintf(std.Out, "%-20s %s\n", name, summary)
	}
	return nil
}

func printPreset(name string, onlyCases bool, std command.Streams) error {
	if !slices.Contains(rego.Presets(), name) {
		return command.ExitError{Code: command.Usage, Err: fmt.Errorf("there is no preset %q%s: authz-plugin preset lists them", name, spelling.Hint(name, rego.Presets()))}
	}
	data, cases, err := rego.Preset(name)
	if err != nil {
		return err
	}
	if onlyCases {
		data = cases
	}
	_, err = std.Out.Write(data)
	return err
}
