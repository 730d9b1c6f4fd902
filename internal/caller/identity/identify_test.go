package identity

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

const monitorID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// fake attests what it is told, and holds containers.
type fake struct {
	mu         sync.Mutex
	attested   attest.Attestation
	asked      int
	containers map[string]docker.Container
}

func (f *fake) Attest(context.Context, *peercred.Peer) attest.Attestation {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.attested
}

func (f *fake) Lookup(ref string) (docker.Container, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.containers[ref]
	return c, ok
}

func (f *fake) Find(_ context.Context, ref string) (docker.Container, error) {
	if c, ok := f.Lookup(ref); ok {
		return c, nil
	}
	return docker.Container{}, docker.ErrNotFound
}

func (f *fake) ExecContainer(ctx context.Context, id string) (docker.Container, error) {
	if id != "e1" {
		return docker.Container{}, errors.New("deadline")
	}
	return f.Find(ctx, monitorID)
}

func monitor() docker.Container {
	return docker.Container{
		ID: monitorID, Name: "monitor", Image: "localhost:5000/vitrine/monitor:1", ImageID: "sha256:11",
		Labels:     map[string]string{"com.example.team": "sre", "vitrine.role": "admin"},
		ImageKnown: true, ImageLabels: map[string]string{"vitrine.role": "admin"},
		Running: true, Pid: 41, StartedAt: "once", Rev: 1,
	}
}

func inContainer(c docker.Container) *fake {
	return &fake{
		attested:   attest.Attestation{Kind: attest.Container, Container: c, UID: new(uint32(65532)), GID: new(uint32(7)), Groups: []uint32{7, 8}},
		containers: map[string]docker.Container{c.ID: c},
	}
}

// self is a peer that lives: this process.
func self(t testing.TB) *peercred.Peer {
	p := peercred.FromStartTime(procfs.New(os.DirFS("/proc")), os.Getpid(), uint32(os.Geteuid()), 0, nil)
	if p.Alive() != nil {
		t.Fatal("our own process is not alive")
	}
	t.Cleanup(p.Close)
	return p
}

func users(t *testing.T, text string) *Users {
	t.Helper()
	path := t.TempDir() + "/passwd"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewUsers(path, nil)
}

func wantPrincipals(t *testing.T, id *Identity, kind Kind, want ...string) {
	t.Helper()
	if id.Listener != "" && kind != TLS && (id.PID != 0 || kind == Peer) { // whoever it is, it could open the socket
		want = append(slices.Clip(want), "listener:"+id.Listener)
	}
	if id.Kind != kind || !slices.Equal(id.Principals, want) {
		t.Errorf("%s with %q, want %s with %q (why: %s)", id.Kind, id.Principals, kind, want, id.Err)
	}
}

func TestContainer(t *testing.T) {
	f := inContainer(monitor())
	id := New(f, f, nil).Identify(t.Context(), NewUnix("agents", self(t)))
	wantPrincipals(t, id, Container, "container:monitor", "container-id:"+monitorID,
		"image:localhost:5000/vitrine/monitor", "image-id:sha256:11", "label:com.example.team=sre",
		"container-uid:65532", "container-gid:7", "container-gid:8")
	if id.String() != "container:monitor" || id.Container.Labels["vitrine.role"] != "admin" || id.Door != "gateway" || id.Listener != "agents" || id.PID != os.Getpid() {
		t.Errorf("identity %+v", id)
	}
}

func TestRootInAContainerIsNotTheHostsClosed(t *testing.T) {
	f := inContainer(monitor())
	f.attested.UID, f.attested.GID = new(uint32(0)), new(uint32(0))
	for _, p := range New(f, f, nil).Identify(t.Context(), NewUnix("a", self(t))).Principals {
		if strings.HasPrefix(p, "unix:") || strings.HasPrefix(p, "uid:") || strings.HasPrefix(p, "gid:") {
			t.Errorf("principal %q", p)
		}
	}
}

