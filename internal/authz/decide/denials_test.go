package decide

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// retrying is a world in which one client asks for the same thing again and again.
type retrying struct {
	t     *testing.T
	steps *Steps
	conn  *identity.Connection

	who      *identity.Identity
	identify func() // called for each
	epoch    uint64
	engine   *operation.Engine
	decision policy.Decision
	decide   func(in *policy.Input)
	reads    bool // the policy reads objects

	asked   int // decisions
	records []audit.Record
	shapes  *record.Store
}

func caller() *identity.Identity {
	return &identity.Identity{
		Kind: identity.Container, Principals: []string{"container:web"}, UID: new(uint32(7)), GID: new(uint32(7)), Groups: []uint32{7}, PID: 42, User: "www", Door: "gateway",
		Listener: "agents", Container: &identity.ContainerInfo{ID: strings.Repeat("c", 64), Name: "web", Labels: map[string]string{"team": "blue"}, Mounts: []string{"/srv"}},
		Certificate: &identity.Certificate{CommonName: "web"}, Process: &identity.Process{LoginUID: new(uint32(7)), Exe: "/bin/web"},
	}
}

func newRetrying(t *testing.T, with ...func(*Options)) *retrying {
	t.Helper()
	r := &retrying{
		t: t, who: caller(), epoch: 1, conn: &identity.Connection{Account: "web"}, shapes: record.New(record.Options{}),
		decision: policy.Decision{Diagnostics: policy.Diagnostics{Revision: "r1", Reasons: []string{"no role"}, Codes: []string{"no-role"}}},
	}
	o := Options{
		Identifier: r, Policy: r, Objects: nothing{}, Engine: func() *operation.Engine { return r.engine }, Shapes: r.shapes,
		Record: func(a audit.Record) { r.records = append(r.records, a) },
	}
	for _, set := range with {
		set(&o)
	}
	r.steps = New(o)
	return r
}

func (r *retrying) Identify(context.Context, *identity.Connection) *identity.Identity {
	if r.identify != nil {
		r.identify()
	}
	return r.who
}

func (r *retrying) ContainerPrincipals(context.Context, string) ([]string, error) {
	return []string{"container:other"}, nil
}

// nothing is what there is: of all else nobody may be asked.
type nothing struct{ anything }

func (nothing) ImageConfig(context.Context, string, string) (operation.ImageConfig, error) {
	return operation.ImageConfig{}, nil
}

type anything = Objects

func (nothing) HostNetworks(context.Context, *operation.Operation) ([]string, error) { return nil, nil }

func (nothing) Objects(context.Context, *operation.Operation) []object.Object { return nil }

func (r *retrying) Epoch() uint64 { return r.epoch }

func (r *retrying) ReadsObjects() bool { return r.reads }

func (r *retrying) Decide(_ context.Context, in *policy.Input) policy.Decision {
	r.asked++
	if r.decide != nil {
		r.decide(in)
	}
	return r.decision
}

// TestAnswerOfADenialIsWrittenOnce, of its own message.
func TestAnswerOfADenialIsWrittenOnce(t *testing.T) {
	r := newRetrying(t)
	for range 3 {
		r.ask(creates(image))
	}
	d := r.steps.Denied(r.conn, []byte(creates(image)))
	again, ok := d.Again(t.Context(), r.conn)
	if !ok {
		t.Fatal("it is not denied again")
	}
	first := d.Answer(func(message string) []byte { return []byte(message) })
	second := d.Answer(func(string) []byte { return []byte("another") })
	if string(first) != again.Message || string(second) != again.Message {
		t.Errorf("%q and %q, want %q", first, second, again.Message)
	}
}

