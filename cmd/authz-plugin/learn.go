package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/command"
	"vitrine/internal/engine/principal"
	"vitrine/internal/printable"
)

func learnCommand(std command.Streams) *cobra.Command {
	var o learn.Options
	var from, cases string
	cmd := &cobra.Command{
		Use:   "learn --as PRINCIPAL",
		Short: "Write the smallest role under which a caller could have done what it did",
		Long: `Write the smallest role under which a caller could have done what the record of
serve says it asked for, as YAML for data.yaml: the operations, hazards and host
paths that were needed, each with how often and an example. In mode audit serve
records what it would have denied, so that an unknown client shows all it needs.

What the role does not grant is listed with the reason: what only an admin may, what
reads files, logs and secrets, and hazards and paths with which the host is the caller's.
The latter two are granted with --grant. Each request was decided under the role before it
is printed. It is a proposal: read it.

The record is read from a file (see --record of serve) or an admin socket, whose
default is where serve has it. --cases writes the requests as cases for a file beside
data.yaml, as far as they can be decided without an Engine.
Exit 0: everything is granted, 1: something is not, or a line of the record cannot be
read, 2: there is no such record.`,
		Example: `  authz-plugin learn --as container:traefik
  authz-plugin learn --as unix:ci --from /var/lib/vitrine/record --grant content --cases ci.cases`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := principal.Parse(o.Principal); err != nil {
				return command.ExitError{Code: command.Usage, Err: fmt.Errorf("--as: %w", err)}
			}
			lines, unread, err := recorded(cmd, from, std.Err)
			if err != nil {
				return err
			}
			r, err := learn.Learn(cmd.Context(), o, lines)
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			if cases != "" {
				text, left, err := r.Cases(cmd.Context())
				if err == nil {
					err = os.WriteFile(cases, []byte(text), 0o600)
				}
				if err != nil {
					return command.ExitError{Code: command.Usage, Err: fmt.Errorf("--cases: %w", err)}
				}
				if left > 0 {
					fmt.Fprintf(std.Err, "%d requests are no cases: they come out otherwise where no Engine says what they name\n", left)
				}
			}
			now := time.Now()
			fmt.Fprint(std.Out, r.Report(now))
			if len(r.Granted) > 0 {
				fmt.Fprint(std.Out, "# Add it to your data.yaml: to roles, and to bindings beside those that are there.\n", r.YAML(now))
			}
			if len(r.Refused) > 0 || unread {
				return command.ExitError{Code: command.Failed}
			}
			return nil
		},
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.Principal, "as", "", "`PRINCIPAL` of the caller, such as container:traefik or unix:ci")
	cmd.Flags().StringVar(&o.Name, "name", "", "`NAME` of the role; default: made of the principal")
	cmd.Flags().StringArrayVar(&o.Grant, "grant", nil, "`WORD` that is granted though it is dangerous: content, secret, a hazard, substitute, or a path of the host; may be given several times")
	cmd.Flags().StringVar(&from, "from", "", "`FILE` of a record, or an admin socket; default: the admin socket of serve")
	cmd.Flags().StringVar(&cases, "cases", "", "write the requests as cases to `FILE`")
	return cmd
}

func policyDiffCommand(std command.Streams) *cobra.Command {
	var from string
	var asJSON, byDefault bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say which recorded requests two policies answer otherwise",
		Long: `Decide every request in the record of serve under two policies, and say which come
out otherwise: denied, allowed, or answered with other things blanked, hidden or
labelled. OLD and NEW are paths as for serve; "" is the built-in policy. The record is a
file (see --record of serve), or an admin socket; default: that of serve.
Exit 0: none, 1: some, 2: it cannot be told.`,
		Example: `  authz-plugin policy diff /etc/docker/vitrine ./new --record /var/lib/vitrine/record`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, unread, err := recorded(cmd, from, std.Err)
			if err != nil {
				return err
			}
			var engines [2]*policy.Engine
			for i, path := range args {
				opts := policy.Options{AllowByDefault: byDefault}
				if path != "" {
					opts.Paths = []string{path}
				}
				engines[i] = policy.New(opts)
				if err := engines[i].Load(cmd.Context()); err != nil {
					return command.ExitError{Code: command.Usage, Err: fmt.Errorf("load the policy %s: %w", path, err)}
				}
			}
			report := learn.Compare(cmd.Context(), engines[0], engines[1], lines)
			err = show(std.Out, asJSON, report, func() error { return report.Write(std.Out, time.Now()) })
			if err := told(err, unread, len(report.Differences)); err != nil || len(report.Failed) == 0 {
				return err
			}
			return command.ExitError{Code: command.Usage, Err: errors.New("not every shape could be decided")}
		},
	}
	cmd.Flags().StringVar(&from, "record", "", "`FILE` of a record, or an admin socket; default: "+defaultAdmin)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	cmd.Flags().BoolVar(&byDefault, "allow-by-default", false, "accept a policy that allows an empty input")
	return cmd
}

