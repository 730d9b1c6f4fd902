package redact

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func pointers(t testing.TB, list ...string) []Pointer {
	t.Helper()
	var out []Pointer
	for _, s := range list {
		p, err := ParsePointer(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func spelled(list []Pointer) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

func TestPointersAreReadAndWritten(t *testing.T) {
	for _, s := range []string{"", "/", "/a", "/a/*/b", "/a~1b/c~0d", "/~01", "//x/"} {
		if p, err := ParsePointer(s); err != nil || p.String() != s {
			t.Errorf("%q became %q, %v", s, p.String(), err)
		}
	}
}

func TestWhatPointersCoverInCommon(t *testing.T) {
	for _, tc := range []struct{ a, b, both string }{
		{"/Config/Env", "/Config/Env/*", "/Config/Env/*"},
		{"/Config", "/config/ENV/*", "/config/ENV/*"},
		{"", "/Config/Env/*", "/Config/Env/*"},
		{"/*/Env/*", "/Config/Env", "/Config/Env/*"},
		{"/*/Env", "/Config/*/0", "/Config/Env/0"},
		{"/Labels/*", "/Labels/secret", "/Labels/secret"},
		{"/Networks/*/Options/psk", "/Networks/lan/Options/*", "/Networks/lan/Options/psk"},
		{"/Config/Env", "/Config/Cmd", "none"},
		{"/Labels/a", "/Labels/b", "none"},
		{"/Labels/\u017fecret", "/Labels/SECRET", "/Labels/\u017fecret"},
	} {
		a, b := pointers(t, tc.a)[0], pointers(t, tc.b)[0]
		for _, pair := range [][2]Pointer{{a, b}, {b, a}} {
			both, ok := pair[0].meet(pair[1])
			if got := both.String(); ok != (tc.both != "none") || ok && !strings.EqualFold(got, tc.both) {
				t.Errorf("%s and %s: %s, %v", pair[0], pair[1], got, ok)
			}
			if ok && (!a.covers(both) || !b.covers(both)) {
				t.Errorf("%s and %s do not both cover %s", a, b, both)
			}
		}
	}
}

func TestMinimal(t *testing.T) {
	got := Minimal(pointers(t, "/Config/Env/*", "/config/env", "/Config/Env", "/State", "/State/Error", "/*/Cmd"))
	if spelled(got) != "/*/Cmd /State /config/env" {
		t.Error(spelled(got))
	}
}

// TestRefine: what stands in each of the refined lists is what all of the lists
// cover, said of documents and not of pointers.
func TestRefine(t *testing.T) {
	segments := []string{"a", "A", "b", "*"}
	random := func() Pointer {
		p := Pointer{}
		for range rand.IntN(4) {
			p = append(p, segments[rand.IntN(len(segments))])
		}
		return p
	}
	for range 3000 {
		lists := make([][]Pointer, 1+rand.IntN(3))
		for i := range lists {
			for range 1 + rand.IntN(3) {
				lists[i] = append(lists[i], random())
			}
		}
		refined, err := Refine(lists)
		if err != nil {
			t.Fatal(err)
		}
		var common []Pointer
		for _, p := range refined[0] {
			in := func(list []Pointer) bool {
				return slices.ContainsFunc(list, func(q Pointer) bool { return slices.Equal(p, q) })
			}
			if !slices.ContainsFunc(refined, func(list []Pointer) bool { return !in(list) }) {
				common = append(common, p)
			}
		}
		// Every place of a document with the keys a and b, four deep.
		for place := range places(4) {
			all := true
			for i := range lists {
				covers := CoverAll(lists[i], []Pointer{place})
				if covers != CoverAll(refined[i], []Pointer{place}) {
					t.Fatalf("%s became %s: %s", spelled(lists[i]), spelled(refined[i]), place)
				}
				all = all && covers
			}
			if all != CoverAll(common, []Pointer{place}) {
				t.Fatalf("%s: the lists %v, the common %s", place, lists, spelled(common))
			}
		}
	}
}

func places(depth int) func(yield func(Pointer) bool) {
	return func(yield func(Pointer) bool) {
		for n := range 1 << depth {
			var p Pointer
			for bit := range depth {
				p = append(p, []string{"a", "b"}[n>>bit&1])
			}
			if !yield(p) {
				return
			}
		}
	}
}

func TestRefineIsBounded(t *testing.T) {
	var a, b []Pointer
	for i := range 60 {
		key := strings.Repeat("k", i+1)
		a, b = append(a, Pointer{key, "*"}), append(b, Pointer{"*", key})
	}
	if _, err := Refine([][]Pointer{a, b}); err == nil {
		t.Error("3600 pointers were no error")
	}
}

func TestCoverAll(t *testing.T) {
	some := pointers(t, "/a", "/b/*")
	for what, want := range map[string]bool{"": true, "/a": true, "/a /b/x": true, "/b": false, "/a /c": false, "/c /a": false} {
		if got := CoverAll(some, pointers(t, strings.Fields(what)...)); got != want {
			t.Errorf("%q: %v", what, got)
		}
	}
}

// TestRefineHasABound: lists as long as that are refined, longer ones are not.
func TestRefineHasABound(t *testing.T) {
	var list []Pointer
	for i := range maxRefined {
		list = append(list, Pointer{strings.Repeat("x", 1+i)})
	}
	if refined, err := Refine([][]Pointer{list}); err != nil || len(refined[0]) != maxRefined {
		t.Error(err)
	}
	if _, err := Refine([][]Pointer{append(list, Pointer{"y"})}); err == nil {
		t.Error("one more was refined")
	}
}
