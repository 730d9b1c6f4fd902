package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/policy"
	"vitrine/internal/command"
	"vitrine/internal/engine/principal"
)

func grantCommand(std command.Streams) *cobra.Command {
	var role, reason string
	var to []string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "grant --role ROLE --to PRINCIPAL --for DURATION --reason TEXT",
		Short: "Lend a role for a while",
		Long: `Lend a role for a while. The policy must say that the role may be lent, and for
how long at most: "grant: {max: 1h}" in the role. The grant is written to the file
grants, and serve takes it from there within a second; when its time is over what
it allowed ends, open streams too. Both are in the audit log. Run it as root on the
host; the settings are those of serve, of which it reads grants, policy, state_dir,
admin_socket and upstream. It says whether serve, asked at its admin socket, has taken it.
Exit 0: granted, 1: not, or it does not hold, 2: wrong use, or the file of grants is wrong.`,
		Example: `  authz-plugin grant --role deployer --to tls:alice --for 30m --reason "roll back 4.2"
  authz-plugin revoke g-3f9a2c`,
		Args: cobra.NoArgs,
		RunE: command.With(grantSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			for _, p := range to {
				if _, err := principal.Parse(p); err != nil {
					return command.ExitError{Code: command.Usage, Err: fmt.Errorf("--to: %w", err)}
				}
			}
			if role == "" || len(to) == 0 || reason == "" || length < time.Second {
				return command.ExitError{Code: command.Usage, Err: errors.New("want --role, --to, --for of a second at least, and --reason")}
			}
			g := grant.Grant{ID: "g-" + randomID(), Role: role, To: to, By: whoGrants(), Reason: reason}
			if err := lend(s, &g, length); err != nil {
				return notGranted(err)
			}
			fmt.Fprintf(std.Out, "%s: %s until %s (%s)\n", g.ID, g.String(), g.Until.Format(time.RFC3339), length)
			said, err := whetherItHolds(cmd.Context(), s, g.ID)
			if err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			fmt.Fprintln(std.Err, said)
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&role, "role", "", "`ROLE` to lend")
	cmd.Flags().StringArrayVar(&to, "to", nil, "`PRINCIPAL` to lend it to; given several times, all must hold")
	cmd.Flags().DurationVar(&length, "for", 0, "how long, such as 30m")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the audit log: why")
	return cmd
}

func grantSettings(flags *pflag.FlagSet, environ []string) (*settings, error) {
	s, err := readSettings(flags, environ)
	if err == nil && s.grants == "" {
		err = command.ExitError{Code: command.Usage, Err: errors.New("grants: no file of grants is configured")}
	}
	return s, err
}

