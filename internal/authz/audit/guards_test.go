package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

func of(id, principal string) Record {
	return New(id, time.Unix(0, 0), &identity.Identity{Kind: identity.Host, Principals: []string{principal}}, "GET", "/_ping", nil, policy.Decision{})
}

// writer is where records go; what each call of Write does is up to the test.
type writer struct {
	mu    sync.Mutex
	lines bytes.Buffer
	sizes []int
	do    func() error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.do != nil {
		if err := w.do(); err != nil {
			return 0, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sizes = append(w.sizes, len(p))
	return w.lines.Write(p)
}

func run(t *testing.T, w io.Writer, logger *slog.Logger, do func(t *testing.T, log *Log, end func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := NewLog(w, JSON, logger)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(ctx) }()
		do(t, log, func() { cancel(); synctest.Wait() })
		cancel()
		synctest.Wait()
	})
}

var quiet = slog.New(slog.DiscardHandler)

// TestRecordDuringTheLastWriteIsWritten: nothing that Add has taken is lost, and it is told at once of what comes too late.
func TestRecordDuringTheLastWriteIsWritten(t *testing.T) {
	w := &writer{}
	run(t, w, quiet, func(t *testing.T, log *Log, end func()) {
		left := 3
		w.do = func() error {
			if left--; left >= 0 {
				log.Add(of(fmt.Sprint("during ", left), "a"))
			}
			return nil
		}
		log.Add(of("last", "a"))
		end()
		if got := w.lines.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "during 0") || log.Lost() != 0 {
			t.Errorf("%d are lost of %s", log.Lost(), got)
		}
		from := time.Now()
		if log.Add(of("too late", "a")); log.Lost() != 1 || time.Since(from) > 0 {
			t.Errorf("%d are lost after %s", log.Lost(), time.Since(from))
		}
	})
}

