package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/admin"
	"vitrine/internal/authz/decide"
	"vitrine/internal/command"
	"vitrine/internal/printable"
)

func statusCommand(std command.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say in a screen whether it works, and what it has denied lately",
		Long: `Say in a screen whether dockerd asks, which policy decides and since when, what is
lent, and how much was denied in the last hour. It asks the admin socket of the
authz-plugin that runs, also of a managed plugin; run it as root on the host. The settings are
those of serve, of which it reads admin_socket and upstream.
Exit 0: all is well, 1: something is wrong, or it does not answer, 2: wrong use.`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			status, raw, err := askStatus(cmd.Context(), s)
			if err != nil {
				return err
			}
			if asJSON {
				_, err = std.Out.Write(raw)
			} else {
				err = writeStatus(std.Out, status, brushFor(std.Out))
			}
			if err != nil || !well(status) {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// askStatus asks the authz-plugin that runs; raw is its answer.
func askStatus(ctx context.Context, s *settings) (status *admin.Status, raw []byte, err error) {
	body, err := adminGet(ctx, s, "/status")
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	raw, err = io.ReadAll(io.LimitReader(body, 32<<20))
	if err == nil {
		status = new(admin.Status) // not nil, for an answer of null either
		err = json.Unmarshal(raw, status)
	}
	if err != nil {
		return nil, nil, command.ExitError{Code: command.Failed, Err: fmt.Errorf("read the status: %w", err)}
	}
	return status, raw, nil
}

// well reports whether nothing is wrong. That something was denied is what it is for.
func well(s *admin.Status) bool {
	for _, said := range s.Checks {
		if said != "ok" {
			return false
		}
	}
	return s.Policy.Revision != "" && len(s.Refused) == 0
}

func writeStatus(w io.Writer, s *admin.Status, b brush) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("version", "%s", printable.Line(s.Version))
	switch {
	case s.Plugin.Socket == "":
		line("dockerd", "%s", b.warn("is not asked to ask: a gateway alone; who reaches its own socket passes by"))
	case s.Plugin.Asked == nil:
		line("dockerd", "%s", b.warn("it is not known yet whether it asks: nothing has come through the gateway"))
	case *s.Plugin.Asked:
		line("dockerd", "%s", b.good("asks"))
	default:
		line("dockerd", "%s", b.bad("does not ask: name the plugin in authorization-plugins of daemon.json, and send dockerd a SIGHUP"))
	}
	policyLines(line, s, b)
	for _, l := range s.Listeners {
		line("listener", "%s %s%s%s", printable.Line(l.Name), printable.Line(l.Address), suffix(l.TLS, ", TLS"), b.warn(suffix(l.Mode != "", ", mode "+l.Mode)))
	}
	for _, g := range s.Holding {
		what := "binding that ends"
		if !g.From.IsZero() {
			what = "grant " + g.ID
		}
		line(what, "%s, ends in %s (%s; by %s)", printable.Line(g.String()), g.Until.Sub(s.Time).Round(time.Second), printable.Line(cmp.Or(g.Reason, "no reason")), printable.Line(g.By))
	}
	for _, r := range s.Refused {
		line("grant "+r.Grant.ID, "%s", b.bad("refused: "+printable.Line(r.Why)))
	}
	if s.Candidate != nil {
		var differs []string
		for _, change := range slices.Sorted(maps.Keys(s.Candidate)) {
			differs = append(differs, fmt.Sprintf("%d %s", s.Candidate[change], printable.Line(change)))
		}
		line("candidate", "would answer otherwise: %s", cmp.Or(strings.Join(differs, ", "), "nothing"))
	}
	denied := fmt.Sprintf("%d denied", s.LastHour.Denied)
	if s.LastHour.Denied > 0 {
		denied = b.warn(denied)
	}
	line("last hour", "%d allowed, %s, %d would be denied", s.LastHour.Allowed, denied, s.LastHour.WouldDeny)
	for _, name := range slices.Sorted(maps.Keys(s.Checks)) {
		if said := s.Checks[name]; said != "ok" {
			line("wrong: "+name, "%s", b.bad(printable.Line(said)))
		}
	}
	return tw.Flush()
}

func policyLines(line func(name, format string, args ...any), s *admin.Status, b brush) {
	if s.Mode == string(decide.Audit) {
		line("mode", "%s", b.warn("audit: what the policy denies is let through, and recorded"))
	} else {
		line("mode", "%s", s.Mode)
	}
	if len(s.Policy.AuditOnly) > 0 {
		line("in audit", "%s", b.warn("who holds "+printable.Line(strings.Join(s.Policy.AuditOnly, ", "))+": what is denied is let through, and recorded"))
	}
	p := s.Policy
	if p.Revision == "" {
		line("policy", "%s", b.bad("none: everything is denied"))
		return
	}
	kept := ""
	if p.Kept {
		kept = b.bad(", kept from before the start")
	}
	since := ""
	if p.Since != nil {
		since = " since " + p.Since.Local().Format(time.DateTime)
	}
	line("policy", "%s from %s%s%s", p.Revision, printable.Line(p.Source), since, kept)
	if p.Roles > 0 {
		line("", "%d roles, %d entries of bindings", p.Roles, p.Bindings)
	}
}

func suffix(is bool, s string) string {
	if !is {
		return ""
	}
	return s
}
