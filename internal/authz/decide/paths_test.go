package decide_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/policy"
	"vitrine/internal/kernel/hostpath"
)

// host is a fake of the host's files: links, and paths that cannot be looked up.
type host struct {
	links map[string]string
	errs  map[string]error
	asked []string
}

func (h *host) Resolve(_ context.Context, caller, p string) (string, error) {
	h.asked = append(h.asked, caller+" "+p)
	if err := h.errs[p]; err != nil {
		return "", err
	}
	if to, ok := h.links[p]; ok {
		return to, nil
	}
	return p, nil
}

// below is a policy that allows some paths and what is below them.
type below struct {
	*world
	allowed []string
	admin   bool
	inputs  []policy.Input
}

func (b *below) Decide(_ context.Context, in *policy.Input) policy.Decision {
	b.inputs = append(b.inputs, *in)
	d := policy.Decision{Allow: true, Admin: b.admin}
	for _, p := range in.Operation.HostPath {
		if !slices.ContainsFunc(b.allowed, func(a string) bool { return p == a || strings.HasPrefix(p, a+"/") }) && !b.admin {
			d.Allow, d.Reasons = false, append(d.Reasons, "not "+p)
		}
	}
	if len(in.Unresolved) > 0 && !slices.Contains(b.allowed, "unresolved") && !b.admin {
		d.Allow, d.Reasons = false, append(d.Reasons, "unresolved")
	}
	return d
}

func bind(p string) string { return fmt.Sprintf(`{"HostConfig":{"Binds":["%s:/x"]}}`, p) }

// TestClosedHostPathIsWhatItResolvesTo: what is judged is what the path is, and
// what is forwarded is what was judged.
func TestClosedHostPathIsWhatItResolvesTo(t *testing.T) {
	files := map[string]string{"/srv/out": "/run", "/srv/in": "/srv/deep/in", "/data": "/srv/data"}
	broken := map[string]error{"/srv/loop": errors.New("links go round"), "/srv/busy": hostpath.ErrBusy, "/else/loop": errors.New("links go round")}
	unseen := map[string]error{"/srv/x": fmt.Errorf("%w: no dockerd", hostpath.ErrUnseen), "/else": hostpath.ErrUnseen}
	for name, tc := range map[string]struct {
		path      string
		allowed   []string
		admin     bool
		errs      map[string]error
		mode      decide.Mode
		code      string   // "": allowed
		says      []string // of the message
		saysNot   string
		forwarded string
		asked     int // of the policy
	}{
		"itself":                   {path: "/srv/x", forwarded: "/srv/x", asked: 1},
		"another spelling":         {path: "/srv//x/.", forwarded: "/srv/x", asked: 2},
		"a link that leads out":    {path: "/srv/out", code: "policy", says: []string{"not /run", `"/srv/out" is "/run" on this host`}, asked: 2},
		"a link that stays inside": {path: "/srv/in", forwarded: "/srv/deep/in", asked: 2},
		"a link that leads inside": {path: "/data", forwarded: "/srv/data", asked: 2},
		"what it may not have":     {path: "/etc/x", code: "policy", says: []string{"not /etc/x"}, saysNot: "on this host", asked: 1},
		"nor where that leads":     {path: "/data", allowed: []string{"/home"}, code: "policy", says: []string{"not /data"}, saysNot: "/srv/data", asked: 2},
		"an admin's":               {path: "/srv/out", admin: true, forwarded: "/srv/out", asked: 1},
		"an admin's, broken":       {path: "/srv/loop", admin: true, errs: broken, forwarded: "/srv/loop", asked: 1},
		"broken":                   {path: "/srv/loop", errs: broken, code: "host-path-unresolved", says: []string{"links go round"}, asked: 1},
		"broken, not allowed":      {path: "/else/loop", errs: broken, code: "policy", says: []string{"not /else/loop"}, saysNot: "round", asked: 1},
		"broken, in audit mode":    {path: "/srv/loop", errs: broken, mode: decide.Audit, code: "host-path-unresolved", says: []string{"links go round"}, asked: 1},
		"too many":                 {path: "/srv/busy", errs: broken, code: "busy", says: []string{"too many"}, asked: 1},
		"unseen":                   {path: "/srv/x", errs: unseen, code: "policy", says: []string{"unresolved", "no dockerd"}, asked: 2},
		"unseen, not allowed":      {path: "/else", errs: unseen, code: "policy", says: []string{"not /else"}, saysNot: "unresolved", asked: 2},
		"unseen, taken":            {path: "/srv/x", allowed: []string{"/srv", "unresolved"}, errs: unseen, forwarded: "/srv/x", asked: 2},
		"unseen, an admin's":       {path: "/srv/x", admin: true, errs: unseen, forwarded: "/srv/x", asked: 1},
		"denied, lifted":           {path: "/srv/out", mode: decide.Audit, forwarded: "/srv/out", asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			p := &below{world: w, allowed: tc.allowed, admin: tc.admin}
			if p.allowed == nil {
				p.allowed = []string{"/srv"}
			}
			o := w.options()
			o.Policy, o.Mode, o.HostPaths = p, tc.mode, &host{links: files, errs: tc.errs}
			v := w.ask(t, o, "POST", "/containers/create", bind(tc.path))
			if v.Allow != (tc.code == "") || v.Code != tc.code || len(p.inputs) != tc.asked {
				t.Errorf("allow=%v, code %q, %q; the policy was asked %d times", v.Allow, v.Code, v.Message, len(p.inputs))
			}
			for _, want := range tc.says {
				if !strings.Contains(v.Message, want) {
					t.Errorf("%q lacks %q", v.Message, want)
				}
			}
			if tc.saysNot != "" && strings.Contains(v.Message, tc.saysNot) {
				t.Errorf("%q tells %q", v.Message, tc.saysNot)
			}
			if body := string(v.Operation.Canonical); v.Allow && body != bind(tc.forwarded) {
				t.Errorf("forwarded as %s, want %s", body, bind(tc.forwarded))
			}
			changed := w.records[0].Changed
			if leads := v.Allow && files[tc.path] == tc.forwarded; leads != (len(changed) == 1) {
				t.Errorf("recorded as changed: %v", changed)
			}
		})
	}
}

