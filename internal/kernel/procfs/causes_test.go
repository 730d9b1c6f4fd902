package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// TestCausesAreKeptClosed: of each fact that cannot be read, or is not what it should be, the error says which and why.
func TestCausesAreKeptClosed(t *testing.T) {
	odd := New(fstest.MapFS{
		"self": {Data: []byte("me"), Mode: fs.ModeSymlink}, "7/stat": {Data: []byte("7 sh")}, "7/status": {Data: []byte("Uid:\t1\n")},
		"7/cgroup": {Data: []byte("x")}, "7/ns/pid": {Data: []byte("mnt:[3]"), Mode: fs.ModeSymlink}, "7/root": {Mode: fs.ModeDir},
		"stat": {Data: []byte("cpu 1\nintr 5\n")}, "partitions": {Data: []byte("8 x 1 sda\n")}, "vmstat": {Data: []byte("oom_kill x\n")},
		"7/loginuid": {Data: []byte("x")}, "8/stat": {Data: []byte(strings.Replace(stat, "42 ", "9 ", 1))},
	})
	none := New(fstest.MapFS{"7/root": {Mode: fs.ModeDir}})
	for name, tt := range map[string]struct {
		read func(FS) error
		odd  string // what is said of the odd one; "": it is not asked
	}{
		"state":       {func(p FS) error { _, err := p.Stat(7); return err }, "parse state of pid 7: no command name"},
		"other state": {func(p FS) error { _, err := p.Stat(8); return err }, "it speaks of pid 9"},
		"status":      {func(p FS) error { _, err := p.Status(7); return err }, "parse status of pid 7: bad Uid line"},
		"cgroups":     {func(p FS) error { _, err := p.Cgroups(7); return err }, "parse cgroup membership of pid 7: bad line"},
		"namespace":   {func(p FS) error { _, err := p.Namespace(7, "pid"); return err }, "unexpected link"},
		"self":        {func(p FS) error { _, err := p.Self(); return err }, "read own pid: strconv"},
		"mounts":      {func(p FS) error { _, err := p.MountRoot(7, "/"); return err }, ""},
		"process":     {func(p FS) error { _, err := p.Process(7); return err }, "parse state of pid 7"},
		"processors":  {func(p FS) error { _, err := p.CPUs(); return err }, "no line cpu0"},
		"devices":     {func(p FS) error { _, err := p.BlockDevices(); return err }, "parse block devices: strconv"},
		"kills":       {func(p FS) error { _, err := p.OOMKills(); return err }, "count OOM kills: strconv"},
		"one root":    {func(p FS) error { _, err := p.SameRoot(9, 7); return err }, "read root directory of pid 9"},
		"other root":  {func(p FS) error { _, err := p.SameRoot(7, 9); return err }, "read root directory of pid 9"},
		"executable":  {func(p FS) error { _, err := p.Exe(9); return err }, "read the executable of pid 9"},
		"login":       {func(p FS) error { _, err := p.LoginUID(7); return err }, "read the login of pid 7: strconv"},
		"nested":      {func(p FS) error { _, err := p.WithinPIDNamespace(9, "pid:[1]"); return err }, "read parents of the PID namespace of pid 9"},
	} {
		if err := tt.read(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s that is not there: %v", name, err)
		}
		if err := tt.read(odd); tt.odd != "" && !strings.Contains(fmt.Sprint(err), tt.odd) {
			t.Errorf("%s that is odd: %v, want %s", name, err, tt.odd)
		}
	}
	if _, err := New(fstest.MapFS{"7/ns/pid": {}}).WithinPIDNamespace(7, "pid:[1]"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("not the kernel's own: %v", err)
	}
	if same, err := none.SameRoot(7, 9); same || err == nil {
		t.Errorf("of one that is gone: %v, %v", same, err)
	}
	for _, pids := range [][2]int{{7, 9}, {9, 7}, {9, 9}} {
		if same, err := New(os.DirFS(t.TempDir())).SameRoot(pids[0], pids[1]); same || err == nil {
			t.Errorf("%v: %v, %v", pids, same, err)
		}
	}
}

// TestStatesOfAProcess: which are its end, and which are about to be.
func TestStatesOfAProcess(t *testing.T) {
	for _, tt := range []struct {
		s             Stat
		dead, running bool
	}{
		{Stat{State: 'S'}, false, true},
		{Stat{State: 'R', Flags: FlagKernelThread}, false, true},
		{Stat{State: 'S', Flags: FlagExiting}, false, false},
		{Stat{State: 'Z'}, true, false},
		{Stat{State: 'X'}, true, false},
		{Stat{State: 'x'}, true, false},
	} {
		if tt.s.Dead() != tt.dead || tt.s.Running() != tt.running {
			t.Errorf("%c with flags %x: dead %v, running %v", tt.s.State, tt.s.Flags, tt.s.Dead(), tt.s.Running())
		}
	}
}

// TestWhatAnErrorMeansClosed: the process's end, our own shortage, or neither.
func TestWhatAnErrorMeansClosed(t *testing.T) {
	for err, is := range map[error][2]bool{ // gone, exhausted
		ErrDead: {true, false}, fs.ErrNotExist: {true, false}, syscall.ESRCH: {true, false}, syscall.EMFILE: {false, true}, syscall.ENFILE: {false, true},
		ErrChanged: {}, fs.ErrPermission: {}, syscall.EIO: {},
	} {
		wrapped := fmt.Errorf("read: %w", err)
		if got := [2]bool{Gone(wrapped), Exhausted(wrapped)}; got != is {
			t.Errorf("%v: gone and exhausted %v, want %v", err, got, is)
		}
	}
}

// TestMountRoot: what lies on top, at that very place.
func TestMountRoot(t *testing.T) {
	p := New(fstest.MapFS{"7/mountinfo": {Data: []byte("1 2 3 /short\n9 8 0:1 / / rw\n10 9 8:1 /below /etc/x rw\n11 9 8:1 /above /etc/x rw\n12 9 8:1 /other /etc/xy rw\n")}})
	for point, want := range map[string]string{"/": "/", "/etc/x": "/above", "/etc": ""} {
		if got, err := p.MountRoot(7, point); got != want || err != nil {
			t.Errorf("%s: %q, %v", point, got, err)
		}
	}
}

// TestProcessorsThatAreOnline are the lines with a number.
func TestProcessorsThatAreOnline(t *testing.T) {
	for text, want := range map[string]int{
		"cpu 1\ncpu0 1\ncpu9 1\n": 2, "cpu/ 1\ncpu: 1\ncpux 1\nabc3 1\nbtime1\ncpu3 1\ncpu": 1,
	} {
		if n, err := New(fstest.MapFS{"stat": {Data: []byte(text)}}).CPUs(); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

// TestWhoLoggedIn: nobody is no user.
func TestWhoLoggedIn(t *testing.T) {
	p := New(fstest.MapFS{"7/loginuid": {Data: []byte("1000\n")}, "8/loginuid": {Data: []byte("4294967295")}, "7/exe": {Data: []byte("/bin/sh"), Mode: fs.ModeSymlink}})
	if uid, err := p.LoginUID(7); err != nil || uid == nil || *uid != 1000 {
		t.Errorf("%v, %v", uid, err)
	}
	if uid, err := p.LoginUID(8); err != nil || uid != nil {
		t.Errorf("of none: %v, %v", uid, err)
	}
	if file, err := p.Exe(7); file != "/bin/sh" || err != nil {
		t.Errorf("%q, %v", file, err)
	}
}
