package procfs

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3469      34    0    0    0     0          0         0     3469      34    0    0    0     0       0          0
  eth0:18699348   36269    1    2    3     4          5         6     7777      88    9   10   11    12      13         14
`

func TestNetDev(t *testing.T) {
	got, err := ParseNetDev([]byte(netDev), nil)
	want := []Interface{
		{Name: "lo", Rx: Traffic{Bytes: 3469, Packets: 34}, Tx: Traffic{Bytes: 3469, Packets: 34}},
		{Name: "eth0", Rx: Traffic{18699348, 36269, 1, 2, 3}, Tx: Traffic{7777, 88, 9, 10, 11}},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, error %v", got, err)
	}
	if most, err := ParseNetDev([]byte("a\nb\neth1:18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"), slices.Clone(got)); err != nil || len(most) != 1 || most[0].Name != "eth1" || most[0].Rx.Bytes != 1<<64-1 {
		t.Errorf("in the memory of others: %+v, %v", most, err)
	}
	if n := testing.AllocsPerRun(10, func() { got, _ = ParseNetDev([]byte(netDev), got) }); n > 1 { // the conversion above
		t.Errorf("%v allocations", n)
	}
	for _, bad := range []string{
		"a\nb\neth0 1 2\n", "a\nb\neth0: 1 2\n", "a\nb\n: 1\n", "a\nb\n: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
		"a\nb\neth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16x\n",
		"a\nb\neth0: 1 2 3 4 5 6 7 8x 9 10 11 12 13 14 15 16\n", "a\nb\neth0: 18446744073709551616 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
		"a\nb\neth0: 1 2 3 4 5 6 7 x 9 10 11 12 13 14 15 16\n",
	} {
		if _, err := ParseNetDev([]byte(bad), nil); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}

// TestOneBadRowIsOneBadRow: what comes before and after it is read.
func TestOneBadRowIsOneBadRow(t *testing.T) {
	rows := strings.SplitAfter(strings.TrimSpace(netDev), "\n")
	want, err := ParseNetDev([]byte(netDev), nil)
	if err != nil {
		t.Fatal(err)
	}
	for at := 2; at <= len(rows); at++ {
		for _, bad := range []string{"eth1: 1 2\n", "odd\n", ": 1\n", "\n"} {
			file := strings.Join(slices.Insert(slices.Clone(rows), at, bad), "")
			if at == len(rows) {
				file = netDev + bad
			}
			if got, err := ParseNetDev([]byte(file), nil); err == nil || !slices.Equal(got, want) {
				t.Errorf("%q: %v, error %v", file, got, err)
			}
		}
	}
	root := fstest.MapFS{
		"42/net/route": {Data: []byte("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\nodd\neth0\tx\tx\t0\t0\t0\t0\tx\n" +
			"eth0\t000011AC\t00000000\t0001\t0\t0\t0\n" +
			"eth0\tzz0011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
			"eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n")},
		"42/net/if_inet6": {Data: []byte("odd\nxx 01 80 10 80 lo\n00000000000000000000000000000001 01 80 10 80\n" +
			"fd0000000000000000000000000002 05 40 00 80 eth0\nfd000000000000000000000000000002zz 05 40 00 80 eth0\n" +
			"00000000000000000000000000000001 01 80 10 80       lo\n")},
	}
	if got, err := New(root).Addresses(42); err == nil || !strings.HasPrefix(err.Error(), "parse addresses of pid 42: ") || len(got) != 2 {
		t.Errorf("got %v, error %v", got, err)
	}
}

// TestAddresses: an interface in two subnets, one with a gateway behind it, and one with IPv6.
func TestAddresses(t *testing.T) {
	root := fstest.MapFS{
		"42/net/route": {Data: []byte("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
			"eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
			"eth0\t000013AC\t010011AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n" + // behind a gateway
			"ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" + // to everywhere
			"ppp0\t010014AC\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n" +
			"eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
			"eth1\t000012AC\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n")},
		"42/net/if_inet6": {Data: []byte("00000000000000000000000000000001 01 80 10 80       lo\n" +
			"fd000000000000000000000000000002 05 40 00 80     eth0\n")},
		"43/net/route": {Data: []byte("Iface\n")},
	}
	want := []Address{
		{"ppp0", netip.MustParsePrefix("172.20.0.1/32")},
		{"eth0", netip.MustParsePrefix("172.17.0.0/16")},
		{"eth1", netip.MustParsePrefix("172.18.0.0/20")},
		{"lo", netip.MustParsePrefix("::1/128")},
		{"eth0", netip.MustParsePrefix("fd00::2/128")},
	}
	if got, err := New(root).Addresses(42); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, error %v", got, err)
	}
	if got, err := New(root).Addresses(43); err != nil || len(got) != 0 { // network none, no IPv6
		t.Errorf("got %v, error %v", got, err)
	}
	if _, err := New(root).Addresses(44); err == nil {
		t.Error("no process is no error")
	}
}

func TestHostFacts(t *testing.T) {
	root := fstest.MapFS{
		"stat":       {Data: []byte("cpu  1 2 3\ncpu0 1 2 3\ncpu11 1 2 3\nintr 5\n")},
		"partitions": {Data: []byte("major minor  #blocks  name\n\n 254        0  268435456 vda\n   8        1  1 sda1\n")},
	}
	if n, err := New(root).CPUs(); n != 2 || err != nil {
		t.Errorf("%d processors, error %v", n, err)
	}
	if m, err := New(root).BlockDevices(); m[Device{254, 0}] != "vda" || m[Device{8, 1}] != "sda1" || len(m) != 2 || err != nil {
		t.Errorf("block devices %v, error %v", m, err)
	}
	root["vmstat"] = &fstest.MapFile{Data: []byte("nr_free_pages 5\noom_kill 11\nlast 1\n")}
	if n, err := New(root).OOMKills(); n != 11 || err != nil {
		t.Errorf("%d kills, error %v", n, err)
	}
	if _, err := New(fstest.MapFS{}).CPUs(); err == nil {
		t.Error("no stat is no error")
	}
}

// TestFile reads this very process, and files of every size.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "7", "net", "dev")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	f := NetDev(dir, 7)
	if _, err := f.Read(nil); !os.IsNotExist(err) && err == nil {
		t.Errorf("error %v", err)
	}
	var buf []byte
	for _, size := range []int{0, 1, 4095, 4096, 4097, 70000} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if buf, err = f.Read(buf); err != nil || len(buf) != size {
			t.Errorf("read %d bytes of %d, error %v", len(buf), size, err)
		}
	}
	if n := testing.AllocsPerRun(10, func() { buf, _ = f.Read(buf) }); n != 0 {
		t.Errorf("%v allocations a reading", n)
	}
}

func TestOpenFiles(t *testing.T) {
	before, err := OpenFiles("/proc", os.Getpid())
	if err != nil || before == 0 {
		t.Fatalf("%d open files, error %v", before, err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after, err := OpenFiles("/proc", os.Getpid()); err != nil || after <= 0 {
		t.Errorf("%d open files after %d, error %v", after, before, err)
	}
	if _, err := OpenFiles(t.TempDir(), 1); err == nil {
		t.Error("no process is no error")
	}
}

func FuzzParseNetDev(f *testing.F) {
	f.Add([]byte(netDev))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseNetDev(b, nil)
		again, err2 := ParseNetDev(b, slices.Clone(got))
		if (err == nil) != (err2 == nil) || !slices.Equal(got, again) {
			t.Errorf("%v, then %v", got, again)
		}
	})
}
