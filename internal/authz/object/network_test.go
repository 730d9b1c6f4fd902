package object_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// engine knows objects by each reference that means them.
type engine struct {
	containers   map[string]docker.Container
	others       map[string]docker.Named    // volumes, images and services
	configs      map[string]json.RawMessage // of images
	waits        map[string]bool            // execs
	local, swarm map[string]docker.NetworkInfo
	err          error
	untold       error
	several      bool // networks of each name
	joins        []string
	asked        []string
	owned        []string // what Labelled answers
	labelled     []string // what it was asked for
}

func (e *engine) Networks(_ context.Context, ref string) ([]docker.NetworkInfo, error) {
	if e.several {
		return make([]docker.NetworkInfo, 2), nil
	}
	if ref == "shadow" { // the name of one, and the beginning of the host's id
		return []docker.NetworkInfo{{Name: ref, Driver: "bridge"}, {Name: "host", Driver: "host"}}, nil
	}
	n, err := look(e, e.local, ref)
	if err != nil {
		return nil, err
	}
	return []docker.NetworkInfo{n}, nil
}

func (e *engine) ServiceNetwork(_ context.Context, ref string) (docker.NetworkInfo, error) {
	return look(e, e.swarm, ref)
}

func look[V any](e *engine, in map[string]V, ref string) (v V, err error) {
	e.asked = append(e.asked, ref)
	if e.err != nil {
		return v, e.err
	}
	v, ok := in[ref]
	if !ok {
		err = docker.ErrNotFound
	}
	return v, err
}

func (e *engine) Find(_ context.Context, ref string) (docker.Container, error) {
	return look(e, e.containers, ref)
}

func (e *engine) ExecContainer(ctx context.Context, id string) (docker.Container, error) {
	return e.Find(ctx, "exec "+id)
}

func (e *engine) Volume(_ context.Context, ref string) (docker.Named, error) {
	return look(e, e.others, ref)
}

func (e *engine) Image(_ context.Context, ref string) (docker.Named, error) {
	return look(e, e.others, ref)
}

func (e *engine) Swarm(_ context.Context, resource, ref string) (docker.Named, error) {
	return look(e, e.others, cmp.Or(map[string]string{"services": ref}[resource], resource+"/"+ref))
}

func (e *engine) Append(list []docker.Container) []docker.Container {
	for _, c := range e.containers {
		list = append(list, c)
	}
	return list
}

func (e *engine) Labelled(_ context.Context, resource, label string) ([]string, error) {
	e.labelled = append(e.labelled, resource+" "+label)
	return slices.Clone(e.owned), e.err
}

func (e *engine) ImageConfig(_ context.Context, ref, platform string) (json.RawMessage, error) {
	return look(e, e.configs, ref+platform)
}

func (e *engine) ExecWaits(_ context.Context, id string) (bool, error) { return look(e, e.waits, id) }

func (e *engine) NetworksOf(context.Context, string) ([]string, error) { return e.joins, e.err }

func (e *engine) Untold() error { return e.untold }

func (e *engine) Ready() bool { return e.err == nil }

