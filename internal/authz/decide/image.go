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
// is newest under its image's name. The image is looked at by its name, and may be another one a moment later. Tags, pulls, pushes and saves
// are events, which the daemon keeps, and which have all labels of the image: those count there.
func (s *Steps) carried(ctx context.Context, v *Verdict, in *policy.Input, d policy.Decision) policy.Decision {
	op := in.Operation
	image := carrier(op)
	if !d.Allows() || d.Admin || len(d.Recreate) > 0 || slices.Contains(op.Hazards, operation.HazardLimits) {
		return d
	}
	config, err := s.imageConfig(ctx, v, image)
	fields := slices.DeleteFunc(slices.Clone(config.Burdens), func(field string) bool { return op.ID != "ContainerCreate" && field != "Labels" })
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

// imageConfig is what the image that a request names asks of the daemon, which is asked once a request; nothing if it names none.
func (s *Steps) imageConfig(ctx context.Context, v *Verdict, image string) (operation.ImageConfig, error) {
	if image == "" || s.Objects == nil {
		return operation.ImageConfig{}, nil
	}
	if v.image == nil {
		config, err := s.Objects.ImageConfig(ctx, image, v.Operation.Query.Get("platform"))
		v.image = func() (operation.ImageConfig, error) { return config, err }
	}
	return v.image()
}

// carrier is the image of which a request makes a container, or an event; "" for other requests. (Of no image the daemon makes none.)
func carrier(op *operation.Operation) string {
	switch op.ID {
	case "ContainerCreate":
		body, _ := op.Body.(map[string]any)
		image, _ := body["Image"].(string)
		return image
	case "ImageTag", "ImageGet":
		return op.Target
	case "ImagePush":
		return tagged(op.Target, op.Query.Get("tag"))
	case "ImageCreate":
		return tagged(op.Query.Get("fromImage"), op.Query.Get("tag"))
	}
	return ""
}

// tagged is an image's name with a tag, or a digest, that is given beside it.
func tagged(name, tag string) string {
	switch {
	case name == "" || tag == "":
		return name
	case strings.Contains(tag, ":"):
		return name + "@" + tag
	}
	return name + ":" + tag
}