// TestOnlyTheFirstFailureIsLogged, until a write succeeds.
func TestOnlyTheFirstFailureIsLogged(t *testing.T) {
	var said bytes.Buffer
	w := &writer{}
	run(t, w, slog.New(slog.NewTextHandler(&said, nil)), func(t *testing.T, log *Log, _ func()) {
		for i, fails := range []bool{true, true, false, true} {
			w.do = func() error { return nil }
			if fails {
				w.do = func() error { return errors.New("no space left on device") }
			}
			log.Add(of(fmt.Sprint(i), "a"))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n := strings.Count(said.String(), "\n"); n != 2 || log.Lost() != 3 {
			t.Errorf("%d lines, %d records lost:\n%s", n, log.Lost(), &said)
		}
	})
}

// TestRecordThatCannotBeWrittenIsLostAlone, and counted.
func TestRecordThatCannotBeWrittenIsLostAlone(t *testing.T) {
	w := &writer{}
	run(t, w, quiet, func(t *testing.T, log *Log, _ func()) {
		odd := of("odd", "a")
		odd.Time = time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has no such year
		for _, r := range []Record{of("before", "a"), odd, of("behind", "a<b>")} {
			log.Add(r)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.lines.String(); log.Lost() != 1 || strings.Count(got, "\n") != 2 || !strings.Contains(got, "a<b>") {
			t.Errorf("%d are lost of %s", log.Lost(), got)
		}
	})
}

// TestWritesAreBounded: so that the writer holds nobody up for long.
func TestWritesAreBounded(t *testing.T) {
	w := &writer{}
	run(t, w, quiet, func(t *testing.T, log *Log, _ func()) {
		for range 200 {
			log.Add(of("x", strings.Repeat("x", 2000)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, n := range w.sizes {
			if n > 70<<10 {
				t.Errorf("%d bytes in one call", n)
			}
		}
		if n := strings.Count(w.lines.String(), "\n"); n != 200 || len(w.sizes) < 6 {
			t.Errorf("%d lines in %d calls", n, len(w.sizes))
		}
	})
}

// TestRecordThatWaitedIsKeptOnce, and the log's memory has its bound.
func TestRecordThatWaitedIsKeptOnce(t *testing.T) {
	w := &writer{}
	run(t, w, quiet, func(t *testing.T, log *Log, _ func()) {
		block := make(chan struct{})
		w.do = func() error { <-block; return nil }
		log.patience = time.Hour
		for i := range queued {
			go log.Add(of(fmt.Sprint(i), "a"))
		}
		synctest.Wait()
		go log.Add(of("waits", "a"))
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		close(block)
		time.Sleep(time.Second)
		synctest.Wait()
		kept := log.Recent()
		times := 0
		for _, r := range kept {
			if r.ID == "waits" {
				times++
			}
		}
		if times != 1 || len(kept) != 1000 || log.Lost() > 0 {
			t.Errorf("kept %d times, %d records, %d lost", times, len(kept), log.Lost())
		}
	})
}

// TestFollowEndsWithItsContext.
func TestFollowEndsWithItsContext(t *testing.T) {
	run(t, io.Discard, quiet, func(t *testing.T, log *Log, _ func()) {
		ctx, cancel := context.WithCancel(t.Context())
		_, live := log.Follow(ctx)
		cancel()
		synctest.Wait()
		select {
		case _, open := <-live:
			if open {
				t.Error("a record out of nothing")
			}
		default:
			t.Error("it goes on")
		}
		log.Add(of("next", "a"))
		if len(log.followers) > 0 {
			t.Error("it is still told")
		}
	})
}

// TestWriterSleepsOnlyWithNothingToDo.
func TestWriterSleepsOnlyWithNothingToDo(t *testing.T) {
	log := NewLog(io.Discard, JSON, quiet)
	if !log.sleep() || !log.asleep {
		t.Error("it stays up with nothing to do")
	}
	if log.Add(of("x", "a")); log.sleep() || log.asleep {
		t.Error("it sleeps over a record")
	}
}

// TestRecordOfACaller: who it counts against, and what is kept of it.
func TestRecordOfACaller(t *testing.T) {
	uid := uint32(7)
	for want, id := range map[string]*identity.Identity{
		"f00":       {Container: &identity.ContainerInfo{ID: "f00"}, Principals: []string{"container:x"}, UID: &uid},
		"unix:root": {Principals: []string{"unix:root", "uid:0"}, UID: &uid},
		"7":         {UID: &uid},
		"":          {},
	} {
		c := callerOf(id)
		if got := c.account(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if c.Principals == nil || len(c.Principals) != len(id.Principals) || (c.ContainerID == "") != (id.Container == nil) {
			t.Errorf("%+v", c)
		}
	}
}

// TestTargetWithoutSecretsIsKeptAsItIs; one that cannot be read again is kept without its query.
func TestTargetWithoutSecretsIsKeptAsItIs(t *testing.T) {
	for uri, want := range map[string]string{
		"/containers/json?all=1&limit=1":  "/containers/json?all=1&limit=1",
		"/containers/json?nope=hunter2":   "/containers/json?nope=-",
		"/info":                           "/info",
		"/build?t=a&buildargs=%7B%7D":     "/build?buildargs=-&t=a",
		"/build?buildargs=%zz":            "/build",
		"/x?" + strings.Repeat("y", 2045): "/x?" + strings.Repeat("y", 2045),
	} {
		method := "GET"
		if strings.Contains(uri, "build") {
			method = "POST"
		}
		op, err := operation.Parse(&operation.Request{Method: method, URI: uri})
		if err != nil { // only a URI that is not what its Query is cannot be read again
			op = &operation.Operation{ID: "X", URI: uri}
			if strings.Contains(uri, "buildargs") {
				op.Query = url.Values{"buildargs": {"x"}}
			}
		}
		r := New("x", time.Now(), &identity.Identity{}, method, uri, op, policy.Decision{})
		if r.URI != want {
			t.Errorf("%s is kept as %s", uri, r.URI)
		}
	}
}
