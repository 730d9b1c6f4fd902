package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/engine/operation"
)

// blue is an Engine on which one container is team blue's, and a policy that shows that team's only.
type blue struct{}

func (blue) ReadsObjects() bool { return true }

func (blue) Decide(context.Context, *policy.Input) policy.Decision {
	return policy.Decision{Allow: true, Where: map[string]string{"team": "blue"}}
}

func (blue) ExecWaits(context.Context, string) (bool, error) { return false, nil }

func (blue) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

func (blue) Owned(context.Context, operation.Kind, string) ([]string, error) { return nil, nil }

func (blue) HostNetworks(context.Context, *operation.Operation) ([]string, error) { return nil, nil }

func (blue) Object(_ context.Context, _ operation.Kind, id string) (object.Object, error) {
	if id == containerID {
		return object.Object{Kind: operation.KindContainer, Labels: map[string]string{"team": "blue"}}, nil
	}
	return object.Object{}, errors.New("it is not there")
}

func (blue) JoinedBy(context.Context, string) ([]object.Object, error) { return nil, nil }

func (blue) AnyBorrowed(func(map[string]string) bool) (string, error) { return "", nil }

func (blue) Objects(_ context.Context, op *operation.Operation) (list []object.Object) {
	for _, n := range op.Objects() {
		o := object.Object{Role: n.Role, Kind: n.Kind, Ref: n.Ref, Known: new(bool)}
		if n.Ref == "mine" || n.Ref == containerID {
			*o.Known, o.ID, o.Name, o.Names, o.Labels = true, containerID, "mine", []string{"mine"}, map[string]string{"team": "blue"}
		}
		list = append(list, o)
	}
	return list
}

// seeing lets callers see team blue's only.
func seeing(cfg *Config) {
	old := cfg.Authorizer.(*decide.Steps)
	steps := decide.New(decide.Options{Identifier: old.Identifier, Policy: blue{}, Objects: blue{}, Record: old.Record})
	cfg.Authorizer, cfg.StillAllowed = steps, steps.StillAllowed
}

// TestEventsOfOthersAreNotShownClosed: the daemon cannot leave out those of objects that it has no filter for.
func TestEventsOfOthersAreNotShownClosed(t *testing.T) {
	next := make(chan string)
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "" { // another format could not be looked into
			t.Errorf("the daemon was asked for %v", r.Header)
		}
		eventDaemon(next)(w, r)
	}, seeing)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json-seq")
	res, err := g.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	event := func(id string) string {
		return `{"Type":"container","Action":"start","Actor":{"ID":"` + id + `","Attributes":{"name":"x"}}}`
	}
	next <- event(strings.Repeat("e", 64)) // another's
	next <- `{"Type":"daemon","Action":"reload"}`
	next <- event(containerID)
	close(next)
	got, err := io.ReadAll(bufio.NewReader(res.Body))
	if string(got) != event(containerID)+"\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestErrorTextIsWithheldFromWhoSeesSomeClosed: it may name what others have.
func TestErrorTextIsWithheldFromWhoSeesSomeClosed(t *testing.T) {
	g := startHTTP(t, failing(http.StatusInternalServerError, "application/json", `{"message":"address is in use by theirs"}`), seeing)
	if status, body := g.do("POST", "/containers/mine/start", "", ""); status != 500 || strings.Contains(body, "theirs") {
		t.Errorf("%d %s", status, body)
	}
}

// TestAnswerHasNothingOfOthersClosed: where one's own thing tells of others', those are left out; what cannot be looked into is not passed on.
func TestAnswerHasNothingOfOthersClosed(t *testing.T) {
	others := strings.Repeat("e", 64)
	for answer, status := range map[string]int{
		`{"Id":"n","Containers":{"` + containerID + `":{"Name":"mine"},"` + others + `":{"Name":"theirs"}}}`: 200,
		`["` + others + `"]`: 502,
		others:               502,
	} {
		g := startHTTP(t, failing(http.StatusOK, "application/json", answer), seeing)
		got, body := g.do("GET", "/networks/mine", "", "")
		if got != status || strings.Contains(body, "eeee") || status == 200 && !strings.Contains(body, containerID) {
			t.Errorf("%s: %d %s", answer, got, body)
		}
	}
	g := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "" { // another format could not be looked into
			t.Errorf("the daemon was asked for %v", r.Header)
		}
		failing(http.StatusOK, "text/plain", others)(w, r)
	}, seeing)
	if answer := g.raw("GET /networks/mine HTTP/1.1\r\nHost: d\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, "its type is not JSON") {
		t.Errorf("%q", answer)
	}
}
