package procfs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const stat = "42 (sh) S 1 42 42 0 -1 4194560 109 0 0 0 0 0 0 0 20 0 1 0 78707 2600960 1 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		line string
		want Stat
	}{
		"shell":                  {stat, Stat{PID: 42, State: 'S', PPID: 1, Flags: 4194560, Start: 78707}},
		"comm imitates a zombie": {strings.Replace(stat, "(sh)", "(a) Z 9 (b)", 1), Stat{PID: 42, State: 'S', PPID: 1, Flags: 4194560, Start: 78707}},
		"comm with a line end":   {strings.Replace(stat, "(sh)", "(a\n7 (x)", 1), Stat{PID: 42, State: 'S', PPID: 1, Flags: 4194560, Start: 78707}},
		"kthreadd": {
			"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0 18446744073709551615\n",
			Stat{PID: 2, State: 'S', Flags: 2129984, Start: 24},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.line))
			if err != nil || got != tt.want {
				t.Errorf("parseStat = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{
		"", "42", "42 (sh", "42 (sh) S", "x (sh) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 1", ") (",
		"42 (sh) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0", // one field less than it needs
		strings.Replace(stat, " S ", " SS ", 1), strings.Replace(stat, "42 (sh)", "(sh)", 1),
		strings.Replace(stat, "(sh)", "(sh", 1), strings.Replace(stat, "(sh)", ")sh(", 1),
	} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, s)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	got, err := parseCgroups([]byte("4:memory:/a:b c\n3:cpu,cpuacct:/\n2:name=systemd:/../x\n0::/docker/1\n"))
	want := []Cgroup{{"memory", "/a:b c"}, {"cpu,cpuacct", "/"}, {"name=systemd", "/../x"}, {"", "/docker/1"}}
	if err != nil || len(got) != len(want) {
		t.Fatalf("parseCgroups = %v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: %v, want %v", i, got[i], want[i])
		}
	}
	for _, bad := range []string{"", "\n", "1", "1:/", "0::/" + strings.Repeat("x", 70_000), "0::/ok\n1:x:/" + strings.Repeat("x", 70_000), "1:memory", "memory:/", "x:memory:/", "1:memory:relative", "1:cpu:/\n2:cpu:/x"} {
		if c, err := parseCgroups([]byte(bad)); err == nil {
			t.Errorf("parseCgroups(%q) = %v, want an error", bad, c)
		}
	}
}

func TestParseStatus(t *testing.T) {
	s, err := parseStatus([]byte("Name:\tx\\nUid:\t0\nUid:\t1000\t1001\t1000\t1000\nNSpid:\t77\t1\n"))
	if err != nil || s.EUID != 1001 || len(s.NSpid) != 2 || s.NSpid[0] != 77 {
		t.Errorf("parseStatus = %+v, %v", s, err)
	}
	const uids = "Uid:\t1\t1\t1\t1\n"
	for signals, killed := range map[string]bool{
		"": false, "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n": false, "SigPnd:\t00000000000000ff\n": false,
		"SigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n": true, "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n": true,
	} {
		if s, err := parseStatus([]byte(uids + signals)); err != nil || s.Killed != killed {
			t.Errorf("%q: killed %v, %v", signals, s.Killed, err)
		}
	}
	for _, bad := range []string{"", uids + "SigPnd:\tx\n", "Uid:\t1\n", "Uid:\tx\tx\tx\tx\n", "Uid:\t1\t1\t1\t1\nUid:\t0\t0\t0\t0\n", "Uid:\t1\t1\t1\t1\nNSpid:\tx\n"} {
		if s, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("parseStatus(%q) = %+v, want an error", bad, s)
		}
	}
}

func tree(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, content := range files {
		f := &fstest.MapFile{Data: []byte(content)}
		if strings.Contains(name, "/ns/") {
			f.Mode = fs.ModeSymlink
		}
		out[name] = f
	}
	return out
}

// changing answers with another stat file from the second look on.
type changing struct {
	fstest.MapFS
	later string
	looks *int
}

func (c changing) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/stat") {
		if *c.looks++; *c.looks > 1 {
			return fstest.MapFS{name: {Data: []byte(c.later)}}.Open(name)
		}
	}
	return c.MapFS.Open(name)
}

func (c changing) ReadFile(name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.Read(b)
	return b[:n], err
}

