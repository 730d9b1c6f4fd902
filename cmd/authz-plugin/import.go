package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/importer"
	"vitrine/internal/command"
)

func importCommand(std command.Streams) *cobra.Command {
	var as, out string
	cmd := &cobra.Command{
		Use: "import " + strings.Join(importer.Formats(), "|") + " FILE", Short: "Make a policy of another socket proxy's configuration",
		Long: `Make a policy (data.yaml) of what another thing in front of Docker's socket was
told, and print it, with its cases as comments; standard error says what was
wider there, what was not carried over, and why. FILE is, - for standard input,

  tecnativa   an env file, or a compose file, of Tecnativa's or LinuxServer's docker-socket-proxy
  wollomatic  a compose file, or lines of flags, SP_ variables or labels, of wollomatic/socket-proxy
  sockguard   its YAML configuration with rules
  eci         Docker Desktop's admin-settings.json: images that may have the socket

Exit 2: FILE cannot be read as that; the message names file and line.`,
		Example: `  authz-plugin import tecnativa compose.yaml --as container:traefik
  authz-plugin import wollomatic compose.yaml --as container:watchtower --out /etc/docker/vitrine`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			made, err := importFile(args[0], args[1], as, std.In)
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			for _, line := range made.Report {
				fmt.Fprintln(std.Err, line)
			}
			if out == "" {
				return printImported(std.Out, made)
			}
			if err := writeImported(out, made); err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "`PRINCIPAL` that is to hold the role, such as container:traefik; eci binds the images unless it is given")
	cmd.Flags().StringVar(&out, "out", "", "write data.yaml and data.cases into `DIR`, which has neither, instead of printing them")
	return cmd
}

func importFile(format, name, as string, stdin io.Reader) (*importer.Result, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, 2<<20)) // Import refuses less
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return importer.Import(format, name, text, as)
}

func printImported(w io.Writer, made *importer.Result) error {
	if _, err := w.Write(made.Data); err != nil {
		return err
	}
	fmt.Fprintln(w, "\n# Its cases:")
	for line := range strings.Lines(string(made.Cases)) {
		if _, err := fmt.Fprint(w, "# ", line); err != nil {
			return err
		}
	}
	return nil
}

func statError(path string) error {
	_, err := os.Lstat(path)
	return err
}

// writeImported writes new files: a policy that is there already is somebody's.
func writeImported(dir string, made *importer.Result) error {
	for _, name := range []string{"data.yaml", "data.cases"} { // both or none
		if path := filepath.Join(dir, name); !errors.Is(statError(path), fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, or cannot be told: it is left as it is", path)
		}
	}
	for name, text := range map[string][]byte{"data.yaml": made.Data, "data.cases": made.Cases} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a policy is no secret, and may be read by the service's user
		if err != nil {
			return err
		}
		if _, err := f.Write(text); err != nil {
			_ = f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
