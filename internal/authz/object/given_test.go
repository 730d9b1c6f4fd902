package object_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
)

// TestClosedLabelsOfAnImageAreNotGiven: what an image sets is not its container's own, and what cannot be told is no label.
func TestClosedLabelsOfAnImageAreNotGiven(t *testing.T) {
	labels := map[string]string{"team": "blue", "own": "me"}
	e := &engine{containers: map[string]docker.Container{
		"1": {ID: "1", Image: "app", Labels: labels, ImageLabels: map[string]string{"own": "me"}, ImageKnown: true},
		"2": {ID: "2", Image: "gone", Labels: map[string]string{"team": "blue"}},
	}}
	r := object.NewResolver(e)
	if got, err := r.Object(t.Context(), operation.KindContainer, "1"); err != nil || !maps.Equal(got.Labels, map[string]string{"team": "blue"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := r.Object(t.Context(), operation.KindContainer, "2"); err == nil {
		t.Errorf("of an image that is not known: %v", got)
	}
	if got, err := r.Object(t.Context(), operation.KindContainer, "3"); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("of none: %v, %v", got, err)
	}
	with := func(key string) func(map[string]string) bool {
		return func(labels map[string]string) bool { _, has := labels[key]; return has }
	}
	for key, want := range map[string]string{"own": "app", "team": "gone", "else": ""} {
		if image, err := r.AnyBorrowed(with(key)); err != nil || image != want {
			t.Errorf("%s is borrowed of %q (%v), want %q", key, image, err, want)
		}
	}
	e.err = errors.New("not ready")
	if image, err := r.AnyBorrowed(with("else")); err == nil {
		t.Errorf("before all are known: %q", image)
	}
}

// TestJoinedByIsWhatTheNamesMeanNow: the networks that a container keeps the names of.
func TestJoinedByIsWhatTheNamesMeanNow(t *testing.T) {
	e := &engine{joins: []string{"front", "gone"}, local: map[string]docker.NetworkInfo{"front": {ID: "0f", Name: "front", Labels: map[string]string{"a": "b"}}}}
	list, err := object.NewResolver(e).JoinedBy(t.Context(), "1")
	if err != nil || len(list) != 2 || list[0].ID != "0f" || list[0].Labels["a"] != "b" || list[1].Known == nil || *list[1].Known {
		t.Errorf("%+v, %v", list, err)
	}
	e.err = errors.New("the Engine does not answer")
	if _, err := object.NewResolver(e).JoinedBy(t.Context(), "1"); err == nil {
		t.Error("no error")
	}
}

// TestOwnedClosed: an image cannot make its containers somebody's, so that he may have fewer; what cannot be told counts.
func TestOwnedClosed(t *testing.T) {
	ci, other := map[string]string{operation.OwnerLabel: "container:ci"}, map[string]string{operation.OwnerLabel: "container:other"}
	e := &engine{
		owned: []string{"own", "own too", "borrowed", "borrowed too", "overwritten", "imageless", "removed"},
		containers: map[string]docker.Container{
			"own":          {ID: "own", Labels: ci, ImageKnown: true},
			"own too":      {ID: "own too", Labels: ci, ImageKnown: true},
			"borrowed":     {ID: "borrowed", Labels: ci, ImageLabels: ci, ImageKnown: true},
			"borrowed too": {ID: "borrowed too", Labels: ci, ImageLabels: ci, ImageKnown: true},
			"overwritten":  {ID: "overwritten", Labels: ci, ImageLabels: other, ImageKnown: true},
			"imageless":    {ID: "imageless", Labels: ci, ImageLabels: ci},
		},
	}
	r := object.NewResolver(e)
	if has, err := r.Owned(t.Context(), operation.KindContainer, "container:ci"); !slices.Equal(has, []string{"own", "own too", "overwritten", "imageless"}) || err != nil || !slices.Equal(e.labelled, []string{"containers vitrine.owner=container:ci"}) {
		t.Errorf("%q, %v, asked for %q", has, err, e.labelled)
	}
	for _, kind := range []operation.Kind{operation.KindNetwork, operation.KindVolume} {
		if has, err := r.Owned(t.Context(), kind, "container:ci"); !slices.Equal(has, e.owned) || err != nil || !slices.Contains(e.labelled, string(kind)+"s vitrine.owner=container:ci") {
			t.Errorf("%ss %q, %v, of %v", kind, has, err, e.labelled)
		}
	}
	e.err = errors.New("the Engine does not answer")
	if has, err := r.Owned(t.Context(), operation.KindContainer, "container:ci"); len(has) != 7 || err == nil {
		t.Errorf("%q, %v", has, err)
	}
}

// TestImageConfigClosed: what cannot be told is an error; an image that is not there has none.
func TestImageConfigClosed(t *testing.T) {
	e := &engine{configs: map[string]json.RawMessage{
		"app":  json.RawMessage(`{"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}}}`),
		"wide": json.RawMessage(`{"ExposedPorts":{"1-65535/tcp":{}}}`),
		"odd":  json.RawMessage(`[]`),
	}}
	r := object.NewResolver(e)
	for ref, want := range map[string][]string{"app": nil, "wide": {"ExposedPorts"}, "gone": nil} {
		if got, err := r.ImageConfig(t.Context(), ref, ""); err != nil || !slices.Equal(got.Burdens, want) {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	if got, err := r.ImageConfig(t.Context(), "wi", "de"); err != nil || !slices.Equal(got.Burdens, []string{"ExposedPorts"}) {
		t.Errorf("of a variant: %v, %v", got, err)
	}
	if got, err := r.ImageConfig(t.Context(), "odd", ""); err == nil {
		t.Errorf("of what is no configuration: %v", got)
	}
	e.err = errors.New("the Engine does not answer")
	if got, err := r.ImageConfig(t.Context(), "app", ""); !errors.Is(err, e.err) {
		t.Errorf("of what nobody tells: %v, %v", got, err)
	}
}

// TestExecWaitsClosed: one that the daemon no longer has waits for nobody; of what cannot be told nothing is said.
func TestExecWaitsClosed(t *testing.T) {
	e := &engine{waits: map[string]bool{"new": true, "done": false}}
	r := object.NewResolver(e)
	for id, want := range map[string]bool{"new": true, "done": false, "gone": false} {
		if got, err := r.ExecWaits(t.Context(), id); got != want || err != nil {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	e.err = errors.New("the Engine does not answer")
	if _, err := r.ExecWaits(t.Context(), "new"); err == nil {
		t.Error("no error")
	}
}