// TestHostIsAskedOnlyForPaths: and for no admin.
func TestHostIsAskedOnlyForPaths(t *testing.T) {
	for name, tc := range map[string]struct {
		method, uri, body string
		admin             bool
		asked             []string
	}{
		"a ping":       {"GET", "/_ping", "", false, nil},
		"no path":      {"POST", "/containers/create", `{"HostConfig":{"Binds":["v:/x"]}}`, false, nil},
		"a path":       {"POST", "/containers/create", bind("/srv"), false, []string{"container:web /srv"}},
		"an admin's":   {"POST", "/containers/create", bind("/srv"), true, nil},
		"twice a path": {"POST", "/containers/create", `{"HostConfig":{"Binds":["/srv:/x","/srv/:/y"]}}`, false, []string{"container:web /srv"}},
	} {
		w, h := &world{}, &host{}
		o := w.options()
		o.Policy, o.HostPaths = &below{world: w, admin: tc.admin}, h
		if w.ask(t, o, tc.method, tc.uri, tc.body); !slices.Equal(h.asked, tc.asked) {
			t.Errorf("%s: asked %v, want %v", name, h.asked, tc.asked)
		}
	}
}

// TestSecretThatBeginsLikeAPathClosed: the reasons of a denial may name it to who sent it, and not to the log.
func TestSecretThatBeginsLikeAPathClosed(t *testing.T) {
	body := `{"Name":"v","DriverOpts":{"type":"cifs","o":"username=u,password=/hunter2/abc=="}}`
	p := &below{world: &world{}}
	o := p.options()
	o.Policy, o.HostPaths = p, &host{}
	v := p.ask(t, o, "POST", "/volumes/create", body)
	if !slices.Contains(v.Reasons(), "not /hunter2/abc") {
		t.Errorf("it is not judged: %v", v.Reasons())
	}
	if said := fmt.Sprintf("%+v", p.records[0]); strings.Contains(said, "hunter2") || !slices.Contains(p.records[0].Reasons, "not REDACTED") {
		t.Error(said)
	}
}