func TestHost(t *testing.T) {
	const passwd = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"
	for name, tt := range map[string]struct {
		uid, gid *uint32
		groups   []uint32
		want     []string
	}{
		"root":             {new(uint32(0)), new(uint32(0)), []uint32{0}, []string{"unix:root", "uid:0", "gid:0"}},
		"a user":           {new(uint32(1000)), new(uint32(1000)), []uint32{27, 1000}, []string{"unix:alice", "uid:1000", "gid:1000", "gid:27"}},
		"without a name":   {new(uint32(4242)), new(uint32(4242)), nil, []string{"uid:4242", "gid:4242"}},
		"of ids unmapped":  {nil, nil, nil, []string{}},
		"its group is not": {new(uint32(1000)), nil, nil, []string{"unix:alice", "uid:1000"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{attested: attest.Attestation{Kind: attest.Host, UID: tt.uid, GID: tt.gid, Groups: tt.groups}}
			wantPrincipals(t, New(f, f, users(t, passwd)).Identify(t.Context(), NewUnix("a", self(t))), Host, tt.want...)
		})
	}
}

func TestPeer(t *testing.T) {
	f := &fake{attested: attest.Attestation{Kind: attest.Peer, UID: new(uint32(0)), GID: new(uint32(0)), Groups: []uint32{5}}}
	id := New(f, f, nil).Identify(t.Context(), NewUnix("a", &peercred.Peer{}))
	wantPrincipals(t, id, Peer, "peer-uid:0", "peer-gid:0")
	if id.User != "" {
		t.Errorf("a peer has the name %q", id.User)
	}
	c := NewUnix("a", &peercred.Peer{})
	for range 2 {
		wantPrincipals(t, New(f, f, nil).Identify(t.Context(), c), Peer, "peer-uid:0", "peer-gid:0")
	}
	if f.asked != 2 {
		t.Errorf("of two connections, peers were attested %d times", f.asked)
	}
}

func TestOtherKinds(t *testing.T) {
	i := New(&fake{}, &fake{}, nil)
	wantPrincipals(t, i.Identify(t.Context(), NewLocal()), Local, "local")
	wantPrincipals(t, i.Identify(t.Context(), NewSelf("gateway")), Self)
	wantPrincipals(t, i.Identify(t.Context(), nil), Unknown)
	wantPrincipals(t, i.Identify(t.Context(), NewTLS("x", nil, nil)), Unknown)
}

// TestConnectionOfNoKindClosed: though the attestor says yes, to a peer or to none.
func TestConnectionOfNoKindClosed(t *testing.T) {
	host := &fake{attested: attest.Attestation{Kind: attest.Host, UID: new(uint32(0))}}
	wantPrincipals(t, New(host, host, nil).Identify(t.Context(), &Connection{kind: "root", peer: self(t)}), Unknown)
	nobody := &fake{attested: attest.Attestation{Err: peercred.ErrNoCredentials}}
	wantPrincipals(t, New(nobody, nobody, nil).Identify(t.Context(), NewUnix("a", nil)), Unknown)
}

func TestWhoIsNamed(t *testing.T) {
	for want, id := range map[string]*Identity{
		"unknown":   nil,
		"host":      {Kind: Host},
		"unix:root": {Kind: Host, Principals: []string{"unix:root", "uid:0"}},
	} {
		if got := id.String(); got != want {
			t.Errorf("%+v is called %q, want %q", id, got, want)
		}
	}
	if got := new(Identity).String(); got != "unknown" {
		t.Errorf("of no kind: %q", got)
	}
	if got := new(Identity).Why(); got != "" {
		t.Errorf("known, because of %q", got)
	}
}

func TestUnknownIsNotRememberedClosed(t *testing.T) {
	f := inContainer(monitor())
	known := f.attested
	f.attested = attest.Attestation{Err: errors.New("the daemon is blocked"), UID: new(uint32(0))}
	i, c := New(f, f, nil), NewUnix("a", self(t))
	for range 2 {
		id := i.Identify(t.Context(), c)
		wantPrincipals(t, id, Unknown)
		if id.Why() != "the daemon is blocked" || id.UID == nil || c.attested.Container.ID != "" {
			t.Errorf("identity %+v of container %q", id, c.attested.Container.ID)
		}
	}
	f.attested = known
	if id := i.Identify(t.Context(), c); id.Kind != Container || f.asked != 3 {
		t.Errorf("%s, attested %d times, want a container the third time", id.Kind, f.asked)
	}
}

