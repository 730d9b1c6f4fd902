package object_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/docker"
	"vitrine/internal/object"
	"vitrine/internal/operation"
)

// engine knows networks by each reference that means them.
type engine struct {
	local, swarm map[string]docker.NetworkInfo
	err          error
	asked        []string
}

func (e *engine) Networks(_ context.Context, ref string) ([]docker.NetworkInfo, error) {
	n, err := e.find(e.local, ref)
	return []docker.NetworkInfo{n}, err
}

func (e *engine) ServiceNetwork(_ context.Context, ref string) (docker.NetworkInfo, error) {
	return e.find(e.swarm, ref)
}

func (e *engine) find(in map[string]docker.NetworkInfo, ref string) (docker.NetworkInfo, error) {
	e.asked = append(e.asked, ref)
	n, ok := in[ref]
	switch {
	case e.err != nil:
		return docker.NetworkInfo{}, e.err
	case !ok:
		return docker.NetworkInfo{}, docker.ErrNotFound
	}
	return n, nil
}

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
			joins, err := object.NewResolver(e).JoinsHost(t.Context(), op)
			if want := slices.Contains(tc.host, ref); err != nil || joins != want {
				t.Errorf("%s %s with %s: %v, %v, want %v", tc.uri, tc.body, ref, joins, err, want)
			}
		}
	}
}

// TestClosedReferenceThatCannotBeResolved counts as the host's.
func TestClosedReferenceThatCannotBeResolved(t *testing.T) {
	gone := errors.New("the daemon does not answer")
	for _, body := range []string{`{"HostConfig":{"NetworkMode":"front"}}`, `{"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`} {
		if joins, err := object.NewResolver(&engine{err: gone}).JoinsHost(t.Context(), parse(t, "/containers/create", body)); !joins || !errors.Is(err, gone) {
			t.Errorf("%s: %v, %v", body, joins, err)
		}
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"n%d":{}`, i))
	}
	e := &engine{}
	op := parse(t, "/containers/create", `{"NetworkingConfig":{"EndpointsConfig":{`+strings.Join(many, ",")+`}}}`)
	if joins, err := object.NewResolver(e).JoinsHost(t.Context(), op); !joins || err == nil || len(e.asked) > 0 {
		t.Errorf("%v, %v after %d questions", joins, err, len(e.asked))
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
		if joins, err := object.NewResolver(e).JoinsHost(t.Context(), parse(t, uri, body)); joins || err != nil || len(e.asked) > 0 {
			t.Errorf("%s: %v, %v after %q", uri, joins, err, e.asked)
		}
	}
}
