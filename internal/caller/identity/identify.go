package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"vitrine/internal/caller/attest"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/principal"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// attestor establishes where a peer's process runs; an *attest.Attestor.
type attestor interface {
	Attest(ctx context.Context, p *peercred.Peer) attest.Attestation
}

// containers is what an Identifier needs of a *docker.Inventory.
type containers interface {
	Lookup(ref string) (docker.Container, bool)
	Find(ctx context.Context, ref string) (docker.Container, error)
	ExecContainer(ctx context.Context, execID string) (docker.Container, error)
}

// Identifier names callers.
type Identifier struct {
	attestor   attestor
	containers containers
	users      *Users
	proc       *procfs.FS // nil: nothing is said of processes
	listeners  func(path string) []string
}

// GuardListeners has ContainerPrincipals tell by which of the gateway's listeners a container can come, as it has a path
// of the host mounted: of gives the listeners whose socket a path is or holds.
func (i *Identifier) GuardListeners(of func(path string) []string) { i.listeners = of }

// New makes an Identifier. users may be nil: then uid 0 of the host is
// unix:root and nobody else has a name.
func New(a attestor, c containers, users *Users) *Identifier {
	if users == nil {
		users = &Users{}
	}
	return &Identifier{attestor: a, containers: c, users: users}
}

// ShowProcesses has identities of the host's processes say what these run, and who logged in. Call it before the first
// connection.
func (i *Identifier) ShowProcesses(proc procfs.FS) { i.proc = &proc }

// process is what the peer's process says of itself. It is the peer's if that is alive afterwards: only then
// has the number meant no other one. What cannot be read is left out.
func (i *Identifier) process(c *Connection) *Process {
	if i.proc == nil {
		return nil
	}
	exe, _ := i.proc.Exe(c.peer.PID)
	login, _ := i.proc.LoginUID(c.peer.PID)
	if c.peer.Alive() != nil {
		return nil
	}
	return &Process{LoginUID: login, Exe: exe}
}

// Identify says who is on the other end. It is never nil; what could not be
// established is Unknown, and is established anew at the next call. The
// Identity may be shared with other requests and must not be changed.
func (i *Identifier) Identify(ctx context.Context, c *Connection) *Identity {
	switch {
	case c == nil:
		return unknown(&Connection{}, errors.New("no connection"))
	case c.kind == Local:
		return c.identity(Local, []string{string(principal.Local)})
	case c.kind == Self:
		return c.identity(Self, nil)
	case c.kind == TLS:
		return i.certificate(ctx, c)
	case c.kind != "":
		return unknown(c, errors.New("a connection of no known kind"))
	}
	id, _ := i.peer(ctx, c)
	return id
}

// peer identifies the process at the other end. What was attested once holds
// while a pidfd shows that process alive and its container runs as it did: a
// container that was restarted has another Pid, and none of the processes it
// had before.
func (i *Identifier) peer(ctx context.Context, c *Connection) (*Identity, attest.Attestation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !i.holds(c) {
		c.remember(attest.Attestation{})
		a := i.attestor.Attest(ctx, c.peer)
		if a.Kind == attest.Unknown {
			id := unknown(c, a.Err)
			id.addIDs(c, a)
			id.addListener(c)
			return id, a
		}
		c.remember(a)
		if a.Kind == attest.Host {
			c.process = i.process(c)
		}
	}
	a := &c.attested
	users := i.users.current()
	if c.built == nil || c.rev != a.Container.Rev || c.users != users {
		c.built, c.rev, c.users = describe(c, *a, users), a.Container.Rev, users
	}
	return c.built, *a
}

// holds asks the kernel and the inventory whether an attestation is still true,
// and brings the container up to date.
func (i *Identifier) holds(c *Connection) bool {
	a := &c.attested
	switch a.Kind {
	case attest.Peer: // there is no process to look at; credentials are connect's
		return true
	case attest.Host:
		return c.peer.Alive() == nil
	case attest.Container:
		now, _ := i.containers.Lookup(a.Container.ID) // one that is not there does not run
		if !now.Running || now.Pid != a.Container.Pid || now.StartedAt != a.Container.StartedAt {
			return false
		}
		a.Container = now
		return c.peer.Alive() == nil
	case attest.Unknown:
	}
	return false
}