func policyUnusedCommand(std command.Streams) *cobra.Command {
	var from string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "unused [PATH]...",
		Short: "Say what a policy grants that no recorded request used",
		Long: `Say which words of roles (operations, access, resources, hazards, host_paths) and which
entries of bindings no allowed request in the record of serve had any use for. It is about roles in
data.yaml; rules of your own are not looked at. The record is a file, or an admin
socket; default: that of serve.
Exit 0: all is used, 1: something is not, 2: it cannot be told.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			lines, unread, err := recorded(cmd, from, std.Err)
			if err != nil {
				return err
			}
			model, err := policy.ReadModel(policy.Options{Paths: paths})
			switch {
			case err != nil:
				return command.ExitError{Code: command.Usage, Err: err}
			case model == nil:
				return command.ExitError{Code: command.Usage, Err: errors.New("the policy has rules of its own: there are no roles to look at")}
			}
			unused, since := learn.Unused(model, lines)
			err = show(std.Out, asJSON, map[string]any{"since": since, "unused": append([]learn.Grant{}, unused...)}, func() error {
				return learn.WriteUnused(std.Out, unused, since)
			})
			return told(err, unread, len(unused))
		},
	}
	cmd.Flags().StringVar(&from, "record", "", "`FILE` of a record, or an admin socket; default: "+defaultAdmin)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// show prints JSON, or what a person reads.
func show(w io.Writer, asJSON bool, v any, inWords func() error) error {
	if asJSON {
		return printJSON(w, v)
	}
	return inWords()
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// told ends a command that was asked what is found in the record. A part of it that is not known may say otherwise.
func told(err error, unread bool, found int) error {
	switch {
	case err != nil:
		return command.ExitError{Code: command.Usage, Err: err}
	case unread:
		return command.ExitError{Code: command.Usage, Err: errors.New("not every line of the record could be read: it cannot be told what is in the others")}
	case found > 0:
		return command.ExitError{Code: command.Failed}
	}
	return nil
}

// recorded reads a record from a file or an admin socket, and tells on w what of it cannot be read, if
// something is unread.
func recorded(cmd *cobra.Command, from string, w io.Writer) (lines []*record.Line, unread bool, err error) {
	usage := func(err error) error { return command.ExitError{Code: command.Usage, Err: err} }
	if from == "" {
		from = defaultAdmin
		if cmd.Flags().Lookup("admin-socket") != nil {
			s, err := readSettings(cmd.Flags(), os.Environ())
			if err != nil {
				return nil, false, err
			}
			from = s.adminSocket
		}
		if from == "" {
			return nil, false, usage(errors.New("serve has no admin socket: give the file of the record"))
		}
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, false, usage(fmt.Errorf("there is no record: %w; give a file that serve keeps with --record, or the admin socket of a serve that runs", err))
	}
	read := func() ([]*record.Line, []error, error) { return record.ReadFile(from) }
	if info.Mode()&os.ModeSocket != 0 {
		read = func() ([]*record.Line, []error, error) { return shapesOf(cmd.Context(), from) }
	}
	lines, problems, err := read()
	for _, p := range problems {
		fmt.Fprintln(w, "warning:", printable.Line(p.Error()))
	}
	if err != nil {
		return nil, false, usage(fmt.Errorf("read the record: %w", err))
	}
	return lines, len(problems) > 0, nil
}

// shapesOf asks an admin socket.
func shapesOf(ctx context.Context, socket string) ([]*record.Line, []error, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := getFrom(ctx, socket, "/shapes")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = body.Close() }()
	return record.Read(body, socket)
}
