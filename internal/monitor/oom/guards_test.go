package oom

import (
	"testing"
	"time"

	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/kernel/kmsg"
)

func yes() bool { return true }

// TestCounter: what rises since the last reading counts, and what went back has begun anew; without a counter nothing is known.
func TestCounter(t *testing.T) {
	l := newLife()
	l.Read(l.now, n(5), cgroup.Value{}, yes)
	l.Read(l.now, n(7), cgroup.Value{}, yes)
	if l.waiting != 7 || l.state() != counted {
		t.Errorf("%d wait after 5 and then 2", l.waiting)
	}
	l.Read(l.now, n(3), cgroup.Value{}, yes)
	if l.waiting != 10 {
		t.Errorf("%d wait after the counter went back to 3", l.waiting)
	}
	before := *l.Container
	l.Read(l.now.Add(time.Hour), cgroup.Value{N: 99}, cgroup.Value{}, yes)
	if l.waiting != before.waiting || len(l.verdicts) != 0 {
		t.Error("a counter that could not be read counts")
	}
	l.Read(l.now.Add(SettleAfter), n(3), cgroup.Value{}, yes)
	if len(l.verdicts) != 1 || l.verdicts[0].Kills != 10 {
		t.Errorf("%+v just when a kill has waited", l.verdicts)
	}
}

// TestOldIsWhatTheFirstReadingHas of a container that ran before the monitor.
func TestOldIsWhatTheFirstReadingHas(t *testing.T) {
	l := newLife()
	l.Begin(start.Add(-time.Hour))
	l.read() // nothing
	l.kills++
	l.read()
	l.read()
	if len(l.verdicts) != 1 || l.verdicts[0].Old {
		t.Errorf("%+v", l.verdicts)
	}
	l = newLife()
	l.Begin(start.Add(time.Hour))
	l.kills++
	l.read()
	if len(l.verdicts) != 0 {
		t.Errorf("%+v at the first reading of a container that began after the monitor", l.verdicts)
	}
}

// TestGroup: a whole cgroup was killed if the kernel's counter of those rose, and that holds for the kills that wait.
func TestGroup(t *testing.T) {
	l := newLife()
	read := func(kills, groups uint64) {
		l.now = l.now.Add(2 * SettleAfter)
		l.Read(l.now, n(kills), n(groups), yes)
	}
	read(1, 0)
	read(1, 0)
	read(3, 1)
	read(3, 1)
	read(4, 1)
	read(4, 1)
	l.Die(l.now, 0)
	if len(l.verdicts) != 3 || l.verdicts[0].Group || !l.verdicts[1].Group || l.verdicts[2].Group {
		t.Errorf("%+v", l.verdicts)
	}
}

// TestNothingOfAnEarlierLifeStays: neither kills, nor victims, nor that PID 1 outlived some.
func TestNothingOfAnEarlierLifeStays(t *testing.T) {
	l := in(t, survived)
	l.Victim(kmsg.Victim{Name: "before"})
	l.kills++
	l.read()
	l.group = true
	l.Begin(l.now)
	if len(l.verdicts) != 1 || !l.verdicts[0].Missed || l.state() != quiet || l.victims != nil || l.group || l.old {
		t.Errorf("%s, %+v, %+v", l.state(), l.verdicts, l.Container)
	}
	l.Inspect(l.now, true) // its OOMKilled is of this life
	if len(l.verdicts) != 2 || l.verdicts[1].PID1Alive {
		t.Errorf("%+v", l.verdicts)
	}
}

// TestOomEventThatTheCounterDoesNotAccountFor: it was not read after the event, kills wait, or the event is of an earlier life.
func TestOomEventThatTheCounterDoesNotAccountFor(t *testing.T) {
	for name, tt := range map[string]struct {
		tell func(l *life)
		told bool
	}{
		"it accounts for it": {func(l *life) { l.Oom(l.now, true) }, false},
		"it was not read":    {func(l *life) { l.Oom(l.now, false) }, true},
		"kills wait":         {func(l *life) { l.kills++; l.read(); l.Oom(l.now, true) }, true},
		"of an earlier life": {func(l *life) { l.Oom(l.began, true) }, true},
	} {
		l := in(t, survived)
		tt.tell(l)
		if told := !l.reported.IsZero(); told != tt.told {
			t.Errorf("%s: the event counts: %v", name, told)
		}
	}
}

