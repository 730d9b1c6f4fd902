package principal

import (
	"slices"
	"strings"
	"testing"
)

// TestTable: sorted, Local last; examples are of their kind; and whoever is fit for admin cannot be made.
func TestTable(t *testing.T) {
	all := Kinds()
	if !slices.IsSortedFunc(all[:len(all)-1], func(a, b Facts) int { return strings.Compare(string(a.Kind), string(b.Kind)) }) || all[len(all)-1].Kind != Local {
		t.Error("not sorted, or local is not last")
	}
	for _, f := range all {
		if Split(f.Example).Kind != f.Kind || f.Kind.Facts() != f || f.Of == "" {
			t.Errorf("%+v", f)
		}
		if f.Mintable && f.ForAdmin || f.Beside && !f.Mintable {
			t.Errorf("%s: mintable %t, beside %t, for admin %t", f.Kind, f.Mintable, f.Beside, f.ForAdmin)
		}
		example := strings.NewReplacer("<64 hex digits>", strings.Repeat("0", 64)).Replace(f.Example)
		if p, err := Parse(example); err != nil || p != Split(example) {
			t.Errorf("%s: %v, %v", example, p, err)
		}
	}
}

// TestName: the first says most, and who has none is of some kind.
func TestName(t *testing.T) {
	for want, id := range map[string]struct {
		principals []string
		kind       string
	}{
		"container:web": {[]string{"container:web", "container-id:1", "listener:ci"}, "container"},
		"listener:ci":   {[]string{"listener:ci"}, "unknown"},
		"self":          {nil, "self"},
		"unknown":       {},
	} {
		if got := Name(id.principals, id.kind); got != want {
			t.Errorf("%v is called %s", id, got)
		}
	}
}

func TestParseClosed(t *testing.T) {
	for s, says := range map[string]string{
		"":                          `"": there is no kind of principal ""`,
		"web":                       `"web": there is no kind of principal "web"`,
		"local:x":                   `"local:x": there is no kind of principal "local"`,
		"Unix:root":                 `is it unix?`,
		"unix":                      `"unix" names nobody: write e.g. unix:root`,
		"unix:":                     `"unix:" names nobody`,
		"label:*":                   `* stands for nothing`,
		"uid:root":                  `"uid:root": uid takes a number, e.g. uid:1000`,
		"peer-gid:01":               `takes a number`,
		"container-uid:99999999999": `takes a number`,
		"label:team":                `"label:team" has no value: write e.g. label:team=sre`,
		"container:/web":            `write container:web`,
		"label:vitrine.owner=tls:a": `that label says whose a container is: write owner:tls:a`,
		"label:vitrine.owner=":      `that label says whose a container is`,
		"owner:":                    `names nobody`,
		"owner:web":                 `whose it is is said by a principal, e.g. owner:container:runner`,
		"owner:owner:container:web": `whose it is is said by a principal`,
	} {
		if _, err := Parse(s); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", s, err, says)
		}
	}
}

// TestOwners: a principal, or several as a binding's list is joined.
func TestOwners(t *testing.T) {
	for _, s := range []string{"owner:container:a", "owner:unix:alice", "owner:local", "owner:container:a+label:pool=b"} {
		if p, err := Parse(s); err != nil || p.Kind != Owner {
			t.Errorf("%s: %+v, %v", s, p, err)
		}
	}
	if p, err := Parse("tls:vitrine.owner=a"); err != nil || p.Kind != TLS {
		t.Errorf("a certificate's name is no label: %+v, %v", p, err)
	}
	if p := OfLabel(OwnerLabel, "tls:a"); p.String() != "owner:tls:a" {
		t.Error(p)
	}
	if p := OfLabel("Vitrine.Owner", "tls:a"); p.String() != "label:Vitrine.Owner=tls:a" {
		t.Error(p)
	}
}

// TestOnlyContainersLackTheirSlash: it is part of other values.
func TestOnlyContainersLackTheirSlash(t *testing.T) {
	if p, err := Parse("tls:/web"); err != nil || p != (Principal{TLS, "/web"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzSplit(f *testing.F) {
	for _, k := range Kinds() {
		f.Add(k.Example)
	}
	for _, s := range []string{"", ":", "local:", "local:x", "unix", "unix:", "x:y:z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := Split(s)
		if p.String() != s {
			t.Errorf("%q is %q again", s, p)
		}
		if parsed, err := Parse(s); err == nil && (parsed != p || p.Kind.Facts().Kind == "") {
			t.Errorf("%q parses as %+v, and splits as %+v", s, parsed, p)
		}
	})
}

func TestNameable(t *testing.T) {
	for s, is := range map[string]bool{
		"a": true, "team=sre": true, "grün": true, "a b": true, strings.Repeat("x", 4096): true,
		"": false, strings.Repeat("x", 4097): false, "a\nb": false, "a\u202eb": false, "\xff": false, "a\x00": false, "a\u2028b": false,
	} {
		if Nameable(s) != is {
			t.Errorf("%q: %t", s, !is)
		}
	}
}

func TestTooManyLabels(t *testing.T) {
	for _, tt := range []struct {
		labels, bytes int
		is            bool
	}{{1000, 64 << 10, false}, {1001, 1, true}, {1, 64<<10 + 1, true}} {
		if TooManyLabels(tt.labels, tt.bytes) != tt.is {
			t.Errorf("%+v", tt)
		}
	}
}