func TestAttestedOnceAConnection(t *testing.T) {
	f := inContainer(monitor())
	i, c := New(f, f, nil), NewUnix("a", self(t))
	first := i.Identify(t.Context(), c)
	if second := i.Identify(t.Context(), c); second != first || f.asked != 1 || c.attested.Container.ID != monitorID {
		t.Errorf("attested %d times, container %q", f.asked, c.attested.Container.ID)
	}

	renamed := monitor()
	renamed.Name, renamed.Rev = "other", 2
	f.containers[monitorID] = renamed
	if id := i.Identify(t.Context(), c); id.String() != "container:other" || f.asked != 1 {
		t.Errorf("after a rename %s, attested %d times", id, f.asked)
	}
	if first.String() != "container:monitor" {
		t.Error("an identity that was handed out has changed")
	}
}

func TestWhatWasAttestedEndsClosed(t *testing.T) {
	for name, end := range map[string]func(f *fake, p *peercred.Peer){
		"the peer exits":           func(_ *fake, p *peercred.Peer) { p.Close() },
		"the container is removed": func(f *fake, _ *peercred.Peer) { clear(f.containers) },
		"the container stops": func(f *fake, _ *peercred.Peer) {
			f.containers[monitorID] = docker.Container{ID: monitorID, Rev: 2}
		},
		"the container stops, and is told with its last process": func(f *fake, _ *peercred.Peer) {
			c := monitor()
			c.Running, c.Rev = false, 2
			f.containers[monitorID] = c
		},
		"the container restarts": func(f *fake, _ *peercred.Peer) {
			c := monitor()
			c.Pid, c.Rev = 99, 2
			f.containers[monitorID] = c
		},
		"the container restarts, and its init has the number of the one before": func(f *fake, _ *peercred.Peer) {
			c := monitor()
			c.StartedAt, c.Rev = "twice", 2
			f.containers[monitorID] = c
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := inContainer(monitor()), self(t)
			i, c := New(f, f, nil), NewUnix("a", p)
			i.Identify(t.Context(), c)
			end(f, p)
			f.attested = attest.Attestation{Err: errors.New("no more")}
			wantPrincipals(t, i.Identify(t.Context(), c), Unknown)
			if c.attested.Container.ID != "" {
				t.Error("the connection still names the container")
			}
		})
	}
}

// TestListenerIsOfPlainSocketsClosed: a port is anybody's, and behind TLS there is a certificate.
func TestListenerIsOfPlainSocketsClosed(t *testing.T) {
	f := inContainer(monitor())
	i := New(f, f, nil)
	leaf := issue(t, &x509.Certificate{Subject: subject("ci")})
	for name, c := range map[string]*Connection{
		"TLS on a port": NewTLS("ci", leaf, nil), "TLS on a socket": NewTLS("ci", leaf, self(t)),
		"local": NewLocal(), "ourselves": NewSelf("gateway"), "no peer": NewUnix("ci", nil), "no name": NewUnix("", self(t)),
	} {
		for _, p := range i.Identify(t.Context(), c).Principals {
			if isListener(p) {
				t.Errorf("%s: %s", name, p)
			}
		}
	}
}

// TestMountedListenerIsGuardedClosed: who gets into a container that has a listener's socket can come by it.
func TestMountedListenerIsGuardedClosed(t *testing.T) {
	c := monitor()
	c.Detail = &docker.Detail{Mounts: []docker.Mount{{Source: "/srv"}, {Source: "/run/ci"}}}
	f := inContainer(c)
	i := New(f, f, nil)
	i.GuardListeners(func(path string) []string {
		if path == "/run/ci" {
			return []string{"ci", "other"}
		}
		return nil
	})
	got, err := i.ContainerPrincipals(t.Context(), monitorID)
	if err != nil || !slices.Contains(got, "listener:ci") || !slices.Contains(got, "listener:other") {
		t.Errorf("%q, %v", got, err)
	}
	if id := i.Identify(t.Context(), NewUnix("agents", self(t))); slices.Contains(id.Principals, "listener:ci") {
		t.Error("what it has mounted is not what it came by")
	}
	if got, err := New(f, f, nil).ContainerPrincipals(t.Context(), monitorID); err != nil || slices.ContainsFunc(got, isListener) {
		t.Errorf("there is no listener: %q, %v", got, err)
	}
	c.Detail = nil
	f.containers[monitorID] = c
	if got, err := i.ContainerPrincipals(t.Context(), monitorID); err != nil || !slices.Contains(got, "listener:*") {
		t.Errorf("nobody has looked what it has mounted, and it is guarded as %q, %v", got, err)
	}
}