func TestProcess(t *testing.T) {
	files := tree(map[string]string{
		"42/stat": stat, "42/cgroup": "0::/docker/1\n",
		"42/ns/user": "user:[1]", "42/ns/pid": "pid:[2]", "42/ns/mnt": "mnt:[3]",
	})
	p, err := New(files).Process(42)
	if err != nil || p.Start != 78707 || p.Cgroups[0].Path != "/docker/1" || p.Namespaces != (Namespaces{"user:[1]", "pid:[2]", "mnt:[3]"}) {
		t.Errorf("Process = %+v, %v", p, err)
	}

	delete(files, "42/ns/mnt")
	p, err = New(files).Process(42)
	if err != nil || p.NamespacesErr == nil || p.Namespaces != (Namespaces{}) {
		t.Errorf("without a readable namespace: %+v, %v", p, err)
	}
}

func TestProcessClosed(t *testing.T) {
	files := tree(map[string]string{"42/stat": stat, "42/cgroup": "0::/\n"})
	for name, tt := range map[string]struct {
		later string
		want  error
	}{
		"zombie afterwards":          {strings.Replace(stat, " S ", " Z ", 1), ErrDead},
		"dead afterwards":            {strings.Replace(stat, " S ", " X ", 1), ErrDead},
		"another process afterwards": {strings.Replace(stat, "78707", "78708", 1), ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := New(changing{files, tt.later, new(int)}).Process(42); !errors.Is(err, tt.want) {
				t.Errorf("Process = %+v, %v, want %v", p, err, tt.want)
			}
		})
	}
	for what, damage := range map[string]func(){
		"exited before":    func() { files["42/stat"] = &fstest.MapFile{Data: []byte(strings.Replace(stat, " S ", " Z ", 1))} },
		"without cgroups":  func() { delete(files, "42/cgroup") },
		"without a number": func() { files["42/cgroup"] = &fstest.MapFile{Data: []byte("nonsense")} },
	} {
		was := maps.Clone(files)
		damage()
		if p, err := New(changing{files, stat, new(int)}).Process(42); err == nil || (what == "exited before") != errors.Is(err, ErrDead) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
		files = was
	}
	if p, err := New(changing{files, "nonsense", new(int)}).Process(42); err == nil || errors.Is(err, ErrChanged) {
		t.Errorf("nonsense afterwards: %+v, %v", p, err)
	}
	for _, pid := range []int{0, -1} {
		name := strconv.Itoa(pid)
		odd := tree(map[string]string{name + "/stat": strings.Replace(stat, "42", name, 1), name + "/cgroup": "0::/\n"})
		if _, err := New(odd).Process(pid); err == nil {
			t.Errorf("pid %d has facts", pid)
		}
	}
	files["43/stat"] = files["42/stat"]
	if _, err := New(files).Stat(43); err == nil {
		t.Error("a stat file that speaks of another pid was believed")
	}
}

func TestOverflowIDs(t *testing.T) {
	if uid := New(tree(map[string]string{"sys/kernel/overflowuid": "nobody\n"})).OverflowUID(); uid != 65534 {
		t.Errorf("%d of what is no number", uid)
	}
	p := New(tree(map[string]string{"sys/kernel/overflowuid": "4000\n"}))
	if uid, gid := p.OverflowUID(), p.OverflowGID(); uid != 4000 || gid != 65534 {
		t.Errorf("overflow ids %d and %d, want 4000 as configured and 65534 for want of a file", uid, gid)
	}
}

func TestOwnProcess(t *testing.T) {
	p := New(os.DirFS("/proc"))
	self, err := p.Self()
	if err != nil || self != os.Getpid() {
		t.Fatalf("Self = %d, %v, want %d", self, err, os.Getpid())
	}
	facts, err := p.Process(self)
	if err != nil || facts.NamespacesErr != nil || len(facts.Cgroups) == 0 || facts.PPID != os.Getppid() {
		t.Errorf("Process = %+v, %v", facts, err)
	}
	if s, err := p.Status(self); err != nil || int(s.EUID) != os.Geteuid() {
		t.Errorf("Status = %+v, %v", s, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(stat))
	f.Add([]byte("1 (a) b) R 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil && s != (Stat{}) {
			t.Errorf("an error and facts: %+v", s)
		}
	})
}

func FuzzParseCgroups(f *testing.F) {
	f.Add([]byte("4:memory:/a:b c\n0::/\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := parseCgroups(b)
		if err != nil {
			return
		}
		for _, l := range lines {
			if !strings.HasPrefix(l.Path, "/") || strings.ContainsAny(l.Path, "\n") || strings.Contains(l.Hierarchy, ":") {
				t.Errorf("line %+v", l)
			}
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Uid:\t1000\t1001\t1000\t1000\nNSpid:\t77\t1\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseStatus(b) })
}

func BenchmarkProcess(b *testing.B) {
	p := New(os.DirFS("/proc"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Process(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStat(b *testing.B) {
	p := New(os.DirFS("/proc"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Stat(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}
