package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// TestDeniedIsOfAllThatItWasMadeOfClosed: if one part of it is another, the request is decided.
func TestDeniedIsOfAllThatItWasMadeOfClosed(t *testing.T) {
	raw := creates(image)
	who := func(change func(*identity.Identity)) func(*retrying) string {
		return func(r *retrying) string {
			r.who = caller()
			change(r.who)
			return raw
		}
	}
	instead := func(old, other string) func(*retrying) string {
		return func(r *retrying) string {
			changed := strings.Replace(raw, old, other, 1)
			if changed == raw {
				r.t.Fatal("nothing is changed")
			}
			return changed
		}
	}
	for name, change := range map[string]func(*retrying) string{
		"kind":             who(func(i *identity.Identity) { i.Kind = identity.Peer }),
		"principal":        who(func(i *identity.Identity) { i.Principals = []string{"container:web", "label:a=b"} }),
		"uid":              who(func(i *identity.Identity) { i.UID = new(uint32(8)) }),
		"no uid":           who(func(i *identity.Identity) { i.UID = nil }),
		"gid":              who(func(i *identity.Identity) { i.GID = new(uint32(8)) }),
		"group":            who(func(i *identity.Identity) { i.Groups = []uint32{8} }),
		"pid":              who(func(i *identity.Identity) { i.PID = 43 }),
		"user":             who(func(i *identity.Identity) { i.User = "other" }),
		"door":             who(func(i *identity.Identity) { i.Door = "plugin" }),
		"listener":         who(func(i *identity.Identity) { i.Listener = "ops" }),
		"no container":     who(func(i *identity.Identity) { i.Container = nil }),
		"container":        who(func(i *identity.Identity) { i.Container.ID = strings.Repeat("d", 64) }),
		"container name":   who(func(i *identity.Identity) { i.Container.Name = "other" }),
		"container label":  who(func(i *identity.Identity) { i.Container.Labels = map[string]string{"team": "red"} }),
		"container mount":  who(func(i *identity.Identity) { i.Container.Mounts = nil }),
		"certificate":      who(func(i *identity.Identity) { i.Certificate = &identity.Certificate{CommonName: "other"} }),
		"login":            who(func(i *identity.Identity) { i.Process.LoginUID = new(uint32(8)) }),
		"program":          who(func(i *identity.Identity) { i.Process.Exe = "/bin/sh" }),
		"nobody knows who": who(func(i *identity.Identity) { *i = identity.Identity{Kind: identity.Unknown, Err: errors.New("gone")} }),
		"the policy":       func(r *retrying) string { r.epoch++; return raw },
		"no policy":        func(r *retrying) string { r.epoch = 0; return raw },
		"the Engine":       func(r *retrying) string { r.engine = &operation.Engine{Version: "29"}; return raw },
		"another account":  func(r *retrying) string { r.conn = &identity.Connection{Account: "other"}; return raw },
		"no account":       func(r *retrying) string { r.conn = &identity.Connection{}; return raw },
		"what was taken away": func(r *retrying) string {
			r.steps.olds.add(ownerOf(r.who), &old{Old: operation.Old{Name: "job"}, end: time.Now().Add(time.Hour)})
			return raw
		},
		"a header":        instead("X-Team: blue", "X-Team: bluE"),
		"another header":  instead("X-Team: blue", "X-Team: blue\r\nX-More: 1"),
		"a header's case": instead("X-Team: blue", "x-team: blue"),
		"order":           instead("Host: docker\r\nX-Team: blue\r\n", "X-Team: blue\r\nHost: docker\r\n"),
		"a byte":          instead("alpine", "alpinf"),
		"the query":       instead("name=job", "name=joc"),
		"the path":        instead("/v1.41/", "/v1.42/"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRetrying(t)
			r.remembers(raw)
			r.ask(raw)
			if r.asked != 2 {
				t.Fatalf("the policy was asked %d times before", r.asked)
			}
			if r.ask(change(r)); r.asked < 3 {
				t.Error("it is denied without being decided")
			}
		})
	}
}

