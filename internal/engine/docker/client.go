package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks the Engine API the few questions below, all of them reads. Its
// paths bear no version: every engine from API 1.24 to the newest answers such
// a path with its own newest version, without a negotiation that an engine
// might refuse, and the few fields that are read have kept their names all that
// time.
type Client struct {
	http *http.Client
	most int64 // maxAnswer, but in tests
}

// NewClient speaks through rt, which decides where the engine is: the host of
// the requests is always "docker".
func NewClient(rt http.RoundTripper) *Client {
	return &Client{most: maxAnswer, http: &http.Client{
		Transport: rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { // the engine redirects only paths that are not clean
			return http.ErrUseLastResponse
		},
	}}
}

// ErrSeveral says that a reference may mean several objects, of which the engine takes none.
var ErrSeveral = errors.New("the reference is ambiguous")

// ErrNotFound says that the engine knows no such object.
var ErrNotFound = errors.New("no such object")

// maxAnswer bounds what is read of one answer, or of one element of a list, in bytes. A container may have some MB of labels,
// and whoever may make containers chooses them: so nobody can say how long a list of all may be.
const maxAnswer = 64 << 20

// Summary is one entry of the list of containers.
type Summary struct {
	ID    string `json:"Id"`
	Names []string
	State string // "running", "exited" …
}

// name is the container's own, among those that links give it; "" if there is none.
func (s Summary) name() string {
	for _, name := range s.Names {
		if own, ok := strings.CutPrefix(name, "/"); ok && !strings.Contains(own, "/") {
			return own
		}
	}
	return ""
}