// notGranted has the exit status of wrong configuration where the file of grants is what is wrong.
func notGranted(err error) error {
	if _, wrong := errors.AsType[*grant.FileError](err); wrong {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	return command.ExitError{Code: command.Failed, Err: err}
}

// lend writes a grant, if the policy lends its role for so long.
func lend(s *settings, g *grant.Grant, length time.Duration) error {
	most, err := policy.Lends(s.policy, g.Role)
	switch {
	case err != nil:
		return err
	case length > most:
		return fmt.Errorf("role %s is lent for %s at most (grant.max), not for %s", g.Role, most, length)
	}
	now, err := grantTime(s)
	if err != nil {
		return err
	}
	g.From, g.Until = now, now.Add(length)
	return grant.Change(s.grants, now, func(list []grant.Grant) ([]grant.Grant, error) { return append(list, *g), nil })
}

// taking is how long serve may take to read the file again, on a machine that is busy.
const taking = 20 * time.Second

// whetherItHolds asks serve whether a grant that was written holds. Without a serve that answers it holds once one runs.
func whetherItHolds(ctx context.Context, s *settings, id string) (said string, err error) {
	for began := time.Now(); ; {
		status, _, err := askStatus(ctx, s)
		if err != nil {
			return fmt.Sprintf("it is written; whether it holds cannot be told: %v", err), nil
		}
		if slices.ContainsFunc(status.Holding, func(g grant.Grant) bool { return g.ID == id }) {
			return "it holds", nil
		}
		for _, r := range status.Refused {
			if r.Grant.ID == id {
				return "", fmt.Errorf("%s is written, and does not hold: %s", id, r.Why)
			}
		}
		if time.Since(began) > taking {
			return "", fmt.Errorf("%s is written to %s, and authz-plugin has not taken it: does it read that file? its status says what is wrong", id, s.grants)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// grantTime is the time by which rights end: the host's, or a later one that serve has seen.
func grantTime(s *settings) (time.Time, error) {
	latest, err := grant.Latest(s.stateDir)
	if now := time.Now(); now.After(latest) {
		latest = now
	}
	return latest.UTC().Truncate(time.Second), err
}

// whoGrants names the user for the audit log: that we run as, and that who is logged in as.
func whoGrants() string {
	by := userName(strconv.Itoa(os.Geteuid()))
	raw, err := os.ReadFile("/proc/self/loginuid")
	if login := strings.TrimSpace(string(raw)); err == nil && login != "4294967295" { // nobody has logged in
		by += ", logged in as " + userName(login)
	} else if sudo := os.Getenv("SUDO_UID"); sudo != "" {
		by += ", by sudo of " + userName(sudo)
	}
	return by
}

func userName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}

func randomID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

func revokeCommand(std command.Streams) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke ID [--reason TEXT]", Short: "End a grant before its time",
		Long: `End a grant before its time: what it allowed ends within a second, open streams
too. It cannot be taken back; grant anew. Run it as root on the host.
Exit 0: revoked, 1: there is no such grant, or it is over, 2: the file of grants is wrong.`,
		Args: cobra.ExactArgs(1),
		RunE: command.With(grantSettings, func(cmd *cobra.Command, s *settings, args []string) error {
			now, err := grantTime(s)
			var was grant.Grant
			if err == nil {
				err = grant.Change(s.grants, now, func(list []grant.Grant) ([]grant.Grant, error) {
					i := slices.IndexFunc(list, func(g grant.Grant) bool { return g.ID == args[0] })
					switch {
					case i < 0:
						return nil, fmt.Errorf("there is no grant %s in %s", args[0], s.grants)
					case list[i].Over(now):
						return nil, fmt.Errorf("%s is over already", args[0])
					}
					was = list[i]
					list[i].Revoked = &grant.Revocation{At: now, By: whoGrants(), Reason: reason}
					return list, nil
				})
			}
			if err != nil {
				return notGranted(err)
			}
			fmt.Fprintf(std.Out, "%s: %s revoked, %s before its time\n", was.ID, was.String(), was.Until.Sub(now))
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the audit log: why")
	return cmd
}

func grantsCommand(std command.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "grants", Short: "List what is lent, to whom, by whom, and why",
		Long: `List what is lent, to whom, by whom and why, and what was lent in the last week.
Bindings of the policy that end are in authz-plugin status. Run it as root on the host.
Exit 1: they cannot be told, 2: the file is wrong or cannot be believed, which is no
grants at all.`,
		Args: cobra.NoArgs,
		RunE: command.With(grantSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			now, err := grantTime(s)
			var list []grant.Grant
			if err == nil {
				list, err = grant.Read(s.grants, now)
			}
			if err == nil && asJSON {
				enc := json.NewEncoder(std.Out)
				enc.SetEscapeHTML(false)
				err = enc.Encode(append([]grant.Grant{}, list...))
			} else if err == nil {
				err = listGrants(std.Out, list, now)
			}
			if err != nil {
				return notGranted(err)
			}
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

// listGrants prints what holds first, by its end, and then what is over.
func listGrants(w io.Writer, list []grant.Grant, now time.Time) error {
	slices.SortStableFunc(list, func(a, b grant.Grant) int {
		if a.Over(now) != b.Over(now) {
			return cmp.Compare(number(a.Over(now)), number(b.Over(now)))
		}
		return a.Until.Compare(b.Until)
	})
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tROLE\tTO\tENDS\tBY\tREASON")
	for _, g := range list {
		ends := "in " + g.Until.Sub(now).Round(time.Second).String()
		switch {
		case g.Revoked != nil:
			ends = "revoked " + g.Revoked.At.Format(time.RFC3339) + " by " + g.Revoked.By
		case g.Over(now):
			ends = "ended " + g.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", g.ID, g.Role, strings.Join(g.To, " and "), ends, g.By, g.Reason)
	}
	return tw.Flush()
}