func (c *Connection) identity(kind Kind, principals []string) *Identity {
	if principals == nil {
		principals = []string{}
	}
	return &Identity{Kind: kind, Principals: principals, Groups: []uint32{}, Door: c.door, Listener: c.listener}
}

func unknown(c *Connection, why error) *Identity {
	id := c.identity(Unknown, nil)
	id.Err = why
	return id
}

// addIDs fills in what the kernel said of the peer, as facts, not as principals.
func (id *Identity) addIDs(c *Connection, a attest.Attestation) {
	if c.peer == nil {
		return
	}
	id.UID, id.GID, id.PID = a.UID, a.GID, c.peer.PID
	id.Groups = append(id.Groups, a.Groups...)
}

// describe makes the identity of an attested peer, with its principals: first
// the one to call it by.
func describe(c *Connection, a attest.Attestation, users *names) *Identity {
	id := c.identity(Unknown, nil)
	id.addIDs(c, a)
	switch a.Kind {
	case attest.Host:
		id.Kind, id.Process = Host, c.process
		if a.UID != nil {
			if id.User = users.name(*a.UID); id.User != "" {
				id.add(principal.Unix, id.User)
			}
		}
		id.addNumbers(principal.UID, principal.GID, a.Groups)
	case attest.Container:
		id.Kind = Container
		id.Container = containerInfo(a.Container)
		id.Principals = containerPrincipals(a.Container, a.Container.ImageKnown)
		id.addNumbers(principal.ContainerUID, principal.ContainerGID, a.Groups)
	case attest.Peer:
		id.Kind = Peer
		id.addNumbers(principal.PeerUID, principal.PeerGID, nil)
	case attest.Unknown:
	}
	id.addListener(c)
	return id
}

// addListener: who connected could open the socket's file, whoever it is; the kernel asks for that at connect, and the
// listener that it was accepted on says which file. A port can be reached by anybody, and behind TLS a certificate says
// more.
func (id *Identity) addListener(c *Connection) {
	if c.peer != nil {
		id.add(principal.Listener, c.listener)
	}
}

func (id *Identity) addNumbers(uid, gid principal.Kind, groups []uint32) {
	if id.UID != nil {
		id.add(uid, fmt.Sprint(*id.UID))
	}
	if id.GID != nil {
		id.add(gid, fmt.Sprint(*id.GID))
	}
	for _, g := range groups {
		id.add(gid, fmt.Sprint(g))
	}
}

// add adds a principal, unless it is there or its value is nothing to be named by.
func (id *Identity) add(kind principal.Kind, value string) {
	if p := kind.With(value); principal.Nameable(value) && !slices.Contains(id.Principals, p) {
		id.Principals = append(id.Principals, p)
	}
}

func containerInfo(c docker.Container) *ContainerInfo {
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return &ContainerInfo{ID: c.ID, Name: c.Name, Image: c.Image, ImageID: c.ImageID, Labels: labels, Mounts: hostMounts(c.Detail)}
}