func parse(t *testing.T, uri, body string) *operation.Operation {
	t.Helper()
	op, err := operation.Parse(&operation.Request{
		Method: "POST", URI: uri, Proto: "HTTP/1.1", Header: map[string][]string{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// TestClosedReferenceIsWhatTheDaemonResolves: the network host is the host's by its id
// and each beginning of it, to the daemon and to the swarm.
func TestClosedReferenceIsWhatTheDaemonResolves(t *testing.T) {
	host, front := docker.NetworkInfo{Name: "host", Driver: "host"}, docker.NetworkInfo{Name: "front", Driver: "bridge"}
	e := &engine{
		local: map[string]docker.NetworkInfo{"ab12": host, "ab": host, "front": front, "fe": front},
		swarm: map[string]docker.NetworkInfo{"x1y2": host, "x1": host, "ab12": host, "over": front},
	}
	for _, tc := range []struct {
		uri, body string // R stands for the reference
		host      []string
		not       []string
	}{
		{"/containers/create", `{"HostConfig":{"NetworkMode":"R"}}`, []string{"ab12", "ab"}, []string{"front", "fe", "x1", "bridge", "none", "default", "container:ab"}},
		{"/containers/create", `{"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{},"R":{}}}}`, []string{"ab12", "ab"}, []string{"fe", "bridge"}},
		{"/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{"front":{"NetworkID":"R"}}}}`, []string{"ab12", "ab"}, []string{"fe"}},
		{"/networks/R/connect", `{"Container":"web"}`, []string{"ab12", "ab"}, []string{"front", "fe"}},
		{"/networks/front/connect", `{"Container":"web","EndpointConfig":{"NetworkID":"R"}}`, []string{"ab12", "ab"}, []string{"front", "fe"}},
		{"/networks/R/disconnect", `{"Container":"web"}`, []string{"ab12", "ab"}, []string{"front", "fe"}},
		{"/build?networkmode=R", ``, []string{"ab12", "ab"}, []string{"front", "fe", "default", "none"}},
		{"/services/create", `{"Networks":[{"Target":"over"},{"Target":"R"}]}`, []string{"x1y2", "x1", "ab12"}, []string{"over", "nothing"}},
		{"/services/create", `{"TaskTemplate":{"Networks":[{"Target":"R"}]}}`, []string{"x1y2", "x1", "ab12"}, []string{"over"}},
		{"/services/s/update?version=1", `{"TaskTemplate":{"Networks":[{"Target":"R"}]}}`, []string{"x1y2", "x1", "ab12"}, []string{"over"}},
	} {
		for _, ref := range slices.Concat(tc.host, tc.not) {
			op := parse(t, strings.ReplaceAll(tc.uri, "R", ref), strings.ReplaceAll(tc.body, "R", ref))
			fields, err := object.NewResolver(e).HostNetworks(t.Context(), op)
			if want := slices.Contains(tc.host, ref); err != nil || (len(fields) > 0) != want || slices.Contains(fields, "") {
				t.Errorf("%s %s with %s: %q, %v, want some: %v", tc.uri, tc.body, ref, fields, err, want)
			}
		}
	}
}

// TestClosedReferenceThatCannotBeResolved counts as the host's.
func TestClosedReferenceThatCannotBeResolved(t *testing.T) {
	gone := errors.New("the daemon does not answer")
	for _, body := range []string{`{"HostConfig":{"NetworkMode":"front"}}`, `{"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`} {
		if fields, err := object.NewResolver(&engine{err: gone}).HostNetworks(t.Context(), parse(t, "/containers/create", body)); len(fields) == 0 || !errors.Is(err, gone) {
			t.Errorf("%s: %v, %v", body, fields, err)
		}
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"n%d":{}`, i))
	}
	e := &engine{}
	op := parse(t, "/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{`+strings.Join(many[:64], ",")+`}}}`)
	if fields, err := object.NewResolver(e).HostNetworks(t.Context(), op); len(fields) > 0 || err != nil || len(e.asked) != 64 {
		t.Errorf("as many as are looked up: %v, %v after %d questions", fields, err, len(e.asked))
	}
	e = &engine{}
	op = parse(t, "/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{`+strings.Join(many, ",")+`}}}`)
	if fields, err := object.NewResolver(e).HostNetworks(t.Context(), op); len(fields) == 0 || err == nil || len(e.asked) > 0 {
		t.Errorf("%v, %v after %d questions", fields, err, len(e.asked))
	}
}

// TestClosedNameInFrontOfTheHostsID: whoever has named a network like the beginning of the id of
// the host's could take the name away before the daemon looks for it.
func TestClosedNameInFrontOfTheHostsID(t *testing.T) {
	op := parse(t, "/containers/create", `{"HostConfig":{"NetworkMode":"shadow"}}`)
	if fields, err := object.NewResolver(&engine{}).HostNetworks(t.Context(), op); !slices.Equal(fields, []string{"HostConfig.NetworkMode"}) || err == nil || !strings.Contains(err.Error(), "in full") {
		t.Errorf("%v, %v", fields, err)
	}
}

// TestNothingIsAskedWhereNoNetworkIsNamed.
func TestNothingIsAskedWhereNoNetworkIsNamed(t *testing.T) {
	e := &engine{}
	for uri, body := range map[string]string{
		"/containers/create":        `{"Image":"a","HostConfig":{"NetworkMode":"default"},"NetworkingConfig":{"EndpointsConfig":{}}}`,
		"/containers/web/start":     ``,
		"/services/create":          `{"TaskTemplate":{"ContainerSpec":{"Image":"a"}}}`,
		"/networks/bridge/connect":  `{"Container":"web"}`,
		"/networks/create":          `{"Name":"x"}`,
		"/containers/web/exec":      `{"Cmd":["sh"]}`,
		"/build?networkmode=bridge": ``,
	} {
		if fields, err := object.NewResolver(e).HostNetworks(t.Context(), parse(t, uri, body)); len(fields) > 0 || err != nil || len(e.asked) > 0 {
			t.Errorf("%s: %v, %v after %q", uri, fields, err, e.asked)
		}
	}
}
