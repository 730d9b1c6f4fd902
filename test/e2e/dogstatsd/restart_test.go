package dogstatsd

import (
	"testing"
	"time"

	"vitrine/test/wait"
)

// TestRestart: the agent is stopped under load, and started again. Its senders go
// on; what is counted is what was sent, each message once: until then the first
// so many, from then on exactly those that the kernel has taken since.
func TestRestart(t *testing.T) {
	s := begin(t, installed)
	s.box("client", "--user", "1000")
	s.known("client")
	raw := s.start(s.host(65534, s.sender, "numbers", s.e.Path(datagram), "load"))
	clients := []*guest{
		s.start(s.docker("exec", "-i", "client", "sender", "steady", "unixgram://"+datagram, "grams")),
		s.start(s.docker("exec", "-i", "client", "sender", "steady", "unixstream://"+stream, "streams")),
	}
	load := []want{{300, 1e9, "load_total", nil}, {300, 1e9, "grams_total", nil}, {300, 1e9, "streams_total", nil}}
	page := s.expect(load...)
	page.numbered(t, 0)
	began := page.sum("process_start_time_seconds")

	s.e.Docker("stop", "monitor")
	senders := append(clients, raw)
	before := make([]float64, len(senders))
	for i, g := range senders { // nothing is taken from them meanwhile
		before[i] = g.ask()
	}
	s.e.Docker("start", "monitor")
	s.answers()
	page = s.expect(load...)
	page.numbered(t, before[2])
	if now := page.sum("process_start_time_seconds"); now <= began {
		t.Error("the restart cannot be seen")
	}

	for i, name := range []string{"grams", "streams", "load"} {
		sent := senders[i].end()
		if i < 2 {
			s.expect(is(sent-before[i], name+"_total", `container_name="client"`))
			if slowest := senders[i].last("slowest"); slowest > float64(wait.Patience(time.Second).Milliseconds()) {
				t.Errorf("Datadog's client made its program wait for %v ms", slowest)
			}
			continue
		}
		s.expect(is(sent-before[i], name+"_total")).numbered(t, before[i])
	}
}

// numbered expects that what was counted are numbers that follow each other, after
// those that came before: their count, their sum and the sum of their squares leave
// no other.
func (p page) numbered(t *testing.T, before float64) {
	t.Helper()
	n := p.sum("load_total")
	var sum, squares float64
	first := before + 1
	for i := range int(n) {
		k := first + float64(i)
		sum += k
		squares += k * k
	}
	if p.sum("load_number_total") != sum || p.sum("load_square_total") != squares {
		t.Errorf("%v messages after %v are not numbered so: %v and %v, not %v and %v",
			n, before, p.sum("load_number_total"), p.sum("load_square_total"), sum, squares)
	}
}