// creates is a request as it arrives.
func creates(body string) string {
	return fmt.Sprintf("POST /v1.41/containers/create?name=job HTTP/1.1\r\nHost: docker\r\nX-Team: blue\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const image = `{"Image":"alpine"}`

// ask asks as the gateway does, and says what was answered.
func (r *retrying) ask(raw string) string {
	r.t.Helper()
	if d := r.steps.Denied(r.conn, []byte(raw)); d != nil {
		if again, ok := d.Again(r.t.Context(), r.conn); ok {
			return fmt.Sprint(again.Status, " ", again.Caller, " ", again.Message)
		}
	}
	h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		r.t.Fatal(err)
	}
	v := r.steps.Authorize(r.t.Context(), r.conn, &operation.Request{
		Method: h.Method, URI: h.RequestURI, Proto: h.Proto, Header: h.Header, ContentLength: h.ContentLength, Rebuilt: true, Arrived: true, Raw: []byte(raw),
		ReadBody: func() ([]byte, error) { return io.ReadAll(h.Body) },
	})
	status := v.Status
	if v.Allow {
		status = http.StatusOK
	}
	v.Finish(status, false)
	return fmt.Sprint(status, " ", v.Caller, " ", v.Message)
}

// remembers has a request denied so often that it is remembered.
func (r *retrying) remembers(raw string) {
	r.t.Helper()
	for range 2 {
		r.ask(raw)
	}
	if !r.remembered(raw) {
		r.t.Fatal("it is not remembered")
	}
}

func (r *retrying) remembered(raw string) bool { return r.steps.Denied(r.conn, []byte(raw)) != nil }

// TestDeniedAgain: the answer is the same, and so is the record but for its id and time; the policy is asked twice.
func TestDeniedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const times = 5
		r := newRetrying(t)
		r.engine = &operation.Engine{Version: "28"}
		var told int
		r.shapes = record.New(record.Options{Told: func(*record.Kept) { told++ }})
		r.steps.Shapes = r.shapes
		first := r.ask(creates(image))
		for range times - 1 {
			time.Sleep(time.Millisecond)
			r.engine = &operation.Engine{Version: "28"} // asked for once more, and the same
			if got := r.ask(creates(image)); got != first || !strings.HasPrefix(got, "403 container:web vitrine: container:web may not ContainerCreate") {
				t.Errorf("answered %q, and %q before", got, first)
			}
		}
		if r.asked != 2 {
			t.Errorf("the policy was asked %d times", r.asked)
		}
		if len(r.records) != times || told != times || r.shapes.Size() != 1 {
			t.Fatalf("%d records, %d decisions told, of %d shapes", len(r.records), told, r.shapes.Size())
		}
		ids := map[string]bool{}
		for i, a := range r.records {
			ids[a.ID] = true
			if want := r.records[0].Time.Add(time.Duration(i) * time.Millisecond); !a.Time.Equal(want) || a.Time.Location() != time.UTC {
				t.Errorf("record %d is of %s, not %s", i, a.Time, want)
			}
			a.ID, a.Time = r.records[0].ID, r.records[0].Time
			if !reflect.DeepEqual(a, r.records[0]) {
				t.Errorf("record %d:\n%+v\n%+v", i, a, r.records[0])
			}
		}
		if len(ids) != times {
			t.Errorf("%d ids of %d records", len(ids), times)
		}
		var line bytes.Buffer
		if _, err := r.shapes.WriteTo(&line); err != nil || !strings.Contains(line.String(), fmt.Sprintf(`"count":%d`, times)) || !strings.Contains(line.String(), `"sample":"`+r.records[times-1].ID) {
			t.Errorf("the record of shapes says %s, %v", &line, err)
		}
	})
}

// TestDeniedAgainTakesItsTime: the record says how long the decision took, without the wait for a turn.
func TestDeniedAgainTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		give := r.takeAll()
		time.AfterFunc(time.Millisecond, give)
		r.identify = func() { time.Sleep(3 * time.Millisecond) }
		r.ask(creates(image))
		last := r.records[len(r.records)-1]
		if r.asked != 2 || last.Duration != 3*time.Millisecond || last.DurationUsec != 3000 {
			t.Errorf("it took %s (%d µs), asked %d times", last.Duration, last.DurationUsec, r.asked)
		}
	})
}

// takeAll takes all turns that the caller has.
func (r *retrying) takeAll() (give func()) {
	var gives []func()
	for range 2 * runtime.GOMAXPROCS(0) {
		turn := r.steps.turns.Of(r.conn.Account)
		if err := turn.Take(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		gives = append(gives, turn.Give)
	}
	return func() {
		for _, give := range gives {
			give()
		}
	}
}

// TestDeniedAgainTakesATurnClosed: it waits for one as any request, not for ever, and gives it back.
func TestDeniedAgainTakesATurnClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t, func(o *Options) { o.Patience = 50 * time.Millisecond })
		r.remembers(creates(image))
		give := r.takeAll()
		d, from := r.steps.Denied(r.conn, []byte(creates(image))), time.Now()
		if _, ok := d.Again(t.Context(), r.conn); ok || time.Since(from) != r.steps.Patience {
			t.Errorf("ok = %v after %s, with no turn left", ok, time.Since(from))
		}
		if n := len(r.records); n != 2 {
			t.Errorf("%d records", n)
		}
		give()
		for range 4 * runtime.GOMAXPROCS(0) {
			if _, ok := d.Again(t.Context(), r.conn); !ok {
				t.Fatal("a turn was not given back")
			}
		}
		r.takeAll()()
	})
}

