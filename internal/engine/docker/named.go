package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"vitrine/internal/fair"
)

// Named is an object that is asked for when somebody names it, and not kept.
type Named struct {
	ID     string // a volume's is its name
	Names  []string
	Labels map[string]string
	Image  string // of a service
}

// Volume asks for a volume by its name, GET /volumes/{name}.
func (inv *Inventory) Volume(ctx context.Context, name string) (Named, error) {
	var out struct {
		Name   string
		Labels map[string]string
	}
	err := inv.lookUp(ctx, "/volumes/"+url.PathEscape(name), nil, &out)
	return Named{out.Name, []string{out.Name}, out.Labels, ""}, given(err, out.Name)
}

// Image asks for an image by whatever names it, GET /images/{name}/json.
func (inv *Inventory) Image(ctx context.Context, ref string) (Named, error) {
	var out struct {
		ID       string `json:"Id"`
		RepoTags []string
		Config   struct{ Labels map[string]string }
	}
	err := inv.lookUp(ctx, "/images/"+(&url.URL{Path: ref}).EscapedPath()+"/json", nil, &out)
	return Named{out.ID, out.RepoTags, out.Config.Labels, ""}, given(err, out.ID)
}

// ImageConfig asks for the configuration of an image by whatever names it, as JSON: of the variant for a platform such as linux/arm64/v8, "" for the
// Engine's own. An image of several may have another configuration for each, and says itself which is for what. An image that is there without such a
// variant is an error, and not [ErrNotFound]: for a new container the Engine may take one that comes near.
func (inv *Inventory) ImageConfig(ctx context.Context, ref, platform string) (json.RawMessage, error) {
	kind, err := inv.kindNow(ctx)
	if err == nil {
		err = kind.untold()
	}
	if err != nil {
		return nil, err
	}
	config, _, err := inv.imageConfig(ctx, ref, nil)
	if err != nil || platform == "" {
		return config, err
	}
	p, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("ask for the platform %q: %w", platform, err)
	}
	// An engine that does not know the parameter answers with its own variant.
	config, is, err := inv.imageConfig(ctx, ref, url.Values{"platform": {string(asked)}})
	switch {
	case err != nil:
		return nil, fmt.Errorf("image %q for the platform %q: %s", ref, platform, err.Error())
	case is.OS != p.OS || is.Architecture != p.Architecture:
		return nil, fmt.Errorf("the engine shows image %q for %s/%s where it was asked for %s", ref, is.OS, is.Architecture, platform)
	}
	return config, nil
}

// platform is what a variant of an image is for.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// parsePlatform reads what a container is made for, as clients mostly write it.
func parsePlatform(text string) (platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return platform{}, fmt.Errorf("the platform %q is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT", text)
	}
	return platform{parts[0], parts[1], strings.Join(parts[2:], "")}, nil
}

func (inv *Inventory) imageConfig(ctx context.Context, ref string, query url.Values) (json.RawMessage, platform, error) {
	var out struct {
		Config           json.RawMessage
		Os, Architecture string
	}
	err := inv.lookUp(ctx, "/images/"+(&url.URL{Path: ref}).EscapedPath()+"/json", query, &out)
	if err == nil && len(out.Config) == 0 {
		err = fmt.Errorf("the answer about image %q has no configuration", ref)
	}
	return out.Config, platform{OS: out.Os, Architecture: out.Architecture}, err
}

// Swarm asks for an object of a swarm by whatever names it, GET /services/{id}, or another resource: tasks, secrets, configs, nodes. A task has the labels
// and the image of its service: it is nobody's but that one's.
func (inv *Inventory) Swarm(ctx context.Context, resource, ref string) (Named, error) {
	var out struct {
		ID, ServiceID string
		Spec          struct {
			Name         string
			Labels       map[string]string
			TaskTemplate struct{ ContainerSpec struct{ Image string } }
		}
		Description struct{ Hostname string } // of a node
	}
	err := inv.lookUp(ctx, "/"+resource+"/"+url.PathEscape(ref), nil, &out)
	found := Named{ID: out.ID, Labels: out.Spec.Labels, Image: out.Spec.TaskTemplate.ContainerSpec.Image}
	if name := cmp.Or(out.Spec.Name, out.Description.Hostname); name != "" {
		found.Names = []string{name}
	}
	if resource == "tasks" && err == nil {
		var of Named
		if of, err = inv.Swarm(ctx, "services", out.ServiceID); err == nil {
			found.Labels, found.Image = of.Labels, of.Image
		}
	}
	return found, given(err, out.ID)
}

// Labelled are the ids of the containers, networks or volumes (whose names those are) that have a label: the daemon's own word, of this moment. Of
// containers it takes the labels of images too.
func (inv *Inventory) Labelled(ctx context.Context, resource, label string) (ids []string, err error) {
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, err
	}
	query := url.Values{"filters": {string(filters)}}
	var all []struct {
		ID string `json:"Id"`
	}
	switch resource {
	case "containers":
		query.Set("all", "1")
		err = inv.lookUp(ctx, "/containers/json", query, &all)
	case "volumes":
		var of struct{ Volumes []struct{ Name string } }
		err = inv.lookUp(ctx, "/volumes", query, &of)
		for _, v := range of.Volumes {
			ids = append(ids, v.Name)
		}
	default:
		err = inv.lookUp(ctx, "/"+resource, query, &all)
	}
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids, err
}

// lookUp asks one question of those that misses may ask.
func (inv *Inventory) lookUp(ctx context.Context, path string, query url.Values, to any) error {
	defer fair.Rest(ctx)()
	ctx, cancel := context.WithTimeout(ctx, inv.timeout)
	defer cancel()
	select {
	case inv.misses <- struct{}{}:
		defer func() { <-inv.misses }()
	case <-ctx.Done():
		return fmt.Errorf("GET %s: %w", path, ctx.Err())
	}
	return inv.client.json(ctx, path, query, to)
}

func given(err error, id string) error {
	if err == nil && id == "" {
		return fmt.Errorf("the answer has no id")
	}
	return err
}
