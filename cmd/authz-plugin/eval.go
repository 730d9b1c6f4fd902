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
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/hostpath"
)

type evalFlags struct {
	as, policy, headers  []string
	caller, body, door   string
	objects              []string
	showInput, byDefault bool
	host                 bool
}

func evalCommand(std command.Streams) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --as PRINCIPAL... METHOD URI",
		Short: "Decide one request without an Engine, and print the decision as JSON",
		Long: `Decide one request as a door would, without an Engine, and print the decision
as JSON. Exit 0: allowed, 1: denied, 2: could not tell. What the policy allows
and the door could not see to, such as blanking a stream, is denied here too:
"obligation" names the rule that demands it.

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
	flags := cmd.Flags()
	flags.StringArrayVar(&f.as, "as", nil, "`PRINCIPAL` that the caller has, such as unix:root, container:web, tls:ci; may be given several times")
	flags.StringVar(&f.caller, "caller", "", "the whole caller as `JSON`, as a policy sees it; --as adds to its principals")
	flags.StringArrayVar(&f.policy, "policy", nil, "`PATH` of a policy, as for serve; default /etc/docker/vitrine if it holds one, else the built-in policy")
	flags.BoolVar(&f.byDefault, "allow-by-default", false, "accept a policy that allows an empty input")
	flags.StringArrayVar(&f.headers, "header", nil, "request `HEADER`, such as 'Content-Type: application/json'")
	flags.StringArrayVar(&f.objects, "object", nil, "`OBJECT` that there is: KIND:NAME[,id=ID][,label=KEY=VALUE][,image=NAME], or KIND:NAME,none of what there is not; may be given several times")
	flags.StringVar(&f.body, "body", "", "request body from `FILE`; - is standard input")
	flags.BoolVar(&f.host, "host", false, "look up paths of the host on this machine")
	flags.StringVar(&f.door, "door", "", "`DOOR` at which it is asked: gateway (the default), or plugin, which is dockerd's own socket and sees no answers")
	flags.BoolVar(&f.showInput, "input", false, "print the policy's input as well")
	return cmd
}

// answer is what eval prints.
type answer struct {
	Allow   bool                `json:"allow"`
	Message string              `json:"message,omitempty"` // what a denied caller is told
	Code    string              `json:"code,omitempty"`
	Status  int                 `json:"status,omitempty"`
	Admin   bool                `json:"admin"`
	Reasons []string            `json:"reasons"`
	Rules   []policy.Rule       `json:"rules,omitempty"` // where they come from
	Redact  []string            `json:"redact,omitempty"`
	KeepEnv []string            `json:"keep_env,omitempty"`
	Where   map[string]string   `json:"where,omitempty"`
	Shared  map[string][]string `json:"shared,omitempty"`
	// Changed is what the gateway would forward otherwise than it was asked.
	Changed []audit.Change `json:"changed,omitempty"`
	Door    string         `json:"door"`
	// Obligation is the rule of an allowing policy that the door cannot meet.
	Obligation string             `json:"obligation,omitempty"`
	Operation  string             `json:"operation,omitempty"`
	Access     operation.Access   `json:"access,omitempty"`
	Hazards    []operation.Hazard `json:"hazards,omitempty"`
	// By hazard, the fields of the request that it comes from.
	HazardFields map[operation.Hazard][]string `json:"hazard_fields,omitempty"`
	HostPaths    []string                      `json:"host_paths,omitempty"`
	Resolved     []operation.ResolvedPath      `json:"resolved,omitempty"` // paths that are forwarded otherwise than they were written
	Note         string                        `json:"note,omitempty"`
	Enters       []string                      `json:"enters,omitempty"`
	Caller       *identity.Identity            `json:"caller"`
	Revision     string                        `json:"policy_revision"`
	Input        json.RawMessage               `json:"input,omitempty"`
}

func eval(ctx context.Context, f evalFlags, method, uri string, std command.Streams) error {
	caller, err := evalCaller(f)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	req, err := evalRequest(f, method, uri, std.In)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	objects, err := parseObjects(f.objects)
	if err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	var opts settings
	if err := setPolicy(&opts, f.policy); err != nil {
		return command.ExitError{Code: command.Usage, Err: err}
	}
	engine := policy.New(policy.Options{Paths: opts.policy, BuiltinIfAbsent: opts.builtinIfAbsent, AllowByDefault: f.byDefault, Positions: true})
	if err := engine.Load(ctx); err != nil {
		return command.ExitError{Code: command.Usage, Err: fmt.Errorf("load the policy: %w", err)}
	}
	options := decide.Options{Engine: usualEngine, Policy: engine, Objects: objects}
	if f.host {
		options.HostPaths = hostpath.New(hostpath.Config{Root: "/", Logger: slog.New(slog.DiscardHandler)})
	}
	v, rule := asDoor(ctx, options, caller, req)
	if err := printAnswer(ctx, std.Out, v, rule, f, objects); err != nil {
		return err
	}
	switch {
	case v.Decision.Failed:
		return command.ExitError{Code: command.Usage, Err: errors.New("the policy could not tell")}
	case !v.Allow, hidden(v):
		return command.ExitError{Code: command.Failed}
	}
	return nil
}

// hidden: the request is about something that is not there for the caller.
func hidden(v *decide.Verdict) bool {
	return v.Allow && v.View != nil && slices.Contains(v.View.Hidden, v.Operation.Target)
}

// asDoor decides as the caller's door would. rule is what an allowing policy demands and that
// door cannot meet, which denies.
func asDoor(ctx context.Context, o decide.Options, caller *identity.Identity, req *operation.Request) (v *decide.Verdict, rule string) {
	o.Identifier, o.Mode, o.Record, o.Timeout = fixedCaller{caller}, decide.Enforce, func(audit.Record) {}, policy.DefaultTimeout
	v = decide.New(o).Authorize(ctx, identity.NewLocal(), req)
	if !v.Allow && v.Code == "obligation" { // the gateway's view has said so
		return v, "where"
	}
	if v.Allow {
		if _, unmet := obligation.Meet(obligation.Door(caller.Door), v.Operation, v.Decision.Demand()); unmet != nil {
			v.Deny(http.StatusForbidden, "obligation", unmet.Reason)
			rule = unmet.Rule
		}
	}
	return v, rule
}

// usualEngine is an Engine on this host without settings of its own.
func usualEngine() *operation.Engine {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers") // is in every cgroup of v2, and in none of v1
	return &operation.Engine{Runtime: "runc", LogDriver: "json-file", HostCgroupns: err != nil, HostUsers: true}
}

func printAnswer(ctx context.Context, w io.Writer, v *decide.Verdict, unmet string, f evalFlags, objects fixedObjects) error {
	d := v.Decision
	a := answer{
		Allow: v.Allow, Message: v.Message, Code: v.Code, Status: v.Status, Admin: d.Admin, Reasons: v.Reasons(), Rules: d.Rules,
		Redact: d.Redact, KeepEnv: d.KeepEnv, Where: d.Where, Shared: d.Shared, Caller: v.Caller, Revision: d.Revision,
		Door: v.Caller.Door, Obligation: unmet, Enters: v.Enters,
	}
	if a.Reasons == nil {
		a.Reasons = []string{}
	}
	switch {
	case hidden(v):
		a.Allow, a.Status, a.Message = false, http.StatusNotFound, "what the daemon says of what is not there: "+v.Operation.Target+" is not one of the objects that this caller sees"
	case v.Code == "object":
		a.Note = errNoEngine.Error() + " for each thing that the request names, such as --object container:web,label=team=blue, or --object volume:data,none"
	}
	if op := v.Operation; op != nil {
		a.Operation, a.Access, a.Hazards, a.HazardFields = op.ID, op.Access, op.Hazards, op.HazardFields
		a.HostPaths, a.Resolved = op.HostPath, op.Resolved
		if v.Allow {
			a.Changed = v.Changes()
		}
		if op.NamesHostPaths() && !f.host {
			a.Note = "paths of the host were taken as they are written; serve follows their links, and so does --host on the host"
		}
		if f.showInput {
			input, err := policy.InputJSON(&policy.Input{Caller: v.Caller, Operation: op, Enters: v.Enters, Objects: func() []object.Object { return objects.Objects(ctx, op) }})
			if err != nil {
				return command.ExitError{Code: command.Usage, Err: err}
			}
			a.Input = input
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("print the decision: %w", err)}
	}
	return nil
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
		id.Kind = kindOf(id.Principals)
	}
	if id.Kind == "" {
		return nil, fmt.Errorf("--as %q: a principal is KIND:VALUE, such as unix:root, container:web, label:team=sre, tls:ci, peer-uid:1000, or local", f.as)
	}
	return id, nil
}

// kindOf tells from its principals what kind of caller it must be.
func kindOf(principals []string) identity.Kind {
	for _, s := range principals {
		p := principal.Split(s)
		if of := p.Kind.Facts().Of; of != "" || p.Kind == "" {
			return identity.Kind(of)
		}
	}
	return ""
}

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
	var body []byte
	var err error
	if f.body == "-" {
		body, err = io.ReadAll(stdin)
	} else {
		body, err = os.ReadFile(f.body)
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

// fixedCaller is an Identifier without a kernel: the caller is who --as says.
type fixedCaller struct{ id *identity.Identity }

func (c fixedCaller) Identify(context.Context, *identity.Connection) *identity.Identity { return c.id }

func (c fixedCaller) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if strings.HasPrefix(ref, "exec:") {
		return nil, errors.New("there is no Engine to ask in which container an exec is")
	}
	return []string{principal.Container.With(ref)}, nil
}
