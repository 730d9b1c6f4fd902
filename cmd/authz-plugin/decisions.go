package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/audit"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/printable"
)

type decisionsFlags struct {
	n                      int
	follow, asJSON, denied bool
	as                     []string
}

func decisionsCommand(std command.Streams) *cobra.Command {
	var f decisionsFlags
	cmd := &cobra.Command{
		Use: "decisions", Short: "Show who asked what, and what the answer was",
		Long: `Show who asked what lately, and what the answer was: time, verdict, caller,
operation, what it is about, and why it was denied, or would be. The same by the same in
a row is one line. It asks the admin socket of the authz-plugin that runs, also of a
managed plugin, which remembers the last 1000; the audit log has them all. Run it as
root on the host. The settings are those of serve, of which it reads admin_socket and upstream.
Exit 1: it does not answer, or the stream broke off.`,
		Example: `  authz-plugin decisions --follow
  authz-plugin decisions --denied --as container:ci
  authz-plugin decisions --json -n 1000 | jq -r 'select(.allow | not) | .code' | sort | uniq -c`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			if f.n < 0 {
				return command.ExitError{Code: command.Usage, Err: errors.New("--lines: want a number of decisions")}
			}
			return showDecisions(cmd.Context(), s, f, std.Out)
		}),
	}
	table.AddFlags(cmd.Flags())
	flags := cmd.Flags()
	flags.IntVarP(&f.n, "lines", "n", 50, "the last `N`")
	flags.BoolVarP(&f.follow, "follow", "f", false, "and those that come")
	flags.BoolVar(&f.asJSON, "json", false, "print the audit records, one a line")
	flags.BoolVar(&f.denied, "denied", false, "only what was denied, or would be")
	flags.StringArrayVar(&f.as, "as", nil, "only of callers with this `PRINCIPAL`; given several times, with all")
	return cmd
}

func showDecisions(ctx context.Context, s *settings, f decisionsFlags, w io.Writer) error {
	query := url.Values{"n": {strconv.Itoa(f.n)}, "as": f.as}
	if f.follow {
		query.Set("follow", "1")
	}
	if f.denied {
		query.Set("denied", "1")
	}
	body, err := adminGet(ctx, s, "/decisions?"+query.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	if f.asJSON {
		_, err = io.Copy(w, body)
	} else {
		err = writeDecisions(w, body, f.follow, brushFor(w))
	}
	if err == nil && f.follow {
		err = errors.New("authz-plugin has ended, or there were more than could be shown")
	}
	if err != nil && ctx.Err() == nil {
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("read the decisions: %w", err)}
	}
	return nil
}

// writeDecisions writes a line for each run of the same: at once the first when they are followed, with their number otherwise.
func writeDecisions(w io.Writer, from io.Reader, follow bool, b brush) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	var last decisionLine
	n := 0 // records that last stands for
	end := func() {
		switch {
		case n == 0:
		case !follow:
			fmt.Fprintln(w, last.text(n, b))
		case n > 1:
			fmt.Fprintln(w, b.faint(fmt.Sprintf("%8s  × %d more", "", n-1)))
		}
	}
	for lines.Scan() {
		var r audit.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		line := lineOf(&r)
		if n > 0 && line.same(&last) {
			last.at = line.at
			n++
			continue
		}
		end()
		if last, n = line, 1; follow {
			fmt.Fprintln(w, line.text(1, b))
		}
	}
	end()
	return lines.Err()
}

// decisionLine is what is shown of a record. All of it may come from callers.
type decisionLine struct {
	at                                      time.Time
	verdict, caller, operation, object, why string
}

func (l *decisionLine) same(other *decisionLine) bool {
	return l.verdict == other.verdict && l.caller == other.caller && l.operation == other.operation && l.object == other.object && l.why == other.why
}

func (l *decisionLine) text(n int, b brush) string {
	verdict := fmt.Sprintf("%-10s", l.verdict)
	switch l.verdict {
	case "deny":
		verdict = b.bad(verdict)
	case "would-deny":
		verdict = b.warn(verdict)
	case "allow":
		verdict = b.good(verdict)
	}
	line := fmt.Sprintf("%s  %s  %-22s %s", b.faint(l.at.Local().Format(time.TimeOnly)), verdict, printable.Line(l.caller), printable.Line(l.operation))
	if l.object != "" {
		line += " " + printable.Line(l.object)
	}
	if l.why != "" {
		line += "  " + printable.Line(l.why)
	}
	if n > 1 {
		line += b.faint(fmt.Sprintf("  × %d", n))
	}
	return line
}

func lineOf(r *audit.Record) decisionLine {
	l := decisionLine{at: r.Time, verdict: "deny", caller: callerName(&r.Caller), operation: r.Operation, object: objectOf(r)}
	switch {
	case r.Event != "" && r.Grant != nil:
		l.verdict, l.caller, l.operation, l.object, l.why = r.Event, strings.Join(r.Grant.To, "+"), "role "+r.Grant.Role, r.Grant.ID, "by "+r.Grant.By+": "+r.Grant.Reason
		if len(r.Reasons) > 0 {
			l.why = r.Reasons[0]
		}
		return l
	case r.Allow && r.Mode == "":
		l.verdict = "allow"
	case r.Allow:
		l.verdict = "would-deny"
	}
	if l.operation == "" {
		l.operation = r.Method + " " + r.URI
	}
	if l.verdict != "allow" {
		l.why = strings.Join(r.Reasons, "; ")
		if r.Code != "" {
			l.why = "[" + r.Code + "] " + l.why
		}
	}
	return l
}

// callerName is the caller's name, and of one who has none, why not.
func callerName(c *audit.Caller) string {
	name := principal.Name(c.Principals, string(c.Kind))
	if len(c.Principals) == 0 && c.Why != "" {
		name += " (" + c.Why + ")"
	}
	return name
}

// objectOf is what the path names, or the name that something is made under.
func objectOf(r *audit.Record) string {
	op, err := operation.Parse(&operation.Request{Method: r.Method, URI: r.URI, Proto: "HTTP/1.1", Header: http.Header{}})
	if err == nil && op.Target != "" {
		return op.Target
	}
	uri, err := url.Parse(r.URI)
	if err != nil {
		return ""
	}
	for _, key := range []string{"name", "fromImage", "t"} {
		if name := uri.Query().Get(key); name != "" {
			return name
		}
	}
	parts := strings.Split(strings.Trim(uri.Path, "/"), "/")
	if len(parts) > 0 && strings.HasPrefix(parts[0], "v1.") {
		parts = parts[1:]
	}
	if len(parts) == 3 { // containers/web/exec, which has a body
		return parts[1]
	}
	return ""
}