func isListener(p string) bool { return strings.HasPrefix(p, "listener:") }

// TestKindOfACallerThatIsNotThere is what the first of its principals that is one is of.
func TestKindOfACallerThatIsNotThere(t *testing.T) {
	for _, tc := range []struct {
		of   []string
		want Kind
	}{
		{[]string{"unix:root", "container:web"}, Host},
		{[]string{"uid:1000"}, Host},
		{[]string{"label:a=b"}, Container},
		{[]string{"tls:ci"}, TLS},
		{[]string{"local"}, Local},
		{[]string{"listener:ci"}, Peer},
		{[]string{"web", "nobody:x", "container:web"}, Container},
		{[]string{"web"}, ""},
		{nil, ""},
	} {
		if got := KindOf(tc.of); got != tc.want {
			t.Errorf("%q is %q, want %q", tc.of, got, tc.want)
		}
	}
}

func TestContainerPrincipals(t *testing.T) {
	f := inContainer(monitor())
	i := New(f, f, nil)
	for _, ref := range []string{monitorID, "exec:e1"} {
		got, err := i.ContainerPrincipals(t.Context(), ref)
		if err != nil || !slices.Contains(got, "container:monitor") || !slices.Contains(got, "label:com.example.team=sre") || slices.Contains(got, "label:vitrine.role=admin") {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	c := monitor()
	c.ImageKnown, c.ImageLabels = false, nil
	f.containers[monitorID] = c
	if got, _ := i.ContainerPrincipals(t.Context(), monitorID); !slices.Contains(got, "label:vitrine.role=admin") {
		t.Errorf("with an image that is not known: %q, want every label guarded", got)
	}
	for _, ref := range []string{"", "*", "nope", "exec:", "exec:e2"} {
		if got, err := i.ContainerPrincipals(t.Context(), ref); err == nil || got != nil {
			t.Errorf("%q: %q, %v, want nothing", ref, got, err)
		}
	}
}

// TestWhyNotSaysTheCause: each in words of our own, as Docker's may quote what the caller is not shown.
func TestWhyNotSaysTheCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		says string
	}{
		{docker.ErrNotFound, "there is none of that name"},
		{docker.ErrUnanswered, "does not answer"},
		{context.DeadlineExceeded, "does not answer"},
		{syscall.EMFILE, "no descriptor"},
		{syscall.EACCES, "may not ask"},
		{errors.New("GET /containers/ab/json: 400: multiple IDs found with provided prefix: ab"), "does not say which"},
	} {
		if got := WhyNot(fmt.Errorf("inspect container: %w", tt.err)); !strings.Contains(got, tt.says) || strings.Contains(got, "multiple") {
			t.Errorf("%v: %q", tt.err, got)
		}
	}
}

func TestJSONHasEveryKey(t *testing.T) {
	bare := &fake{attested: attest.Attestation{Kind: attest.Container}}
	for _, c := range []*Connection{NewLocal(), NewSelf("gateway"), nil, NewUnix("a", self(t))} {
		b, err := json.Marshal(New(bare, bare, nil).Identify(t.Context(), c))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		want := []string{"certificate", "container", "door", "gid", "groups", "kind", "listener", "pid", "principals", "uid", "user"}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) || got["groups"] == nil || got["principals"] == nil {
			t.Errorf("%s", b)
		}
		if in, ok := got["container"].(map[string]any); ok && in["labels"] == nil {
			t.Errorf("%s", b)
		}
	}
}

func TestManyRequestsOnOneConnection(t *testing.T) {
	f := inContainer(monitor())
	i, c := New(f, f, nil), NewUnix("a", self(t))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for rev := range 50 {
				m := monitor()
				m.Rev = uint64(n*1000 + rev)
				f.mu.Lock()
				f.containers[monitorID] = m
				f.mu.Unlock()
				if i.Identify(t.Context(), c).Kind != Container {
					t.Error("not the container")
				}
			}
		})
	}
	all.Wait()
}

// inventory answers as an engine does that has one container, our own process.
type inventory struct{ fake }

func (*inventory) OnChange(func(docker.Container)) {}
func (*inventory) Ready() bool                     { return true }
func (*inventory) Has(string) bool                 { return false }
func (*inventory) Running() []docker.Container     { return nil }
func (*inventory) Refresh(context.Context, string) (docker.Container, error) {
	return docker.Container{}, docker.ErrNotFound
}