// TestDeniedWhoCannotBeIdentifiedInTimeClosed: the identification is told when to end.
func TestDeniedWhoCannotBeIdentifiedInTimeClosed(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Timeout = time.Hour })
	r.remembers(creates(image))
	var until time.Time
	r.steps.Identifier = hurried{r, &until}
	r.ask(creates(image))
	if left := time.Until(until); left < 59*time.Minute || left > time.Hour {
		t.Errorf("%s left", left)
	}
}

type hurried struct {
	*retrying
	at *time.Time
}

func (u hurried) Identify(ctx context.Context, c *identity.Connection) *identity.Identity {
	*u.at, _ = ctx.Deadline()
	return u.retrying.Identify(ctx, c)
}

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

// TestDeniedForAMomentClosed: a second after it was decided, it is decided again; that it was denied meanwhile is no reason.
func TestDeniedForAMomentClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		time.Sleep(deniedFor - time.Nanosecond)
		if r.ask(creates(image)); r.asked != 2 {
			t.Errorf("asked %d times within the second", r.asked)
		}
		time.Sleep(time.Nanosecond)
		r.decision = policy.Decision{Allow: true}
		if got := r.ask(creates(image)); r.asked != 3 || !strings.HasPrefix(got, "200") {
			t.Errorf("asked %d times behind it, and told %s", r.asked, got)
		}
	})
}

// TestDeniedAnewIsRememberedAnew: at once, as it is known to be repeated.
func TestDeniedAnewIsRememberedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		for i := range 3 {
			time.Sleep(deniedFor)
			for range 5 {
				r.ask(creates(image))
			}
			if r.asked != 3+i {
				t.Errorf("asked %d times in %d seconds", r.asked, i+2)
			}
		}
		if a := r.steps.denied.of["web"]; len(a.kept) != 1 || a.size != a.kept[0].size() {
			t.Errorf("%d are kept of one request, of %d bytes", len(a.kept), a.size)
		}
	})
}

// TestDeniedWithoutItsShapeIsDecided: a shape that was put out of the record comes back to it.
func TestDeniedWithoutItsShapeIsDecided(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Shapes = record.New(record.Options{Limit: 8 << 10}) })
	r.remembers(creates(image))
	for i := range 64 {
		r.ask(creates(fmt.Sprintf(`{"Image":"a%d"}`, i)))
	}
	asked := r.asked
	if r.ask(creates(image)); r.asked != asked+1 {
		t.Error("it is not recorded any longer")
	}
}

// TestDeniedWhereNobodyKeepsShapes: without a record of shapes the audit log is all.
func TestDeniedWhereNobodyKeepsShapes(t *testing.T) {
	r := newRetrying(t, func(o *Options) { o.Shapes = nil })
	r.remembers(creates(image))
	if n := r.steps.Denied(r.conn, []byte(creates(image))).size(); n < deniedOverhead+len(creates(image)) {
		t.Errorf("it counts as %d bytes", n)
	}
	if r.ask(creates(image)); r.asked != 2 || len(r.records) != 3 {
		t.Errorf("asked %d times, %d records", r.asked, len(r.records))
	}
}

// TestDeniedByAPanicClosed: it is decided, which says so.
func TestDeniedByAPanicClosed(t *testing.T) {
	r := newRetrying(t)
	r.remembers(creates(image))
	r.identify = func() { panic("boom") }
	if got := r.ask(creates(image)); !strings.Contains(got, "[internal-error]") {
		t.Errorf("answered %s", got)
	}
	r.takeAll()()
}