// hostMounts are the folders and files of the host that a container may write to. Of one that it can only read nobody who is
// in it may make more than that, so it is not among them; nor are volumes, which have names.
func hostMounts(d *docker.Detail) []string {
	paths := []string{}
	if d == nil { // nothing is known of them
		return paths
	}
	for _, m := range d.Mounts {
		if m.Type == "bind" && m.RW && path.IsAbs(m.Source) && path.Clean(m.Source) == m.Source {
			paths = append(paths, m.Source)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// containerPrincipals are those that everything in a container has.
//
// They are as trustworthy as those who may create containers. A label that the
// image sets is its publisher's word, whoever made the container, so it gives
// none, even where the creator repeated it: the Engine does not say which.
// labels is false where no label may count, because the image is not known.
//
// Whose the container is stands in such a label too, which the gateway puts on what a caller makes, and
// which nobody but an admin can give by himself. A container whose image sets it is nobody's.
func containerPrincipals(c docker.Container, labels bool) []string {
	id := Identity{Principals: make([]string, 0, 6+len(c.Labels))}
	id.add(principal.Container, c.Name)
	id.add(principal.ContainerID, c.ID)
	id.add(principal.Image, imagename.Repository(c.Image))
	id.add(principal.ImageID, c.ImageID)
	if !labels {
		return id.Principals
	}
	keys := slices.Sorted(maps.Keys(c.Labels))
	if tooMany(c.Labels) {
		keys = []string{principal.OwnerLabel}
	}
	for _, key := range keys {
		if c.Gave(key) && key != "" && !strings.Contains(key, "=") {
			p := principal.OfLabel(key, c.Labels[key])
			id.add(p.Kind, p.Value)
		}
	}
	return id.Principals
}

// ContainerPrincipals are the principals of the container that an operation
// names: by name, id or prefix as the Engine takes them, or "exec:<id>". The error says
// why the container is not known, and then it must be taken for anyone's.
//
// They guard a container against others, so they are rather too many: where the
// image is not known, each label may be the container's own; too many labels
// are label:*, any, and mounts that are not known are listener:*.
func (i *Identifier) ContainerPrincipals(ctx context.Context, ref string) (principals []string, err error) {
	c, err := i.container(ctx, ref)
	if err != nil {
		return nil, err
	}
	principals = containerPrincipals(c, true)
	switch {
	case i.listeners == nil:
	case c.Detail == nil: // it was not looked at, and may have any of them mounted
		principals = append(principals, principal.Listener.Any())
	default:
		for _, m := range c.Detail.Mounts {
			for _, name := range i.listeners(m.Source) {
				principals = append(principals, principal.Listener.With(name))
			}
		}
	}
	if tooMany(c.Labels) {
		principals = append(principals, principal.Label.Any())
	}
	return principals, nil
}

// WhyNot says to a caller why [Identifier.ContainerPrincipals] could not tell. The error itself is for the record:
// it may quote what Docker tells us, and not the caller.
func WhyNot(err error) string {
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return "there is none of that name"
	case errors.Is(err, docker.ErrUnanswered), errors.Is(err, context.DeadlineExceeded):
		return "Docker does not answer about it in time"
	case procfs.Exhausted(err):
		return "no descriptor is left to ask Docker with"
	case errors.Is(err, fs.ErrPermission):
		return "we may not ask Docker"
	}
	return "Docker does not say which one is meant"
}

// Joined are references to the containers whose namespaces or volumes a container has: who
// gets into it sees their processes or files. An error says that it cannot be told.
func (i *Identifier) Joined(ctx context.Context, ref string) ([]string, error) {
	c, err := i.container(ctx, ref)
	switch {
	case errors.Is(err, docker.ErrNotFound): // there is nothing of it left to see
		return nil, nil
	case err != nil:
		return nil, err
	case c.Detail == nil:
		return nil, errors.New("it was not looked at")
	}
	return c.Detail.Joined, nil
}

// container is the one that an operation names.
func (i *Identifier) container(ctx context.Context, ref string) (docker.Container, error) {
	if exec, isExec := strings.CutPrefix(ref, "exec:"); isExec {
		return i.containers.ExecContainer(ctx, exec)
	}
	return i.containers.Find(ctx, ref)
}

// tooMany: they name nobody then.
func tooMany(labels map[string]string) bool {
	n := 0
	for k, v := range labels {
		n += len(k) + len(v)
	}
	return principal.TooManyLabels(len(labels), n)
}

// certificate identifies a caller by its verified certificate; what the kernel
// says of the peer is added as facts, and gives no principal. Time passes on a
// connection, so the certificate's end is looked at for each request.
func (i *Identifier) certificate(ctx context.Context, c *Connection) *Identity {
	if c.leaf == nil {
		return unknown(c, errors.New("no certificate"))
	}
	if now := time.Now(); now.After(c.leaf.NotAfter) || now.Before(c.leaf.NotBefore) {
		return unknown(c, errors.New("the certificate is not valid at this time"))
	}
	id := c.identity(TLS, nil)
	id.addCertificate(c.leaf)
	if c.peer == nil {
		return id
	}
	facts, a := i.peer(ctx, c)
	id.addIDs(c, a)
	id.User, id.Container = facts.User, facts.Container
	return id
}
