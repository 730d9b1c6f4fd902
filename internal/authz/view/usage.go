package view

import (
	"context"
	"encoding/json"
	"fmt"

	"vitrine/internal/engine/operation"
)

// unsaid is what the daemon says of a number that it has not found out.
const unsaid = -1

// usage leaves out of what the daemon's disk holds what is outside the view. Sums are those of what is left, and what could only be told by what is
// left out is not told: how much an image shares with others, and how many use a volume that is shared. Build caches are nobody's. Keys that are not
// known here are left out.
func (p *Plan) usage(ctx context.Context, doc json.RawMessage) (json.RawMessage, error) {
	var all struct{ Images, Containers, Volumes []map[string]json.RawMessage }
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnlike, err)
	}
	type shown = []map[string]json.RawMessage
	containers, images, volumes := shown{}, shown{}, shown{}
	uses, layers := map[string]int{}, int64(0)
	for _, c := range all.Containers {
		var o struct {
			ID      string `json:"Id"`
			Names   []string
			ImageID string
		}
		if err := fields(c, &o); err != nil {
			return nil, err
		}
		if p.container(ctx, o.ID, o.Names) {
			containers = append(containers, c)
			uses[o.ImageID]++
		}
	}
	for _, i := range all.Images {
		var o struct {
			ID       string `json:"Id"`
			RepoTags []string
			Labels   map[string]string
			Size     int64
		}
		if err := fields(i, &o); err != nil {
			return nil, err
		}
		if !p.view.has(operation.KindImage, o.Labels, o.RepoTags) && !p.view.shares(operation.KindImage, o.RepoTags...) {
			continue
		}
		if err := p.imageKeys(i, o.Labels); err != nil {
			return nil, err
		}
		i["Containers"] = number(int64(uses[o.ID]))
		images, layers = append(images, i), layers+o.Size
	}
	for _, v := range all.Volumes {
		var o struct {
			Name      string
			Labels    map[string]string
			UsageData *struct{ Size int64 }
		}
		if err := fields(v, &o); err != nil {
			return nil, err
		}
		switch owned := p.view.owns(operation.KindVolume, o.Labels); {
		case !owned && !p.view.shares(operation.KindVolume, o.Name):
			continue
		case !owned && o.UsageData != nil:
			v["UsageData"] = json.RawMessage(fmt.Sprintf(`{"RefCount":%d,"Size":%d}`, unsaid, o.UsageData.Size))
		}
		volumes = append(volumes, v)
	}
	return json.Marshal(map[string]any{
		"LayersSize": layers, "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": shown{}, "BuilderSize": 0,
	})
}

// fields reads some keys of an object.
func fields(of map[string]json.RawMessage, to any) error {
	text, err := json.Marshal(of)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnlike, err)
	}
	return nil
}

func number(n int64) json.RawMessage { return json.RawMessage(fmt.Sprint(n)) }
