package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Configuration is all that a container was made with, as the Engine shows it.
type Configuration struct {
	Name           string          // without the slash
	Config, Host   json.RawMessage // Config and HostConfig of GET /containers/{id}/json
	Networks       json.RawMessage // its NetworkSettings.Networks
	ImageOwnConfig json.RawMessage // Config of the image that it runs; nil if that is gone
}

// Configuration asks what a container was made with. id is a full one, which no other container can have.
func (inv *Inventory) Configuration(ctx context.Context, id string) (Configuration, error) {
	var in struct {
		ID                 string `json:"Id"`
		Name, Image        string
		Config, HostConfig json.RawMessage
		NetworkSettings    struct{ Networks json.RawMessage }
	}
	if err := inv.lookUp(ctx, "/containers/"+url.PathEscape(id)+"/json", nil, &in); err != nil {
		return Configuration{}, err
	}
	if in.ID != id {
		return Configuration{}, fmt.Errorf("inspect container %q: the engine answers with the id %q", id, in.ID)
	}
	var image struct{ Config json.RawMessage }
	if err := inv.lookUp(ctx, "/images/"+url.PathEscape(in.Image)+"/json", nil, &image); err != nil && !errors.Is(err, ErrNotFound) {
		return Configuration{}, err
	}
	return Configuration{strings.TrimPrefix(in.Name, "/"), in.Config, in.HostConfig, in.NetworkSettings.Networks, image.Config}, nil
}
