package decide

import (
	"context"
	"maps"
	"net/url"
	"strings"

	"vitrine/internal/authz/obligation"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// stats says that a stream of statistics which is denied would be allowed as one
// answer, if it would.
func (s *Steps) stats(ctx context.Context, in policy.Input) string {
	query := url.Values{}
	maps.Copy(query, in.Operation.Query)
	query.Set("stream", "false")
	path, _, _ := strings.Cut(in.Operation.URI, "?")
	once, err := operation.Parse(&operation.Request{
		Method: in.Operation.Method, URI: path + "?" + query.Encode(), Header: in.Operation.Headers,
	})
	if err != nil {
		return ""
	}
	in.Operation = once
	limited := withDeadline(ctx, s.Timeout)
	defer limited.stop()
	d := s.Policy.Decide(limited, &in) //nolint:contextcheck // limited inherits ctx
	if !d.Allows() {
		return ""
	}
	if _, unmet := obligation.Meet(obligation.Door(in.Caller.Door), once, d.Demand()); unmet != nil {
		return ""
	}
	return "with stream=false it would be allowed"
}
