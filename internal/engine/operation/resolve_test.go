package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// links resolves as if each key were a link to its value.
func links(table map[string]string) func(string) (string, error) {
	return func(p string) (string, error) {
		for from, to := range table {
			if rest, ok := strings.CutPrefix(p, from); ok && (rest == "" || rest[0] == '/') {
				return path.Join(to, rest), nil
			}
		}
		return p, nil
	}
}

// TestClosedHostPathIsWhatItResolvesTo: wherever a path of the host is written,
// what it leads to is judged and forwarded, or the request is not.
func TestClosedHostPathIsWhatItResolvesTo(t *testing.T) {
	const typed = "/home/alice/proj/r"
	shared := []string{"bind in Volumes", "part of an option"} // where nothing can be put in its place
	for name, req := range hostPathRequests(typed) {
		op := mustParse(t, req)
		r, err := op.ResolveHostPaths(links(map[string]string{typed: "/run"}))
		if slices.Contains(shared, name) {
			if err == nil || !strings.Contains(err.Error(), `"/run"`) {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Contains(r.HostPath, "/run") || slices.Contains(r.HostPath, typed) || !slices.Contains(r.Hazards, HazardEngineSocket) {
			t.Errorf("%s: host paths %v, hazards %v", name, r.HostPath, r.Hazards)
		}
		if text := string(r.Canonical); strings.Contains(text, typed) || !strings.Contains(text, "/run") {
			t.Errorf("%s: forwarded as %s", name, text)
		}
		if want := []ResolvedPath{{typed, "/run"}}; !slices.Equal(r.Resolved, want) || r.Typed != op {
			t.Errorf("%s: resolved %v of %p, want %v of %p", name, r.Resolved, r.Typed, want, op)
		}
		if fresh := mustParse(t, req); !reflect.DeepEqual(op, fresh) {
			t.Errorf("%s: the operation as it was typed is now %+v", name, op)
		}
		readsTheSame(t, name, r)
	}
}

// readsTheSame holds a resolved operation against what its own bytes mean.
func readsTheSame(t *testing.T, name string, r *Operation) {
	t.Helper()
	again, err := Parse(request(r.Method, r.URI, string(r.Canonical)))
	if err != nil {
		t.Errorf("%s: what is forwarded is refused: %v", name, err)
		return
	}
	again.Canonical, again.Typed, again.Resolved, again.Headers = r.Canonical, r.Typed, r.Resolved, r.Headers
	if !reflect.DeepEqual(again, r) {
		t.Errorf("%s: judged\n%+v\nforwarded\n%+v", name, r, again)
	}
}

// TestClosedHazardThatSomebodyElseNoted: it is there when the request is judged again.
func TestClosedHazardThatSomebodyElseNoted(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Binds":["/srv/l:/x"],"NetworkMode":"0123456789ab"}}`))
	r, err := op.WithHazard(HazardHostNamespace, "HostConfig.NetworkMode").ResolveHostPaths(links(map[string]string{"/srv/l": "/srv/x"}))
	if err != nil || !slices.Contains(r.Hazards, HazardHostNamespace) || len(r.HazardFields[HazardHostNamespace]) != 1 {
		t.Errorf("hazards %v of %v, %v", r.Hazards, r.HazardFields, err)
	}
}

func TestPathsThatResolveToThemselves(t *testing.T) {
	for name, req := range hostPathRequests("/srv/app") {
		op := mustParse(t, req)
		if r, err := op.ResolveHostPaths(links(nil)); r != op || err != nil {
			t.Errorf("%s: %p, want %p, %v", name, r, op, err)
		}
	}
	// Another spelling is no other path, but it is forwarded in the one that was judged.
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Binds":["/srv//app/./x/:/x"]}}`))
	r, err := op.ResolveHostPaths(links(nil))
	if err != nil || len(r.Resolved) != 0 || string(r.Canonical) != `{"HostConfig":{"Binds":["/srv/app/x:/x"]}}` {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClosedParentsOfHostPaths: a path that climbs means one thing to whoever
// shortens it first, and another to the kernel.
func TestClosedParentsOfHostPaths(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Devices":[{"PathOnHost":"/srv/l/../x"}]}}`))
	r, err := op.ResolveHostPaths(links(nil))
	if err != nil || !slices.Equal(r.Resolved, []ResolvedPath{{"/srv/l/../x", "/srv/x"}}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClosedWhatCannotBeWrittenInAPathsPlace: names of files hold whatever their
// makers like.
func TestClosedWhatCannotBeWrittenInAPathsPlace(t *testing.T) {
	bind := `{"HostConfig":{"Binds":["/srv/l:/x"]}}`
	for name, to := range map[string]string{
		"a colon, which ends it in Binds": "/srv/a:/etc", "no UTF-8": "/srv/\xff", "relative": "srv", "empty": "",
		"not canonical": "/srv/../etc", "with a slash at its end": "/srv/x/",
	} {
		op := mustParse(t, request("POST", "/containers/create", bind))
		if r, err := op.ResolveHostPaths(func(string) (string, error) { return to, nil }); r != nil || err == nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// In a Mount it is one value.
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/srv/l"}]}}`))
	r, err := op.ResolveHostPaths(links(map[string]string{"/srv/l": "/srv/a:/etc"}))
	if err != nil || !slices.Equal(r.HostPath, []string{"/srv/a:/etc"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestClosedPathThatCannotBeResolved(t *testing.T) {
	op := mustParse(t, request("POST", "/containers/create", `{"HostConfig":{"Binds":["/a:/a","/b:/b","/c:/c"]}}`))
	boom := errors.New("boom")
	r, err := op.ResolveHostPaths(func(p string) (string, error) {
		if p == "/b" {
			return "/a", boom
		}
		return p, nil
	})
	if r != nil || !errors.Is(err, boom) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClosedQuestionsThatARequestCauses are bounded.
func TestClosedQuestionsThatARequestCauses(t *testing.T) {
	var binds []string
	for i := range maxHostPaths + 1 {
		binds = append(binds, fmt.Sprintf("/srv/%d:/x%d", i, i))
	}
	asked := 0
	ask := func(p string) (string, error) { asked++; return p, nil }
	for n, ok := range map[int]bool{maxHostPaths: true, maxHostPaths + 1: false} {
		body, _ := json.Marshal(map[string]any{"HostConfig": map[string]any{"Binds": append(binds[:n:n], binds[:n]...)}})
		asked = 0
		_, err := mustParse(t, request("POST", "/containers/create", string(body))).ResolveHostPaths(ask)
		if (err == nil) != ok || asked > maxHostPaths {
			t.Errorf("%d paths: %d questions, %v", n, asked, err)
		}
	}
}

// Paths of another machine, volumes' names and requests without paths are none
// of the host's.
func TestNothingToResolve(t *testing.T) {
	for _, body := range []string{
		`{"Driver":"local","DriverOpts":{"type":"nfs","o":"addr=10.0.0.1,rw","device":":/export"}}`,
		`{"Driver":"local","DriverOpts":{"type":"cifs","o":"addr=10.0.0.1","device":"//server/share"}}`,
		`{"Driver":"local"}`,
	} {
		op := mustParse(t, request("POST", "/volumes/create", body))
		r, err := op.ResolveHostPaths(func(p string) (string, error) { return "", errors.New("asked for " + p) })
		if r != op || err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzResolvedRequestIsReadAsJudged: whatever is in a path's place, the request
// that is forwarded is the one that was judged.
func FuzzResolvedRequestIsReadAsJudged(f *testing.F) {
	for _, s := range []string{"/a:/b", "/a,lowerdir=/etc", "/a\\", "/\u2028\"", "/a=b", "/run"} {
		for kind := range len(hostPathRequests("/x")) {
			f.Add(kind, "/home/l", s)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, from, to string) {
		names := slices.Sorted(maps.Keys(hostPathRequests("/x")))
		if quoted, err := json.Marshal(from); err != nil || string(quoted) != `"`+from+`"` || kind < 0 {
			return
		}
		name := names[kind%len(names)]
		op, err := Parse(hostPathRequests(from)[name])
		if err != nil {
			return
		}
		r, err := op.ResolveHostPaths(func(string) (string, error) { return to, nil })
		if err != nil || r == op {
			return
		}
		for _, p := range r.HostPath {
			if isAbsolute(p) && p != to && p != "/" && p != "/dev" { // the last two are for what may be anything
				t.Errorf("%s: %q was resolved to %q, and %q is judged", name, from, to, p)
			}
		}
		readsTheSame(t, name, r)
	})
}
