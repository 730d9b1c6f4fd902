package dogstatsd

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/internal/kernel/unixsocket"
	"vitrine/test/wait"
)

func TestTransports(t *testing.T) {
	x := serve(t, Config{})
	packet := "a:1|c\nb:2|g\r\n\n_sc|db|2\n_e{1,1}:t|x\n"
	for network, address := range map[string]string{"unixgram": x.cfg.Datagram.Path, "unix": x.cfg.Stream.Path, "udp": x.UDPAddr()} {
		send(t, network, address, packet)
	}
	got := x.sink.wait(t, 12)
	slices.Sort(got)
	want := []string{}
	for _, from := range []string{"kernel", "kernel", "none"} { // we are a host process ourselves
		for _, what := range []string{"count a", "gauge b", "check db critical", "event t"} {
			want = append(want, what+" from "+from)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for _, name := range []string{"dogstatsd.uds_packets", "dogstatsd.udp_packets"} {
		if n := x.telemetry(name, "state:ok"); n != 2 && name == "dogstatsd.uds_packets" || n == 0 {
			t.Errorf("%s: %v", name, n)
		}
	}
	if n := x.telemetry("dogstatsd.processed", "message_type:metrics", "state:ok"); n != 6 {
		t.Errorf("processed metrics: %v", n)
	}
}

func TestBadLineCostsItselfAlone(t *testing.T) {
	x := serve(t, Config{})
	send(t, "unixgram", x.cfg.Datagram.Path, "a:1|c\nrubbish\n:1|c\nb:x|c\nb:1|c|@0\n\x00\xff\xfe\nc:3|c")
	if got := x.sink.wait(t, 2); !slices.Equal(got, []string{"count a from kernel", "count c from kernel"}) {
		t.Errorf("got %q", got)
	}
	if n := x.telemetry("dogstatsd.processed", "state:error"); n != 5 {
		t.Errorf("%v lines refused", n)
	}
	for _, e := range x.Examples() {
		if e.Line == "" || e.Origin.Source != SourceKernel {
			t.Errorf("example %+v", e)
		}
	}
	if len(x.Examples()) != 4 {
		t.Errorf("examples: %+v", x.Examples())
	}
}

func TestRubbish(t *testing.T) {
	x := serve(t, Config{})
	rubbish := make([]byte, 8192)
	for i := range rubbish {
		rubbish[i] = byte(i*7 + i>>3)
	}
	send(t, "unixgram", x.cfg.Datagram.Path, string(rubbish))
	send(t, "unixgram", x.cfg.Datagram.Path, strings.Repeat("\n", 8192))
	send(t, "unixgram", x.cfg.Datagram.Path, "")
	send(t, "unixgram", x.cfg.Datagram.Path, "a:1|c")
	x.sink.wait(t, 1)
}

func TestLongDatagramLosesItsLastLine(t *testing.T) {
	x := serve(t, Config{MaxPacket: 20})
	send(t, "unixgram", x.cfg.Datagram.Path, "a:1|c\nb:1|c\nccccccccc:1|c")
	send(t, "unixgram", x.cfg.Datagram.Path, strings.Repeat("d", 30)+":1|c")
	send(t, "unixgram", x.cfg.Datagram.Path, "e:1|c")
	got := x.sink.wait(t, 3)
	if !slices.Equal(got, []string{"count a from kernel", "count b from kernel", "count e from kernel"}) {
		t.Errorf("got %q", got)
	}
	if n := x.telemetry("dogstatsd.uds_packets", "state:error"); n != 2 {
		t.Errorf("%v truncated", n)
	}
}

func TestStreamBrokenOff(t *testing.T) {
	x := serve(t, Config{})
	c, err := net.Dial("unix", x.cfg.Stream.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write(append(frame("a:1|c"), 0xff, 0xff, 0xff, 0x7f, 'x'))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("a connection that lost its framing is kept: %v", err)
	}
	send(t, "unix", x.cfg.Stream.Path, "b:1|c")
	x.sink.wait(t, 2)
}

func TestConnectionsOfOneOriginAreLimited(t *testing.T) {
	x := serve(t, Config{MaxConns: 16})
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("unix", x.cfg.Stream.Path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(frame("a:1|c"))
		open = append(open, c)
	}
	x.sink.wait(t, 2)
	wait.Until(t, "the third connection is refused", func() bool { return x.telemetry("dogstatsd.uds_connections_refused") == 1 })
	for _, c := range open {
		_ = c.Close()
	}
}

// TestConnectionsOfOneAreNotAnothers: who has all that it may have, before it is
// known who it is, takes none from another.
func TestConnectionsOfOneAreNotAnothers(t *testing.T) {
	c := New(Config{MaxConns: 16}, nil, nil).conns
	for i, tt := range []struct {
		group string
		want  bool
	}{{"flooder", true}, {"flooder", true}, {"flooder", false}, {"another", true}} {
		if got := c.Add(tt.group); got != tt.want {
			t.Errorf("connection %d, of %s: accepted %v", i, tt.group, got)
		}
	}
	c.Remove("flooder")
	if !c.Add("flooder") {
		t.Error("a place that was given back cannot be had")
	}
	few := New(Config{MaxConns: 2}, nil, nil).conns
	if !few.Add("a") || !few.Add("b") || few.Add("a third") {
		t.Error("not as many as there may be in all")
	}
}

func TestUDPLossIsCounted(t *testing.T) {
	x := listen(t, Config{ReceiveBuffer: 4096})
	c, err := net.Dial("udp", x.UDPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const sent = 500
	for range sent {
		_, _ = c.Write([]byte("a:1|c"))
	}
	x.serve()
	x.sink.wait(t, 1)
	wait.Until(t, "each datagram is received or counted as lost", func() bool {
		_, _ = c.Write([]byte("b:1|c")) // its news come with the next datagram
		lost := x.telemetry("dogstatsd.udp_packets_lost")
		x.sink.Lock()
		defer x.sink.Unlock()
		return lost > 0 && x.sink.sums["a from none"]+lost == sent
	})
}

func TestSocketPathIsAFileClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Config{Datagram: unixsocket.File{Path: path}}, &fakeAttestor{}, &recorder{})
	if err := s.Listen(); err == nil {
		t.Fatal("a file was replaced by a socket")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file was touched")
	}
}

func TestRestartUnderLoad(t *testing.T) {
	x := serve(t, Config{})
	c, err := net.Dial("unixgram", x.cfg.Datagram.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	sent := 0
	for range 100 {
		if _, err := c.Write([]byte("a:1|c")); err == nil {
			sent++
		}
	}
	x.stop() // what the kernel held is read or gone, but never read twice
	x.sink.Lock()
	got := x.sink.sums["a from kernel"]
	x.sink.Unlock()
	if got > float64(sent) {
		t.Errorf("%v of %v", got, sent)
	}
	if _, err := c.Write([]byte("a:1|c")); err == nil {
		t.Error("the sender is not told that nobody listens")
	}
}

// TestFullQueueIsNoticed, however much it holds: a batch is no more than a part of a large one.
func TestFullQueueIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		queue   int
		batches []int
		want    uint64
	}{
		{10, []int{10, 3}, 0},
		{10, []int{11}, 1},
		{64, []int{64, 1}, 1},
		{512, []int{64, 64, 64, 64, 64, 64, 64, 64}, 0},
		{512, []int{64, 64, 64, 64, 64, 64, 64, 64, 1, 64, 64}, 1},
		{0, []int{64, 64}, 0}, // not known
	} {
		r := &receiver{queue: tt.queue, counts: &transport{}}
		for _, n := range tt.batches {
			r.watchQueue(n)
		}
		if got := r.counts.full.Load(); got != tt.want {
			t.Errorf("a queue of %d, read in batches of %v: full %d times, want %d", tt.queue, tt.batches, got, tt.want)
		}
	}
}