// containerList lists all containers, stopped ones too, GET /containers/json. Of an
// entry that cannot be understood there is what could be, if that is its id.
func (c *Client) containerList(ctx context.Context) ([]Summary, error) {
	var out []Summary
	err := c.each(ctx, "/containers/json", url.Values{"all": {"1"}}, func(row json.RawMessage) error {
		var s Summary
		if err := json.Unmarshal(row, &s); err != nil {
			s = Summary{ID: s.ID}
		}
		if isID(s.ID) {
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

// inspected is what is read of GET /containers/{id}/json.
type inspected struct {
	ID    string `json:"Id"`
	Name  string
	Image string
	State struct {
		Status                string
		Running, OOMKilled    bool
		Pid, ExitCode         int
		StartedAt, FinishedAt string
		Health                *struct{ Status string }
	}
	Config struct {
		Image  string
		Labels map[string]string
		Env    []string
	}
	Created      string
	RestartCount int
	HostConfig   struct {
		NetworkMode, IpcMode string
		VolumesFrom          []string
		CPUShares            int64 `json:"CpuShares"`
		Rights
	}
	Mounts          []Mount
	NetworkSettings struct {
		Networks map[string]*struct{ IPAddress, GlobalIPv6Address string }
	}
	ImageManifestDescriptor *descriptor
}

// descriptor is of one platform's part of an image.
type descriptor struct {
	Digest   string          `json:"digest"`
	Platform json.RawMessage `json:"platform"`
}

func (c *Client) containerInspect(ctx context.Context, ref string) (inspected, error) {
	var out inspected
	err := c.json(ctx, "/containers/"+url.PathEscape(ref)+"/json", nil, &out)
	if err == nil && !isID(out.ID) {
		err = fmt.Errorf("inspect container %q: the engine answers with the id %q", ref, out.ID)
	}
	return out, err
}

// imageLabels are the labels in an image's configuration, GET /images/{id}/json, or of
// one platform's part. An image may have several parts for a platform: that which the engine shows must be the one.
func (c *Client) imageLabels(ctx context.Context, id string, of *descriptor) (map[string]string, error) {
	var q url.Values
	if of != nil {
		q = url.Values{"platform": {string(of.Platform)}}
	}
	var out struct {
		Config     *struct{ Labels map[string]string }
		Descriptor descriptor
	}
	if err := c.json(ctx, "/images/"+url.PathEscape(id)+"/json", q, &out); err != nil {
		return nil, err
	}
	if out.Config == nil {
		return nil, fmt.Errorf("inspect image %q: the answer has no configuration", id)
	}
	if of != nil && out.Descriptor.Digest != of.Digest {
		return nil, fmt.Errorf("inspect image %q: the engine shows %q for %s, and the container is of %q", id, out.Descriptor.Digest, of.Platform, of.Digest)
	}
	return out.Config.Labels, nil
}

// execInspect returns the id of the container that an exec runs in,
// GET /exec/{id}/json.
func (c *Client) execInspect(ctx context.Context, id string) (containerID string, err error) {
	var out struct{ ContainerID string }
	if err := c.json(ctx, "/exec/"+url.PathEscape(id)+"/json", nil, &out); err != nil {
		return "", err
	}
	if !isID(out.ContainerID) {
		return "", fmt.Errorf("inspect exec %q: the engine answers with the container %q", id, out.ContainerID)
	}
	return out.ContainerID, nil
}

// execWaits says of an exec that it was made, and has not run: GET /exec/{id}/json.
func (c *Client) execWaits(ctx context.Context, id string) (bool, error) {
	var out struct {
		Running  bool
		ExitCode *int
	}
	err := c.json(ctx, "/exec/"+url.PathEscape(id)+"/json", nil, &out)
	return !out.Running && out.ExitCode == nil, err
}

// Event is one event about a container, or a network. One that could not be understood
// has no Action.
type Event struct {
	Type, Action, ID string
	Time             time.Time // by the engine's clock
	// Attributes are the container's labels and more, by the action: "name",
	// "exitCode" of a die.
	Attributes map[string]string
}

// events opens the stream of events of these types, GET /events. It returns when the
// engine has subscribed us: what happens from now on will be in the stream.
// next blocks; it fails when the stream or ctx ends, and not for one event that
// cannot be understood. The caller must call stop.
func (c *Client) events(ctx context.Context, types ...string) (next func() (Event, error), stop func(), err error) {
	resp, err := c.get(ctx, "/events", url.Values{"filters": {`{"type":["` + strings.Join(types, `","`) + `"]}`}}) //nolint:bodyclose // stop closes it
	if err != nil {
		return nil, nil, err
	}
	dec := json.NewDecoder(resp.Body)
	next = func() (Event, error) {
		var e struct {
			Type     string
			Action   string
			TimeNano int64 `json:"timeNano"`
			Actor    struct {
				ID         string
				Attributes map[string]string
			}
		}
		err := dec.Decode(&e)
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); odd { // the decoder has read the whole of it
			return Event{Type: e.Type, ID: e.Actor.ID}, nil
		}
		if err != nil {
			return Event{}, fmt.Errorf("read events: %w", err)
		}
		return Event{Type: e.Type, Action: e.Action, ID: e.Actor.ID, Time: time.Unix(0, e.TimeNano), Attributes: e.Actor.Attributes}, nil
	}
	return next, func() { _ = resp.Body.Close() }, nil
}

func (c *Client) json(ctx context.Context, path string, query url.Values, to any) error {
	_, err := c.jsonWithHeader(ctx, path, query, to)
	return err
}

func (c *Client) jsonWithHeader(ctx context.Context, path string, query url.Values, to any) (http.Header, error) {
	resp, err := c.get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, c.most+1))
	if err != nil {
		return nil, fmt.Errorf("read answer to GET %s: %w", path, err)
	}
	if int64(len(b)) > c.most {
		return nil, fmt.Errorf("read answer to GET %s: more than %d bytes", path, c.most)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return nil, fmt.Errorf("parse answer to GET %s: %w", path, err)
	}
	return resp.Header, nil
}

// each reads an answer that is a list, and holds one element of it at a time.
func (c *Client) each(ctx context.Context, path string, query url.Values, take func(element json.RawMessage) error) error {
	return c.eachOf(ctx, "", path, query, take)
}

// eachOf is each for the list under a key of the answer; "" for an answer that is the list.
func (c *Client) eachOf(ctx context.Context, key, path string, query url.Values, take func(element json.RawMessage) error) error {
	resp, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := &io.LimitedReader{R: resp.Body, N: c.most}
	if err := elements(json.NewDecoder(in), key, func(element json.RawMessage) error {
		in.N = c.most
		return take(element)
	}); err != nil {
		if in.N <= 0 {
			err = fmt.Errorf("an element has more than %d bytes", c.most)
		}
		return fmt.Errorf("parse answer to GET %s: %w", path, err)
	}
	return nil
}

// elements reads a text that is one list, or an object with a list under a key; null is none.
func elements(dec *json.Decoder, key string, take func(element json.RawMessage) error) error {
	read := list
	if key != "" {
		read = func(dec *json.Decoder, take func(json.RawMessage) error) error { return member(dec, key, take) }
	}
	if err := read(dec, take); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list")
	}
	return nil
}

func list(dec *json.Decoder, take func(element json.RawMessage) error) error {
	begin, err := dec.Token()
	switch {
	case err != nil:
		return err
	case begin == nil:
		return nil
	case begin != json.Delim('['):
		return errors.New("it is no list")
	}
	for dec.More() {
		var element json.RawMessage
		if err := dec.Decode(&element); err != nil {
			return err
		}
		if err := take(element); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// member reads the list under a key of an object, and steps over the others.
func member(dec *json.Decoder, key string, take func(element json.RawMessage) error) error {
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return cmp.Or(err, errors.New("it is no object"))
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		if name == key {
			err = list(dec, take)
		} else {
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// get returns an answer with status 200, whose body the caller must close.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	u := "http://docker" + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the engine: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	msg, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // only for the message
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("GET %s: %w", path, ErrNotFound)
	}
	said := strings.TrimSpace(string(msg))
	if strings.Contains(said, "Multiple IDs found") || strings.Contains(said, "is ambiguous") {
		return nil, fmt.Errorf("GET %s: %s: %w", path, said, ErrSeveral)
	}
	if resp.StatusCode == http.StatusServiceUnavailable && strings.HasPrefix(said, `{"message":"This node is not a swarm manager`) { // which has no object of a swarm
		return nil, fmt.Errorf("GET %s: %s: %w", path, said, ErrNotFound)
	}
	return nil, fmt.Errorf("GET %s: %s: %s", path, resp.Status, said)
}

// isID says that s is a container's full id.
func isID(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