// TestDeniedIsBoundedClosed: a caller's own oldest go, and nobody else's.
func TestDeniedIsBoundedClosed(t *testing.T) {
	r := newRetrying(t)
	other, web := &identity.Connection{Account: "other"}, r.conn
	r.conn = other
	r.remembers(creates(image))
	r.conn = web
	name := func(i int) string { return creates(fmt.Sprintf(`{"Image":"%s%d"}`, strings.Repeat("a", 1000), i)) }
	for i := range 100 {
		r.remembers(name(i))
		a := r.steps.denied.of["web"]
		size := 0
		for _, d := range a.kept {
			size += d.size()
			if d.size() < deniedOverhead+len(d.raw)+len(d.message)+len(d.shape.Text()) {
				t.Fatalf("one of %d bytes counts as %d", len(d.raw), d.size())
			}
		}
		if size != a.size || size > deniedBytes {
			t.Fatalf("%d bytes are kept, as %d", size, a.size)
		}
	}
	if n := len(r.steps.denied.of["web"].kept); n < 4 || r.remembered(name(99-n)) || !r.remembered(name(100-n)) {
		t.Errorf("%d are kept, and not the latest", n)
	}
	r.conn = other
	if !r.remembered(creates(image)) {
		t.Error("another caller's is gone")
	}
}

// TestDeniedAccountsAreBoundedClosed: who comes later has no room until an earlier one is quiet.
func TestDeniedAccountsAreBoundedClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		as := func(i int) { r.conn = &identity.Connection{Account: fmt.Sprint("caller", i)} }
		for i := range deniedAccounts {
			as(i)
			r.remembers(creates(image))
		}
		for range 3 {
			as(deniedAccounts)
			r.ask(creates(image))
		}
		if len(r.steps.denied.of) != deniedAccounts || r.remembered(creates(image)) {
			t.Errorf("%d accounts", len(r.steps.denied.of))
		}
		time.Sleep(deniedFor - time.Nanosecond)
		as(0)
		r.ask(creates("{}"))
		time.Sleep(time.Nanosecond)
		as(deniedAccounts)
		r.remembers(creates(image))
		as(0)
		if len(r.steps.denied.of) != 2 || !r.remembered(creates(image)) {
			t.Errorf("%d accounts when all but one are quiet", len(r.steps.denied.of))
		}
	})
}

// TestDeniedOfAnAccountThatIsForgotten: it is not kept, whoever is late with it.
func TestDeniedOfAnAccountThatIsForgotten(t *testing.T) {
	r := newRetrying(t)
	r.steps.denied.keep("gone", &Denied{})
	if len(r.steps.denied.of) != 0 {
		t.Error("it is kept")
	}
}

// TestDeniedOnceIsNotKept: nor does one that never comes again make room for itself.
func TestDeniedOnceIsNotKept(t *testing.T) {
	r := newRetrying(t)
	for range 2 {
		r.ask(creates(image))
		for i := range deniedNoted {
			r.ask(creates(fmt.Sprintf(`{"Image":"a%d"}`, i)))
		}
	}
	if n := len(r.steps.denied.of["web"].kept); n != 0 {
		t.Errorf("%d are kept", n)
	}
	r.ask(creates(image))
	for i := range deniedNoted - 1 {
		r.ask(creates(fmt.Sprintf(`{"Image":"b%d"}`, i)))
	}
	if r.ask(creates(image)); !r.remembered(creates(image)) {
		t.Error("it came again soon enough")
	}
}

// TestDeniedFillsItsRoom: what has room to the byte is kept.
func TestDeniedFillsItsRoom(t *testing.T) {
	m := newDenials()
	m.again("web", nil, time.Now())
	half := func(c string) *Denied { return &Denied{raw: []byte(strings.Repeat(c, deniedBytes/2-deniedOverhead))} }
	m.keep("web", half("a"))
	m.keep("web", half("b"))
	if n := len(m.of["web"].kept); n != 2 {
		t.Errorf("%d of two that have room are kept", n)
	}
	m.keep("web", &Denied{})
	if a := m.of["web"]; len(a.kept) != 2 || a.kept[0].raw[0] != 'b' {
		t.Error("the oldest has not gone for one more")
	}
}

// TestDeniedAnewTakesItsPlace: of one request the latest counts, and what has ended is gone with the next.
func TestDeniedAnewTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(t)
		r.remembers(creates(image))
		r.epoch++
		r.ask(creates(image))
		if r.ask(creates(image)); r.asked != 3 {
			t.Errorf("asked %d times", r.asked)
		}
		time.Sleep(deniedFor)
		r.remembers(creates(`{"Image":"other"}`))
		if r.remembered(creates(image)) {
			t.Error("what has ended is kept")
		}
	})
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
