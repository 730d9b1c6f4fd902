// Package authz is the one place that calls the steps of a decision in order:
// identify, parse, decide, record. Both doors call Authorize and nothing else.
package authz

import (
	"context"

	"vitrine/internal/identity"
	"vitrine/internal/operation"
	"vitrine/internal/policy"
)

// Authorizer decides requests. (Interface for the doors.)
type Authorizer interface {
	// Authorize never returns nil and never panics. The caller must call
	// Verdict.Finish exactly once per verdict, in a defer.
	Authorize(ctx context.Context, conn *identity.Connection, req *operation.Request) *Verdict
}

// Verdict is what a door has to do with one request.
type Verdict struct {
	Allow   bool   // false: answer Status and Message, and do nothing else
	Status  int    // HTTP status of the refusal: 400, 403, 413, 431, 503
	Message string // for the caller: "vitrine: container:web may not …"

	Caller    *identity.Identity   // never nil
	Operation *operation.Operation // nil when the request was refused by the parser
	Decision  policy.Decision
}
