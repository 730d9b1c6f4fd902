package attest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// TestDeadPeerAsksNobodyClosed: the number is another process's by now, whose container is none of the peer's.
func TestDeadPeerAsksNobodyClosed(t *testing.T) {
	w := newWorld(t)
	w.Process(42, "/user.slice", hostNS)
	p := w.Peer(42)
	w.Container(mon, 42, "/docker/"+mon, containerNS(1))
	w.Late(mon)
	w.File("42/stat", strings.Replace(string(w.Proc["42/stat"].Data), " 420 ", " 999 ", 1))
	if got := w.begin(Options{}).Attest(t.Context(), p); got.Kind != Unknown || len(w.Asked) > 0 {
		t.Errorf("%+v; asked about %v", got, w.Asked)
	}
}

func TestExitDuringTheLookClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(mon, 41, "/docker/"+mon, containerNS(1))
	w.Process(42, "/docker/"+mon, containerNS(1))
	w.Late(mon)
	a := w.begin(Options{})
	p := w.Peer(42)
	w.OnAsk = func() { w.Stat(42, "Z", 0) }
	w.is(a.Attest(t.Context(), p), "exited")
}

// TestExitingWithoutNamespacesClosed: a process that exits has given its namespaces
// back, and its files may keep it so for long; a root that may move it can have put it anywhere.
func TestExitingWithoutNamespacesClosed(t *testing.T) {
	w := newWorld(t)
	w.Container(web, 1000, "/docker/"+web, containerNS(1))
	w.Process(4242, "/docker/"+web, "")
	a := w.begin(Options{CgroupsAlone: true})
	w.is(a.Attest(t.Context(), w.Peer(4242)), web) // as without CAP_SYS_PTRACE
	w.Stat(4242, "D", procfs.FlagExiting)
	w.is(a.Attest(t.Context(), w.Peer(4242)), "has exited")
	w.Process(4242, "/docker/"+web, containerNS(1))
	w.Stat(4242, "D", procfs.FlagExiting)
	w.is(a.Attest(t.Context(), w.Peer(4242)), web) // whoever asks and exits at once was seen with all of them
}

// TestWhetherItExitsCannotBeTold: is why it is unknown, and no sign that it has.
func TestWhetherItExitsCannotBeToldClosed(t *testing.T) {
	w := newWorld(t)
	w.Process(42, "/user.slice", "")
	b := &broken{ReadLinkFS: w.Proc, err: syscall.EMFILE}
	proc := procfs.New(b)
	a := w.begin(Options{CgroupsAlone: true, Proc: &proc})
	if err := a.exiting(42); err != nil {
		t.Error(err)
	}
	b.name = "42/stat"
	if err := a.exiting(42); !errors.Is(err, syscall.EMFILE) || errors.Is(err, procfs.ErrDead) {
		t.Error(err)
	}
}

// broken is a /proc of which one file cannot be opened.
type broken struct {
	fs.ReadLinkFS
	name string
	err  error
	hit  bool
}

func (b *broken) Open(name string) (fs.File, error) {
	if name == b.name {
		b.hit = true
		return nil, &fs.PathError{Op: "open", Path: name, Err: b.err}
	}
	return b.ReadLinkFS.Open(name)
}

func (b *broken) ReadFile(name string) ([]byte, error) {
	if name == b.name {
		b.hit = true
		return nil, &fs.PathError{Op: "open", Path: name, Err: b.err}
	}
	return fs.ReadFile(b.ReadLinkFS, name)
}

func (b *broken) ReadLink(name string) (string, error) {
	if name == b.name {
		b.hit = true
		return "", &fs.PathError{Op: "readlink", Path: name, Err: b.err}
	}
	return b.ReadLinkFS.ReadLink(name)
}

// TestCauseReachesTheCallerClosed: whatever cannot be read of a process, or of its container's
// init, is why it is unknown, and never taken for the process's end or for another answer.
func TestCauseReachesTheCallerClosed(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EIO} {
		for _, name := range []string{"42/stat", "42/cgroup", "42/ns/mnt", "42/ns/pid", "42/ns/user", "41/stat", "41/cgroup"} {
			w := newWorld(t)
			w.Container(mon, 41, "/docker/"+mon, containerNS(1))
			w.Process(42, "/docker/"+mon, containerNS(1))
			b := &broken{ReadLinkFS: w.Proc, err: cause}
			proc := procfs.New(b)
			late := name == "41/cgroup" // read once, when the Engine tells of it
			if late {
				w.Late(mon)
			}
			a := w.begin(Options{Proc: &proc})
			p := peercred.FromStartTime(proc, 42, 0, 0, nil)
			b.name = name
			got := a.Attest(t.Context(), p)
			if got.Kind != Unknown || !errors.Is(got.Err, cause) || !b.hit {
				t.Errorf("%s is %v: kind %v, because %v", name, cause, got.Kind, got.Err)
			}
			if blamed := strings.Contains(fmt.Sprint(got.Err), "CAP_SYS_PTRACE"); blamed && procfs.Exhausted(cause) {
				t.Errorf("%s is %v, and a capability is blamed: %v", name, cause, got.Err)
			}
			if !late && len(w.Asked) > 0 {
				t.Errorf("%s is %v: the Engine was asked, which cannot know", name, cause)
			}
			b.name = ""
			w.is(a.Attest(t.Context(), p), mon)
		}
	}
}
