package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/explain"
	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/hostpath"
)

// evalFlags are what eval and explain ask.
type evalFlags struct {
	as, policy, headers          []string
	caller, body, door, grants   string
	objects                      []string
	showInput, byDefault, asJSON bool
	host                         bool
}

func (f *evalFlags) addTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.as, "as", nil, "`PRINCIPAL` that the caller has, such as unix:root, container:web, tls:ci; may be given several times")
	flags.StringVar(&f.caller, "caller", "", "the whole caller as `JSON`, as a policy sees it; --as adds to its principals")
	flags.StringArrayVar(&f.policy, "policy", nil, "`PATH` of a policy, as for serve; default /etc/docker/vitrine if it holds one, else the built-in policy")
	flags.BoolVar(&f.byDefault, "allow-by-default", false, "accept a policy that allows an empty input")
	flags.StringArrayVar(&f.headers, "header", nil, "request `HEADER`, such as 'Content-Type: application/json'")
	flags.StringArrayVar(&f.objects, "object", nil, "`OBJECT` that there is: KIND:NAME[,id=ID][,label=KEY=VALUE][,image=NAME][,network=NAME], or KIND:NAME,none of what there is not; may be given several times")
	flags.StringVar(&f.grants, "grants", "", "`FILE` of rights that are lent, as grant writes it; without it and without --policy, "+defaultGrants+" if it is there")
	flags.StringVar(&f.body, "body", "", "request body from `FILE`; - is standard input")
	flags.BoolVar(&f.host, "host", false, "look up paths of the host on this machine")
	flags.StringVar(&f.door, "door", "", "`DOOR` at which it is asked: gateway (the default), or plugin, which is dockerd's own socket and sees no answers")
}

