package identity

import (
	"io/fs"
	"strconv"
	"testing"
	"testing/fstest"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
)

// TestProcessIsSaidOfTheHostsAliveClosed: what /proc says of a number counts only if the pinned process lives after it was read.
func TestProcessIsSaidOfTheHostsAliveClosed(t *testing.T) {
	peer := self(t)
	pid := strconv.Itoa(peer.PID)
	proc := func(login string) procfs.FS {
		return procfs.New(fstest.MapFS{
			pid + "/exe":      {Data: []byte("/usr/bin/curl"), Mode: fs.ModeSymlink},
			pid + "/loginuid": {Data: []byte(login)},
		})
	}
	host := &fake{attested: attest.Attestation{Kind: attest.Host, UID: new(uint32)}}
	ask := func(f *fake, p *peercred.Peer, login string) *Process {
		i := New(f, f, nil)
		i.ShowProcesses(proc(login))
		return i.Identify(t.Context(), NewUnix("agents", p)).Process
	}
	if is := ask(host, peer, "1000\n"); is == nil || is.Exe != "/usr/bin/curl" || is.LoginUID == nil || *is.LoginUID != 1000 {
		t.Errorf("%+v", is)
	}
	if is := ask(host, peer, "4294967295"); is == nil || is.LoginUID != nil {
		t.Errorf("nobody logged in: %+v", is)
	}
	if is := ask(inContainer(monitor()), peer, "1000"); is != nil {
		t.Errorf("of a container: %+v", is)
	}
	if is := New(host, host, nil).Identify(t.Context(), NewUnix("agents", peer)).Process; is != nil {
		t.Errorf("nobody reads processes: %+v", is)
	}
	gone := peercred.FromStartTime(procfs.New(fstest.MapFS{}), peer.PID, 0, 0, nil)
	if is := ask(host, gone, "1000"); is != nil {
		t.Errorf("of a process that is gone: %+v", is)
	}
}
