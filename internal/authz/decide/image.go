package decide

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/engine/operation"
)

// carried decides once more on a new container that is given by its image what a request would have the hazard limits for: who brought the image in
// chose it as he would choose a request. Who may make containers anew only where there was one (recreate) is trusted with whatever
// is newest under its image's name. The image is looked at by its name, and may be another one a moment later.
func (s *Steps) carried(ctx context.Context, v *Verdict, in *policy.Input, d policy.Decision) policy.Decision {
	op := in.Operation
	if op.ID != "ContainerCreate" || s.Objects == nil || !d.Allows() || d.Admin || len(d.Recreate) > 0 || slices.Contains(op.Hazards, operation.HazardLimits) {
		return d
	}
	body, _ := op.Body.(map[string]any)
	image, _ := body["Image"].(string)
	if image == "" {
		return d // the daemon makes none of no image
	}
	fields, err := s.Objects.ImageBurdens(ctx, image, op.Query.Get("platform"))
	if len(fields) == 0 && err == nil {
		return d
	}
	v.world.Image = &record.Image{Burdens: fields, Why: textOf(err)}
	in.Operation = op.WithHazard(operation.HazardLimits, "Image")
	again := s.Policy.Decide(ctx, in)
	if again.Allows() {
		return again
	}
	why := fmt.Sprintf("image %q has %s beyond what a container may have the daemon do", image, strings.Join(fields, ", "))
	if err != nil {
		why = fmt.Sprintf("it cannot be told what image %q has the daemon do: %v", image, err)
	}
	again.Reasons = append(slices.Clip(again.Reasons), why)
	return again
}