func evalCommand(std command.Streams) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --as PRINCIPAL... METHOD URI",
		Short: "Decide one request without an Engine",
		Long: `Decide one request as a door would, without an Engine, and print the answer in a
line, or all of the decision with --json. Exit 0: allowed, 1: denied, 2: could not
tell. What the policy allows and the door could not see to, such as blanking a stream,
is denied here too: "obligation" in --json names the rule that demands it. To be told
why, and what would allow it, ask explain the same.

A reference to a container ("exec web") is taken for the container's name; an
exec's id says nothing about its container here, which counts as any container.
The Engine's defaults (runtime, log driver, cgroup namespace) are Docker's own.
Paths of the host are taken as they are written; with --host, on the host, their
links are followed as serve would follow them. What the request names is known to a
policy that reads input.objects, and to roles with own or where, only as far as --object
says it; what such a role does not see is denied here, as the 404 that its caller is told.`,
		Example: `  authz-plugin eval --as label:vitrine.role=look GET /v1.41/containers/json
  authz-plugin eval --as unix:jenkins --policy ./policy POST '/containers/create?name=x' --body create.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return eval(cmd.Context(), f, args[0], args[1], std)
		},
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.showInput, "input", false, "print the whole decision as JSON, with the policy's input")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the whole decision as JSON")
	return cmd
}

func eval(ctx context.Context, f evalFlags, method, uri string, std command.Streams) error {
	q, err := f.question(method, uri, std.In)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	engine := policy.New(q.Policy)
	if err := engine.Load(ctx); err != nil {
		return command.ExitError{Code: command.Usage, Err: fmt.Errorf("load the policy: %w", err)}
	}
	q.Options.Policy = engine
	v, rule := explain.Ask(ctx, q.Options, q.Caller, q.Request())
	if err := printAnswer(ctx, std, v, rule, f, q.Options.Objects); err != nil {
		return err
	}
	switch {
	case v.Decision.Failed:
		return command.ExitError{Code: command.Usage, Err: errors.New("the policy could not tell")}
	case !v.Allow, explain.Hidden(v):
		return command.ExitError{Code: command.Failed}
	}
	return nil
}

// question is what the flags ask.
func (f *evalFlags) question(method, uri string, stdin io.Reader) (*explain.Question, error) {
	caller, err := evalCaller(*f)
	if err != nil {
		return nil, err
	}
	req, err := evalRequest(*f, method, uri, stdin)
	if err != nil {
		return nil, err
	}
	var objects object.Told
	for _, text := range f.objects {
		o, err := object.ParseTold(text)
		if err != nil {
			return nil, fmt.Errorf("--object %q: %w", text, err)
		}
		objects = append(objects, o)
	}
	lent, err := f.lent()
	if err != nil {
		return nil, err
	}
	of := policyAt(f.policy)
	of.Lent, of.AllowByDefault, of.Positions = lent, f.byDefault, true
	q := &explain.Question{
		Policy:  of,
		Options: decide.Options{Engine: usualEngine, Objects: objects, Sockets: usualSockets()}, Caller: caller,
		Request: func() *operation.Request { again := *req; return &again },
	}
	if f.host {
		q.Options.HostPaths = hostpath.New(hostpath.Config{Root: "/", Logger: slog.New(slog.DiscardHandler)})
	}
	return q, nil
}

// lent are the grants that count: those of the host beside its policy, unless other ones are named.
func (f *evalFlags) lent() ([]grant.Grant, error) {
	switch {
	case f.grants != "":
		list, err := grant.Read(f.grants, time.Now())
		if err != nil {
			return nil, fmt.Errorf("--grants: %w", err)
		}
		return list, nil
	case len(f.policy) > 0:
		return nil, nil
	}
	list, err := grant.Read(defaultGrants, time.Now())
	if err != nil {
		return nil, nil //nolint:nilerr // they are none for serve, too, which says so
	}
	return list, nil
}

// usualSockets are those of serve without settings of its own.
func usualSockets() *operation.Sockets {
	agents, err := parseListener(defaultListen)
	if err != nil {
		return nil // a test reads it
	}
	return (&settings{listeners: []listener{agents}, upstream: "/run/docker.sock"}).sockets()
}

// usualEngine is an Engine on this host without settings of its own.
func usualEngine() *operation.Engine {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers") // is in every cgroup of v2, and in none of v1
	return &operation.Engine{Runtime: "runc", LogDriver: "json-file", HostCgroupns: err != nil, HostUsers: true}
}

// evalCaller makes the caller of --as and --caller.
func evalCaller(f evalFlags) (*identity.Identity, error) {
	if len(f.as) == 0 && f.caller == "" {
		return nil, errors.New("who asks? give --as PRINCIPAL, such as --as container:web, or --caller JSON")
	}
	id := &identity.Identity{Door: "gateway", Listener: "eval", Groups: []uint32{}}
	if f.caller != "" {
		dec := json.NewDecoder(strings.NewReader(f.caller))
		dec.DisallowUnknownFields()
		if err := dec.Decode(id); err != nil {
			return nil, fmt.Errorf("--caller: %w", err)
		}
	}
	switch obligation.Door(f.door) {
	case "":
	case obligation.Gateway, obligation.Plugin:
		id.Door = f.door
	default:
		return nil, fmt.Errorf("--door %q: there are gateway and plugin", f.door)
	}
	if id.Door == "" {
		id.Door = string(obligation.Gateway)
	}
	id.Principals = append(id.Principals, f.as...)
	if id.Kind == "" {
		id.Kind = identity.KindOf(id.Principals)
	}
	if id.Kind == "" {
		return nil, fmt.Errorf("--as %q: a principal is KIND:VALUE, such as unix:root, container:web, label:team=sre, tls:ci, peer-uid:1000, or local", f.as)
	}
	return id, nil
}

// maxBody is more than any door judges, in bytes.
const maxBody = 32 << 20

func evalRequest(f evalFlags, method, uri string, stdin io.Reader) (*operation.Request, error) {
	header := http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q: want 'Name: value'", h)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	req := &operation.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Header: header}
	if f.body == "" {
		return req, nil
	}
	from := stdin
	if f.body != "-" {
		file, err := os.Open(f.body)
		if err != nil {
			return nil, fmt.Errorf("--body: %w", err)
		}
		defer file.Close()
		from = file
	}
	body, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("%s has more than %d bytes: no request like that is judged", f.body, maxBody)
	}
	if err != nil {
		return nil, fmt.Errorf("--body: %w", err)
	}
	body = bytes.TrimSuffix(body, []byte("\n"))
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	req.ContentLength = int64(len(body))
	req.ReadBody = func() ([]byte, error) { return body, nil }
	return req, nil
}