// TestDeniedMethodClosed: what is as long as another one is another one.
func TestDeniedMethodClosed(t *testing.T) {
	r := newRetrying(t)
	r.remembers("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
	if r.ask("HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"); r.asked != 3 {
		t.Errorf("the policy was asked %d times", r.asked)
	}
}

// TestWhatIsNeverRememberedClosed: what is not denied by the policy alone, of the request alone, is decided each time.
func TestWhatIsNeverRememberedClosed(t *testing.T) {
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: docker\r\n\r\n" }
	decides := func(change func(*policy.Decision)) func(*retrying) {
		return func(r *retrying) { change(&r.decision) }
	}
	kind := func(k identity.Kind) func(*retrying) { return func(r *retrying) { r.who.Kind = k } }
	for name, tt := range map[string]struct {
		raw string
		of  func(*retrying)
	}{
		"allowed":                     {creates(image), decides(func(d *policy.Decision) { d.Allow = true })},
		"allowed to an admin":         {creates(image), decides(func(d *policy.Decision) { d.Allow, d.Admin = true, true })},
		"audit mode of all":           {creates(image), func(r *retrying) { r.steps.Mode = Audit }},
		"audit mode of the role":      {creates(image), decides(func(d *policy.Decision) { d.Audit = true })},
		"audit mode of the listener":  {creates(image), func(r *retrying) { r.steps.Modes = map[string]Mode{"agents": Audit} }},
		"a policy that failed":        {creates(image), decides(func(d *policy.Decision) { d.Failed = true })},
		"one that failed and allows":  {creates(image), decides(func(d *policy.Decision) { d.Allow, d.Failed = true, true })},
		"a policy that panics":        {creates(image), func(r *retrying) { r.decide = func(*policy.Input) { panic("boom") } }},
		"no policy that holds":        {creates(image), func(r *retrying) { r.epoch = 0 }},
		"a policy that changes":       {creates(image), func(r *retrying) { r.decide = func(*policy.Input) { r.epoch++ } }},
		"a rail":                      {post("/v1.41/swarm/init", `{"ListenAddr":"0.0.0.0"}`), func(r *retrying) { r.decision.Codes = nil }},
		"a label of ours":             {creates(`{"Image":"alpine","Labels":{"vitrine.owner":"x"}}`), func(*retrying) {}},
		"an unknown route":            {get("/nope"), func(*retrying) {}},
		"a body that is no JSON":      {creates(`{"Image":`), func(*retrying) {}},
		"a tunnel":                    {"POST /v1.41/session HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n", func(*retrying) {}},
		"an upload":                   {"POST /v1.41/build HTTP/1.1\r\nHost: docker\r\nContent-Length: 1\r\n\r\nx", func(*retrying) {}},
		"a target":                    {get("/v1.41/images/alpine/json"), func(*retrying) {}},
		"a container that is entered": {creates(`{"Image":"alpine","HostConfig":{"VolumesFrom":["web"]}}`), func(*retrying) {}},
		"a network":                   {creates(`{"Image":"alpine","HostConfig":{"NetworkMode":"shop"}}`), func(*retrying) {}},
		"a path of the host":          {creates(`{"Image":"alpine","HostConfig":{"Binds":["/srv:/srv"]}}`), func(*retrying) {}},
		"objects that are read":       {creates(image), func(r *retrying) { r.reads, r.decide = true, func(in *policy.Input) { in.Objects() } }},
		"what was taken away": {creates(image), func(r *retrying) {
			r.steps.olds.add(ownerOf(r.who), &old{Old: operation.Old{Name: "job"}, end: time.Now().Add(time.Hour)})
		}},
		"who is unknown":           {creates(image), kind(identity.Unknown)},
		"who is local":             {creates(image), kind(identity.Local)},
		"who is of no kind":        {creates(image), kind("")},
		"who has a certificate":    {creates(image), kind(identity.TLS)},
		"ourselves":                {creates(image), kind(identity.Self)},
		"who is nobody's account":  {creates(image), func(r *retrying) { r.conn = &identity.Connection{} }},
		"no shape":                 {creates(image), func(r *retrying) { r.steps.Shapes = shapeless{} }},
		"a policy without numbers": {creates(image), func(r *retrying) { r.steps.Policy = numberless{r} }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRetrying(t)
			tt.of(r)
			for i := range 4 {
				r.ask(tt.raw)
				if r.remembered(tt.raw) {
					t.Fatalf("it is remembered as of the request %d", i)
				}
			}
			if len(r.records) != 4 {
				t.Errorf("%d records", len(r.records))
			}
		})
	}
}

