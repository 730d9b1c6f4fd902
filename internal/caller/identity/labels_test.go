package identity

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"vitrine/internal/engine/docker"
)

func TestLabelsClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(c *docker.Container)
		want []string
	}{
		"of the container":       {func(c *docker.Container) { c.ImageLabels = nil }, []string{"label:k=v"}},
		"the image sets it too":  {func(c *docker.Container) { c.ImageLabels = map[string]string{"k": "v"} }, nil},
		"the image sets another": {func(c *docker.Container) { c.ImageLabels = map[string]string{"k": "w"} }, nil},
		"the image blanks it":    {func(c *docker.Container) { c.ImageLabels = map[string]string{"k": ""} }, []string{"label:k=v"}},
		"both blank it": {func(c *docker.Container) {
			c.Labels, c.ImageLabels = map[string]string{"k": ""}, map[string]string{"k": ""}
		}, nil},
		"the image is not known":   {func(c *docker.Container) { c.ImageLabels, c.ImageKnown = nil, false }, nil},
		"a key with =":             {func(c *docker.Container) { c.Labels = map[string]string{"a=b": "c"} }, nil},
		"an empty key":             {func(c *docker.Container) { c.Labels = map[string]string{"": "c"} }, nil},
		"a value with =":           {func(c *docker.Container) { c.Labels = map[string]string{"a": "b=c"} }, []string{"label:a=b=c"}},
		"an empty value":           {func(c *docker.Container) { c.Labels = map[string]string{"a": ""} }, []string{"label:a="}},
		"a value with a line end":  {func(c *docker.Container) { c.Labels = map[string]string{"a": "b\nlabel:c=d"} }, nil},
		"a value that is reversed": {func(c *docker.Container) { c.Labels = map[string]string{"a": "\u202eb"} }, nil},
		"a value that is no text":  {func(c *docker.Container) { c.Labels = map[string]string{"a": "\xff"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := docker.Container{ID: monitorID, Labels: map[string]string{"k": "v"}, ImageKnown: true}
			tt.edit(&c)
			var got []string
			for _, p := range containerPrincipals(c, c.ImageKnown) {
				if strings.HasPrefix(p, "label:") {
					got = append(got, p)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The same through Identify, which must ask whether the image is known.
func TestLabelsOfAnUnknownImageNameNobodyClosed(t *testing.T) {
	c := monitor()
	c.ImageKnown, c.ImageLabels = false, nil
	f := inContainer(c)
	id := New(f, f, nil).Identify(t.Context(), NewUnix("agents", self(t)))
	if id.Kind != Container || slices.ContainsFunc(id.Principals, func(p string) bool { return strings.HasPrefix(p, "label:") }) {
		t.Errorf("%s with %q: nobody knows which labels are the image's", id.Kind, id.Principals)
	}
}

// TestOwnerClosed: whose a container is, its own label says, which nobody can have chosen but the gateway or an admin.
func TestOwnerClosed(t *testing.T) {
	many := map[string]string{"vitrine.owner": "container:runner"}
	for i := range 2000 {
		many[strconv.Itoa(i)] = ""
	}
	for name, tt := range map[string]struct {
		edit        func(c *docker.Container)
		is, guarded string
	}{
		"its own":                {func(*docker.Container) {}, "owner:container:runner", "owner:container:runner"},
		"an admin's word":        {func(c *docker.Container) { c.Labels["vitrine.owner"] = "a b" }, "owner:a b", "owner:a b"},
		"the image sets it":      {func(c *docker.Container) { c.ImageLabels = map[string]string{"vitrine.owner": "container:runner"} }, "", ""},
		"the image sets another": {func(c *docker.Container) { c.ImageLabels = map[string]string{"vitrine.owner": "x"} }, "", ""},
		"the image blanks it":    {func(c *docker.Container) { c.ImageLabels = map[string]string{"vitrine.owner": ""} }, "owner:container:runner", "owner:container:runner"},
		"the image is not known": {func(c *docker.Container) { c.ImageKnown = false }, "", "owner:container:runner"},
		"another case":           {func(c *docker.Container) { c.Labels = map[string]string{"Vitrine.owner": "container:runner"} }, "", ""},
		"nobody":                 {func(c *docker.Container) { c.Labels["vitrine.owner"] = "" }, "", ""},
		"a line end":             {func(c *docker.Container) { c.Labels["vitrine.owner"] = "container:runner\n" }, "", ""},
		"many labels":            {func(c *docker.Container) { c.Labels = many }, "owner:container:runner", "owner:container:runner"},
	} {
		t.Run(name, func(t *testing.T) {
			c := docker.Container{ID: monitorID, Name: "job", Labels: map[string]string{"vitrine.owner": "container:runner"}, ImageKnown: true, Running: true}
			tt.edit(&c)
			f := inContainer(c)
			i := New(f, f, nil)
			guard, err := i.ContainerPrincipals(t.Context(), monitorID)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []struct {
				all  []string
				want string
			}{{i.Identify(t.Context(), NewUnix("a", self(t))).Principals, tt.is}, {guard, tt.guarded}} {
				owners := slices.DeleteFunc(got.all, func(p string) bool { return !strings.HasPrefix(p, "owner:") && !strings.Contains(p, "vitrine.owner") })
				if strings.Join(owners, ",") != got.want {
					t.Errorf("%q, want %q", owners, got.want)
				}
			}
		})
	}
}

// A container with 100000 labels must cost nobody a decision's time.
func TestTooManyLabelsNameNobodyClosed(t *testing.T) {
	long := map[string]string{"a": strings.Repeat("x", 4096)}
	for i := range 16 {
		long[strings.Repeat("k", i+1)] = long["a"]
	}
	many := map[string]string{}
	for i := range 100_000 {
		many[strconv.Itoa(i)] = ""
	}
	for name, labels := range map[string]map[string]string{"many": many, "long": long} {
		c := monitor()
		c.Labels = labels
		f := inContainer(c)
		i := New(f, f, nil)
		id := i.Identify(t.Context(), NewUnix("agents", self(t)))
		wantPrincipals(t, id, Container, "container:monitor", "container-id:"+monitorID,
			"image:localhost:5000/vitrine/monitor", "image-id:sha256:11",
			"container-uid:65532", "container-gid:7", "container-gid:8")
		got, err := i.ContainerPrincipals(t.Context(), monitorID)
		if err != nil || len(got) != 5 || got[4] != "label:*" {
			t.Errorf("%s: guarded as %d principals, want any label", name, len(got))
		}
	}
}

// TestImageByItsIDNamesNobodyClosed: whoever creates a container by an image's id, however it is
// written, mints no image, so its container must not be one either.
func TestImageByItsIDNamesNobodyClosed(t *testing.T) {
	for _, image := range []string{monitorID, "sha256:" + monitorID, "sha256:22", ""} {
		c := monitor()
		c.Image = image
		f := inContainer(c)
		for _, p := range New(f, f, nil).Identify(t.Context(), NewUnix("agents", self(t))).Principals {
			if strings.HasPrefix(p, "image:") {
				t.Errorf("created from %q, it is %s", image, p)
			}
		}
	}
}