// TestExitCodeThatNobodyKnows is SIGKILL's if something tells of an OOM, and no ground for suspicion.
func TestExitCodeThatNobodyKnows(t *testing.T) {
	for s, want := range map[state]string{quiet: "quiet", reported: "quiet: 1 fatal", counted: "quiet: 1 fatal", survived: "survived"} {
		l := in(t, s)
		if !l.Die(l.now, CodeUnknown) {
			t.Errorf("%s: it is no news", s)
		}
		if got := l.cell(); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}

// TestInspectOfWhatNobodyWatched says nothing new, and neither does one that is no OOM.
func TestInspectOfWhatNobodyWatched(t *testing.T) {
	c := NewHost(start).Watch(func(v Verdict) { t.Errorf("%+v", v) })
	c.Inspect(start, true)
	c.Start()
	c.Inspect(start, false)
	c.Inspect(start, true) // the next look at the same end
	var got []Verdict
	c = NewHost(start).Watch(func(v Verdict) { got = append(got, v) })
	c.Start()
	c.Inspect(start, true)
	if len(got) != 1 || got[0].Kills != 1 || got[0].PID1Alive || !got[0].At.Equal(start) {
		t.Errorf("%+v of a container that an event told of", got)
	}
}

// TestKillsThatWaitAreFatalByInspect, though PID 1 outlived others.
func TestKillsThatWaitAreFatalByInspect(t *testing.T) {
	l := in(t, survived)
	l.kills++
	l.read()
	l.Inspect(l.now, true)
	if len(l.verdicts) != 1 || l.verdicts[0].PID1Alive || len(l.host.suspects) != 0 {
		t.Errorf("%+v, %d suspects", l.verdicts, len(l.host.suspects))
	}
}

// TestEventsOfSeveralEnds: an event is of the first end before it that had none; an inspect's end has its event within half a minute.
func TestEventsOfSeveralEnds(t *testing.T) {
	l := newLife()
	l.Inspect(l.now, true) // whose event is late
	if first := l.Die(l.now.Add(-time.Minute), 0); !first {
		t.Error("an event of before is taken for it")
	}
	if first := l.Die(l.now.Add(time.Second), CodeKilled); first {
		t.Error("its own event is taken for another end")
	}
	if first := l.Die(l.now.Add(2*time.Second), 0); !first {
		t.Error("the next event is taken for the same end")
	}
	l = newLife()
	l.Die(l.now, 0)
	for after, same := range map[time.Duration]bool{0: true, time.Second: true, EventLead - 1: true, EventLead: false, -time.Second: false} {
		if d := l.deathAt(l.now.Add(-after)); (d != nil) != same {
			t.Errorf("an end %v before the event is its: %v", after, d != nil)
		}
	}
}

// TestOneWholeContainerKilledIsForgottenAfterACollection: and kills that are nobody's convict again.
func TestOneWholeContainerKilledIsForgottenAfterACollection(t *testing.T) {
	l := newLife()
	other := l.host.Watch(func(Verdict) {})
	other.KilledAsOne(true)
	other.Oom(l.now, false)
	other.Die(l.now, CodeKilled)
	one := l.host.Watch(func(Verdict) {})
	one.Oom(l.now, false)
	one.Die(l.now, CodeKilled) // that of one process does not make the count certain again
	l.Die(l.now, CodeKilled)
	l.host.Counted(n(9))
	if got := l.cell(); got != "quiet" {
		t.Errorf("%s, and nobody knows how many were killed", got)
	}
	l.Begin(l.now)
	l.Die(l.now.Add(time.Minute), CodeKilled)
	l.host.Counted(n(10))
	if got := l.cell(); got != "quiet: 1 fatal" {
		t.Error(got)
	}
	l.host.Counted(cgroup.Value{}) // not readable
	l.Begin(l.now)
	l.verdicts = nil
	l.Die(l.now.Add(2*time.Minute), CodeKilled)
	l.host.Counted(n(10))
	if got := l.cell(); got != "quiet" {
		t.Errorf("%s, without a kill", got)
	}
}

// TestFirstCountOfTheHostConvictsNobody: what was before is not known.
func TestFirstCountOfTheHostConvictsNobody(t *testing.T) {
	host := NewHost(start)
	c := host.Watch(func(v Verdict) { t.Errorf("%+v", v) })
	c.Die(start, CodeKilled)
	host.Counted(n(100))
}
