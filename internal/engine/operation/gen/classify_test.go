package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/test/long"
)

// doctored are the descriptions, the newest of them changed: of each text the first to the one behind it.
func doctored(t *testing.T, changes ...string) []*document {
	t.Helper()
	docs := slices.Clone(described(t))
	from, err := descriptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("v1.%d.yaml", newest)
	file, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("%s has no %q", name, changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	if docs[newest-oldest], err = parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return docs
}

// TestKeyOfANewDescriptionClosed: a key or a parameter that the next API version
// brings stops the generator until somebody has said what it does.
func TestKeyOfANewDescriptionClosed(t *testing.T) {
	long.Alone(t)
	changes := map[string]struct{ old, new, want string }{
		"key of a body": {
			"            Privileged:\n", "            Frobnicate:\n              type: \"boolean\"\n            Privileged:\n",
			"ContainerCreate: HostConfig.Frobnicate is not classified",
		},
		"key of a definition that others use": {
			"    Mount:\n      type: \"object\"\n      properties:\n", "    Mount:\n      type: \"object\"\n      properties:\n        Frobnicate:\n          type: \"string\"\n",
			"Mount.Frobnicate is not classified",
		},
		"parameter": {
			"        - name: \"networkmode\"\n", "        - name: \"frobnicate\"\n          in: \"query\"\n          schema:\n            type: \"string\"\n        - name: \"networkmode\"\n",
			"ImageBuild: ?frobnicate is not classified",
		},
	}
	var all []string
	for _, c := range changes {
		all = append(all, c.old, c.new)
	}
	cat, err := load(doctored(t, all...))
	if err != nil {
		t.Fatal(err)
	}
	err = cat.complete()
	for name, c := range changes {
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestTableOfFieldsClosed: what keeps the table true.
func TestTableOfFieldsClosed(t *testing.T) {
	long.Alone(t)
	a, b, c := fields{"Op", harmless, "A"}, fields{"Op", "cap", "B"}, fields{"Op.B", part, "C"}
	for want, rows := range map[string][]fields{
		"":                                     {a, b, c},
		"fields.go classifies A of Op twice":   {a, b, c, {"Op", "cap", "A"}},
		"there is no key X of an object Op":    {a, b, c, {"Op", harmless, "X"}},
		"there is no key A of an object Other": {a, b, c, {"Other", harmless, "A"}},
		"Op: Op.B.C is not classified: say in fields.go": {a, b},
		"Op: Op.B.C is classified as railed":             {a, b, {"Op.B", railed, "C"}},
		"Op: Op.B.C is classified as told with":          {a, {"Op", harmless, "B"}, c},
	} {
		body := object("A", leaf("string"), "B", object("C", leaf("string")))
		cat := &catalogue{[]*operation{{ID: "Op", Schema: body, Since: oldest}}}
		if err := cat.classify(rows); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