// shapeless has no room.
type shapeless struct{}

func (shapeless) Add(*record.Seen) *record.Kept                      { return nil }
func (shapeless) Again(*record.Kept, time.Time, string, string) bool { return true }

// numberless is a policy that does not say which one decides.
type numberless struct{ r *retrying }

func (n numberless) Decide(ctx context.Context, in *policy.Input) policy.Decision {
	return n.r.Decide(ctx, in)
}

// TestWhatADoorDeniesIsNotRememberedClosed: nor is what does not reach it whole, and what it answers otherwise.
func TestWhatADoorDeniesIsNotRememberedClosed(t *testing.T) {
	raw := creates(image)
	for name, finish := range map[string]func(v *Verdict, r *retrying){
		"a door's denial": func(v *Verdict, r *retrying) {
			v.Allow = true
			v.Deny(http.StatusForbidden, "no-role", "it cannot be met")
			v.Decision.Allow = true
			v.Finish(v.Status, false)
		},
		"nothing was answered": func(v *Verdict, _ *retrying) { v.Finish(0, false) },
		"no status of a denial": func(v *Verdict, _ *retrying) {
			v.Status = http.StatusNotFound
			v.Finish(http.StatusForbidden, false)
		},
		"it is allowed by now":    func(v *Verdict, _ *retrying) { v.Allow = true; v.Finish(http.StatusForbidden, false) },
		"another code":            func(v *Verdict, _ *retrying) { v.Code = "obligation"; v.Finish(v.Status, false) },
		"it did not arrive whole": func(v *Verdict, _ *retrying) { v.request.Raw = nil; v.Finish(v.Status, false) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRetrying(t)
			for range 3 {
				v := r.steps.Authorize(t.Context(), r.conn, &operation.Request{
					Method: "POST", URI: "/v1.41/containers/create", Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(image)), Raw: []byte(raw),
					ReadBody: func() ([]byte, error) { return []byte(image), nil },
				})
				finish(v, r)
			}
			if r.remembered(raw) || r.remembered("") {
				t.Error("it is remembered")
			}
		})
	}
}

// TestWhatWasFoundOutIsNotRememberedClosed: whatever it is, though the request names nothing.
func TestWhatWasFoundOutIsNotRememberedClosed(t *testing.T) {
	for name, found := range map[string]func(v *Verdict){
		"nothing":    func(*Verdict) {},
		"no objects": func(v *Verdict) { v.named = &named{} },
		"objects":    func(v *Verdict) { v.named = &named{}; v.named.read.Store(true) },
		"containers": func(v *Verdict) { v.containers.known = map[string]lookedUp{"a": {}} },
		"joined":     func(v *Verdict) { v.world.Joined = []string{"a"} },
		"paths":      func(v *Verdict) { v.world.Paths = []record.Path{{}} },
		"starts":     func(v *Verdict) { v.world.Starts = []record.Start{{}} },
		"networks":   func(v *Verdict) { v.world.Networks = &record.Networks{} },
		"old":        func(v *Verdict) { v.world.Old = &record.Old{} },
		"own":        func(v *Verdict) { v.world.Own = new(string) },
		"own exec":   func(v *Verdict) { v.world.OwnExec = true },
		"taken away": func(v *Verdict) { v.steps.olds.add(ownerOf(v.Caller), &old{end: time.Now().Add(time.Hour)}) },
	} {
		v := &Verdict{Caller: caller(), asked: &operation.Operation{ID: "ContainerCreate"}, steps: newRetrying(t).steps}
		if found(v); v.namesNothing() != (name == "nothing" || name == "no objects") {
			t.Errorf("%s: remembered = %v", name, v.namesNothing())
		}
	}
}
