package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/explain"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/command"
	"vitrine/internal/engine/operation"
)

// answer is what eval prints with --json.
type answer struct {
	Allow   bool                `json:"allow"`
	Message string              `json:"message,omitempty"` // what a denied caller is told
	Code    string              `json:"code,omitempty"`    // see docs/reasons.md
	Status  int                 `json:"status,omitempty"`
	Admin   bool                `json:"admin"`
	Reasons []string            `json:"reasons"`
	Rules   []policy.Rule       `json:"rules,omitempty"` // where they come from
	Redact  []string            `json:"redact,omitempty"`
	KeepEnv []string            `json:"keep_env,omitempty"`
	Where   map[string]string   `json:"where,omitempty"`
	Shared  map[string][]string `json:"shared,omitempty"`
	// ImageNames are those that the caller may give images.
	ImageNames []string `json:"image_names,omitempty"`
	// Ceilings are those of what it makes.
	Ceilings operation.Ceilings `json:"ceilings,omitzero"`
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

func printAnswer(ctx context.Context, std command.Streams, v *decide.Verdict, unmet string, f evalFlags, objects decide.Objects) error {
	d := v.Decision
	a := answer{
		Allow: v.Allow, Message: v.Message, Code: v.Code, Status: v.Status, Admin: d.Admin, Reasons: v.Reasons(), Rules: d.Rules,
		Redact: d.Redact, KeepEnv: d.KeepEnv, Where: d.Where, Shared: d.Shared, ImageNames: d.ImageNames, Ceilings: d.Ceilings, Caller: v.Caller, Revision: d.Revision,
		Door: v.Caller.Door, Obligation: unmet, Enters: v.Enters,
	}
	if a.Reasons == nil {
		a.Reasons = []string{}
	}
	switch {
	case explain.Hidden(v):
		a.Allow, a.Status, a.Code, a.Message = false, http.StatusNotFound, "view", "what the daemon says of what is not there: "+v.Operation.Target+" is not one of the objects that this caller sees"
	case v.Code == "object":
		a.Note = "there is no Engine to ask: give --object for each thing that the request names, such as --object container:web,label=team=blue, or --object volume:data,none"
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
	if !f.asJSON && !f.showInput {
		return a.print(std)
	}
	if err := printJSON(std.Out, a); err != nil {
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("print the decision: %w", err)}
	}
	return nil
}

// print prints the answer in a line, and on standard error what to know of it.
func (a *answer) print(std command.Streams) error {
	line := "deny: " + strings.TrimPrefix(a.Message, "vitrine: ")
	if a.Allow {
		line = fmt.Sprintf("allow: %s may %s: %s", a.Caller, a.Operation, strings.Join(a.Reasons, "; "))
		if len(a.Redact) > 0 {
			line += fmt.Sprintf("; %d values of the answer are blanked", len(a.Redact))
		}
		for _, c := range a.Changed {
			line += "; changed: " + strings.Join(slices.DeleteFunc([]string{c.What, c.From, c.To}, func(s string) bool { return s == "" }), " ")
		}
	}
	if _, err := fmt.Fprintln(std.Out, line); err != nil {
		return command.ExitError{Code: command.Failed, Err: fmt.Errorf("print the decision: %w", err)}
	}
	if a.Note != "" {
		fmt.Fprintln(std.Err, "note: "+a.Note)
	}
	return nil
}
