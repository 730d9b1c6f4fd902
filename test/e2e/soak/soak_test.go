package soak

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
)

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

const policyData = `# version %d
roles:
  worker:
    access: [ping, list, inspect, stream, content, interactive, write]
    hazards: [env, named-volume]
    own: true
    shared: {images: ["bb"], networks: [bridge, none]}
bindings:
  admin: ["unix:root", "local"]
  look: ["uid:4201", "uid:4202", "uid:4203", "uid:4204"]
  worker: ["uid:4205", "uid:4206", "uid:4207", "uid:4208"]
`

// Beside other tests it goes on for as long as this, and on a busy machine until there was enough to see.
const (
	short  = 12 * time.Second
	enough = 100 // requests
)

func TestSoak(t *testing.T) {
	took, long := short, false
	if text := os.Getenv("VITRINE_SOAK"); text != "" {
		var err error
		if took, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		long = true
	}
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	s := &soak{T: t, engine: e}
	s.process = vitrine.Start(t, vitrine.Options{Engine: e, Data: fmt.Sprintf(policyData, 0)})
	s.process.Plug(nil)
	e.Docker("create", "--name", "still", "--label", "team=blue", "--env", "TOKEN=hunter2", "bb:1", "sleep", "1000")

	ctx, cancel := context.WithTimeout(t.Context(), 20*took)
	defer cancel()
	begin := time.Now()
	var group sync.WaitGroup
	group.Go(func() {
		for pause(ctx, took) && s.asked.Load() < enough {
		}
		cancel()
	})
	for uid := 4201; uid <= 4208; uid++ {
		c := &caller{soak: s, user: vitrine.As(t, uid), name: fmt.Sprint("u", uid)}
		steps := c.looks
		if uid >= 4205 {
			steps = c.works
		}
		group.Go(func() { c.run(ctx, steps) })
	}
	group.Go(func() { s.reload(ctx, took/60) })
	group.Go(func() { s.restart(ctx, took/6) })
	samples := s.sample(ctx, took/100)
	group.Wait()

	t.Logf("%d requests in %s, %d cut off by %d restarts of the Engine, %d told to try again; %d reloads of the policy", s.asked.Load(), time.Since(begin).Round(time.Second), s.cut.Load(), s.restarts, s.again.Load(), s.reloads)
	t.Logf("at first %s; at last %s", samples[0], samples[len(samples)-1])
	if s.asked.Load() < enough {
		t.Errorf("%d requests are too few to say anything", s.asked.Load())
	}
	if again := s.again.Load(); long && again > 5+s.asked.Load()/50 { // an Engine that is slow to answer is none of our faults, but seldom
		t.Errorf("%d requests were told to try again", again)
	}
	if lost := s.metric("vitrine_audit_lost_total"); lost > 0 {
		t.Errorf("%.0f audit records are lost", lost)
	}
	if long {
		flat(t, samples)
	}
}

// soak is the Engine, our process in front of it, and what has been seen.
type soak struct {
	*testing.T
	engine  *engine.Engine
	process *vitrine.Process
	gaps
	counts
	reloads, restarts int
}

// reload writes the policy anew, every now and then.
func (s *soak) reload(ctx context.Context, every time.Duration) {
	for pause(ctx, every) {
		s.reloads++
		s.process.WritePolicy("data.yaml", fmt.Sprintf(policyData, s.reloads))
	}
}

// restart restarts the Engine, every now and then: a gap.
func (s *soak) restart(ctx context.Context, every time.Duration) {
	for pause(ctx, every) {
		s.begin()
		if err := s.engine.Restart(); err != nil {
			s.Error(err)
		}
		s.process.WaitReady()
		s.end()
		s.restarts++
	}
}

// pause reports whether there is time left after it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// metric reads one value of /metrics; a sum, if it has labels.
func (s *soak) metric(name string) (sum float64) {
	for line := range strings.Lines(s.process.Metrics()) {
		rest, ok := strings.CutPrefix(line, name)
		if fields := strings.Fields(rest); ok && len(fields) > 0 && (rest[0] == ' ' || rest[0] == '{') {
			var v float64
			if _, err := fmt.Sscan(fields[len(fields)-1], &v); err != nil {
				s.Error(err)
			}
			sum += v
		}
	}
	return sum
}
