package explain

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
	"vitrine/internal/engine/principal"
)

// Ask decides as the caller's door would, without an Engine. rule is what an allowing policy demands and that
// door cannot meet, which denies.
func Ask(ctx context.Context, o decide.Options, caller *identity.Identity, req *operation.Request) (v *decide.Verdict, rule string) {
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

// Hidden says that the request is about something that is not there for the caller.
func Hidden(v *decide.Verdict) bool {
	return v.Allow && v.View != nil && slices.Contains(v.View.Hidden, v.Operation.Target)
}

// fixedCaller is an Identifier without a kernel: the caller is who is said to ask.
type fixedCaller struct{ id *identity.Identity }

func (c fixedCaller) Identify(context.Context, *identity.Connection) *identity.Identity { return c.id }

func (c fixedCaller) ContainerPrincipals(_ context.Context, ref string) ([]string, error) {
	if strings.HasPrefix(ref, "exec:") {
		return nil, errors.New("there is no Engine to ask in which container an exec is")
	}
	return []string{principal.Container.With(ref)}, nil
}