// The chain as it is wired: a /proc of its own, the real attestor.
func TestHostThroughTheAttestor(t *testing.T) {
	tree := fstest.MapFS{"self": {Data: []byte("2"), Mode: os.ModeSymlink}}
	add := func(name, text string) {
		mode := os.FileMode(0)
		if strings.Contains(name, "/ns/") {
			mode = os.ModeSymlink
		}
		tree[name] = &fstest.MapFile{Data: []byte(text), Mode: mode}
	}
	for _, pid := range []string{"2", "42"} {
		add(pid+"/stat", pid+" (x) S 1 1 1 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 1 0 7 0")
		add(pid+"/status", "Uid:\t0\t0\t0\t0\nNSpid:\t"+pid+"\n")
		add(pid+"/cgroup", "0::/\n")
		for _, ns := range []string{"user", "pid", "mnt", "cgroup"} {
			add(pid+"/ns/"+ns, ns+":[1]")
		}
	}
	proc, inv := procfs.New(tree), &inventory{}
	i := New(attest.New(inv, attest.Options{Proc: &proc}), inv, nil)
	c := NewUnix("a", peercred.FromStartTime(proc, 42, 0, 0, nil))
	wantPrincipals(t, i.Identify(t.Context(), c), Host, "unix:root", "uid:0", "gid:0")
	add("42/stat", "42 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0")
	wantPrincipals(t, i.Identify(t.Context(), c), Unknown)
}

func BenchmarkIdentify(b *testing.B) {
	for name, f := range map[string]*fake{
		"container": inContainer(monitor()),
		"host":      {attested: attest.Attestation{Kind: attest.Host, UID: new(uint32(1000))}},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := livingPeer(b)
			if err != nil {
				b.Fatal(err)
			}
			i := New(f, f, NewUsers("/etc/passwd", nil))
			c := NewUnix("a", p)
			b.ReportAllocs()
			for b.Loop() {
				if i.Identify(b.Context(), c).Kind == Unknown {
					b.Fatal("unknown")
				}
			}
		})
	}
}

// TestJoinedClosed: what cannot be told is an error; one that is gone has nothing to see.
func TestJoinedClosed(t *testing.T) {
	c := monitor()
	f := inContainer(c)
	if joined, err := New(f, f, nil).Joined(t.Context(), monitorID); err == nil {
		t.Errorf("it was not looked at, and is joined to %v", joined)
	}
	if joined, err := New(f, f, nil).Joined(t.Context(), "exec:e2"); err == nil || err.Error() != "deadline" {
		t.Errorf("the Engine did not answer, and it is joined to %v: %v", joined, err)
	}
	c.Detail = &docker.Detail{Joined: []string{"web"}}
	f = inContainer(c)
	for ref, want := range map[string][]string{monitorID: {"web"}, "gone": nil} {
		if joined, err := New(f, f, nil).Joined(t.Context(), ref); err != nil || !slices.Equal(joined, want) {
			t.Errorf("%s: %v, %v", ref, joined, err)
		}
	}
}

// TestMountsOfACallerClosed: only folders of the host that the container may write to count, in
// their canonical form; of volumes, of what it can only read, and of what is not known nothing does.
func TestMountsOfACallerClosed(t *testing.T) {
	mounts := []docker.Mount{
		{Type: "bind", Source: "/srv/b", RW: true},
		{Type: "bind", Source: "/srv/a", RW: true},
		{Type: "bind", Source: "/srv/a", RW: true},
		{Type: "bind", Source: "/etc"},
		{Type: "volume", Source: "/var/lib/docker/volumes/v/_data", RW: true},
		{Source: "/x", RW: true},
		{Type: "bind", Source: "/srv/../etc", RW: true},
		{Type: "bind", Source: "srv", RW: true},
		{Type: "bind", RW: true},
		{Type: "bind", Source: "/srv/c/", RW: true},
	}
	if got := containerInfo(docker.Container{Detail: &docker.Detail{Mounts: mounts}}).Mounts; !slices.Equal(got, []string{"/srv/a", "/srv/b"}) {
		t.Errorf("got %q", got)
	}
	if got := containerInfo(docker.Container{}).Mounts; got == nil || len(got) > 0 {
		t.Errorf("of which nothing is known: %q", got)
	}
}
