package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/policy"
	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

var quiet = slog.New(slog.DiscardHandler)

func record(id string) audit.Record {
	return audit.New(id, time.Unix(0, 0), &identity.Identity{Kind: identity.Host, Door: "gateway"}, "GET", "/_ping",
		&operation.Operation{ID: "SystemPing", URI: "/_ping"}, policy.Decision{Diagnostics: policy.Diagnostics{Revision: "r1"}})
}

func TestOneLineARecordWhateverANameHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := audit.NewLog(&out, audit.JSON, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = log.Run(ctx) }()

		hostile := record("a")
		hostile.Caller.Principals = []string{"container:x\r\n{\"allow\":true}\x1b[2J"}
		log.Add(hostile)
		log.Add(record("b"))
		cancel()
		<-done

		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("2 records became %d lines: %q", len(lines), out.String())
		}
		for _, line := range lines {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
		}
		if strings.ContainsAny(lines[0], "\r\x1b") {
			t.Errorf("control characters reached the log: %q", lines[0])
		}
	})
}

func TestSecretsInTheQueryAreCut(t *testing.T) {
	q := url.Values{"buildargs": {`{"TOKEN":"hunter2"}`}, "remote": {"https://u:hunter2@host/x"}, "t": {"app:1"}}
	op, err := operation.Parse(&operation.Request{Method: "POST", URI: "/v1.41/build?" + q.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	r := audit.New("x", time.Now(), &identity.Identity{}, "POST", op.URI, op, policy.Decision{})
	if strings.Contains(r.URI, "hunter2") || !strings.Contains(r.URI, "t=app%3A1") {
		t.Errorf("audit uri = %q", r.URI)
	}
	op = &operation.Operation{ID: "ContainerList", URI: "/containers/json?filters=" + strings.Repeat("x", 60<<10)}
	if r := audit.New("x", time.Now(), &identity.Identity{}, "GET", op.URI, op, policy.Decision{}); len(r.URI) > 2100 {
		t.Errorf("a record keeps %d bytes of a uri", len(r.URI))
	}
	refused := audit.New("x", time.Now(), &identity.Identity{}, "POST", "/build?buildargs=hunter2"+strings.Repeat("x", 4096), nil, policy.Decision{})
	if refused.URI != "/build" {
		t.Errorf("uri of a request that was not understood = %q", refused.URI)
	}
}

// failing fails until it is mended.
type failing struct {
	mu   sync.Mutex
	err  error
	done bytes.Buffer
}

func (f *failing) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	return f.done.Write(p)
}

func (f *failing) mend() { f.mu.Lock(); f.err = nil; f.mu.Unlock() }

func TestAFullDiskIsUnhealthyUntilItIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &failing{err: errors.New("no space left on device")}
		log := audit.NewLog(w, audit.JSON, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(ctx) }()
		log.Add(record("a"))
		time.Sleep(time.Second)
		if err := log.Health(); err == nil || !strings.Contains(err.Error(), "no space left") || log.Lost() != 1 {
			t.Errorf("health = %v, lost = %d", err, log.Lost())
		}
		w.mend()
		log.Add(record("b"))
		time.Sleep(time.Second)
		if err := log.Health(); err != nil {
			t.Errorf("health after the disk was mended = %v", err)
		}
		cancel()
		synctest.Wait()
	})
}

func TestAStalledWriterHoldsACallerForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // nobody reads
		log := audit.NewLog(w, audit.JSON, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(ctx) }()
		start := time.Now()
		for range 6000 {
			log.Add(record("a"))
			if log.Lost() > 0 {
				break
			}
		}
		if waited := time.Since(start); waited > 2*time.Second || log.Lost() != 1 {
			t.Errorf("waited %s, lost %d", waited, log.Lost())
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		cancel()
		synctest.Wait()
	})
}

// One caller's records, as many as there are, leave room for the others', who do
// not wait for the writer.
func TestOneCallerCannotFillTheQueueClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // nobody reads
		log := audit.NewLog(w, audit.JSON, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(ctx) }()
		log.Add(record("the writer is stuck with this"))
		time.Sleep(time.Second)
		of := func(principal string) audit.Record {
			r := record(principal)
			r.Caller.Principals = []string{principal}
			return r
		}
		for range 5000 {
			go log.Add(of("container:loud"))
		}
		synctest.Wait()
		start := time.Now()
		for _, r := range []audit.Record{of("container:quiet"), of("unix:root"), record("nobody")} {
			log.Add(r)
		}
		r2 := record("b")
		r2.Caller.ContainerID, r2.Caller.Principals = "0123", []string{"container:loud"}
		log.Add(r2)
		if waited := time.Since(start); waited != 0 || log.Lost() != 0 {
			t.Errorf("others waited %s, %d are lost", waited, log.Lost())
		}
		go func() { _, _ = io.Copy(io.Discard, r) }()
		time.Sleep(10 * time.Second)
		if log.Lost() != 0 {
			t.Errorf("%d records are lost though the writer went on", log.Lost())
		}
		cancel()
		synctest.Wait()
		log.Add(record("too late"))
		if log.Lost() != 1 {
			t.Errorf("%d records are lost after the end", log.Lost())
		}
		_ = w.Close()
	})
}

// What is written comes in the order of Add, soon, and many records in one call.
func TestRecordsAreWrittenTogetherAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &calls{}
		log := audit.NewLog(w, audit.JSON, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(ctx) }()
		synctest.Wait()
		for i := range 100 {
			log.Add(record(fmt.Sprint("id", i)))
		}
		time.Sleep(5 * time.Millisecond)
		w.mu.Lock()
		if lines := strings.Count(w.done.String(), "\n"); lines != 100 || w.n != 1 {
			t.Errorf("%d lines in %d calls", lines, w.n)
		}
		if !strings.Contains(w.done.String(), `"id0"`) || strings.Index(w.done.String(), `"id8"`) > strings.Index(w.done.String(), `"id9"`) {
			t.Error("out of order")
		}
		w.mu.Unlock()
		for range 300 { // no moment to wait for
			log.Add(record("b"))
		}
		synctest.Wait()
		if w.mu.Lock(); strings.Count(w.done.String(), "\n") < 300 {
			t.Error("a full batch waits")
		}
		w.mu.Unlock()
		cancel()
		synctest.Wait()
	})
}

// calls counts the writes.
type calls struct {
	failing
	n int
}

func (c *calls) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.failing.Write(p)
}

func TestFollowHasNoGapAndEndsWithASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := audit.NewLog(io.Discard, audit.JSON, quiet)
		run, cancel := context.WithCancel(t.Context())
		go func() { _ = log.Run(run) }()
		log.Add(record("1"))
		log.Add(record("2"))
		past, live := log.Follow(run)
		log.Add(record("3"))
		if len(past) != 2 || past[1].ID != "2" {
			t.Fatalf("past = %v", past)
		}
		if next := <-live; next.ID != "3" {
			t.Fatalf("live = %v", next.ID)
		}
		for range 300 {
			log.Add(record("x"))
		}
		n := 0
		for range live {
			n++
		}
		if n == 0 || n >= 300 {
			t.Errorf("a reader that fell behind got %d records before the end", n)
		}
		if got := log.Recent(); len(got) != 303 || got[0].ID != "1" {
			t.Errorf("recent: %d records", len(got))
		}
		cancel()
		synctest.Wait()
	})
}

func TestRecentKeepsTheLast(t *testing.T) {
	log := audit.NewLog(io.Discard, audit.JSON, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = log.Run(ctx) }()
	for i := range 1500 {
		r := record("x")
		r.Status = i
		log.Add(r)
	}
	cancel()
	<-done
	got := log.Recent()
	if len(got) != 1000 || got[999].Status != 1499 || got[0].Status != 500 {
		t.Errorf("%d records, %v … %v", len(got), got[0].Status, got[len(got)-1].Status)
	}
}

// TestRecordSaysWhatTheRequestWouldDo, and who stands behind a process of the host.
func TestRecordSaysWhatTheRequestWouldDo(t *testing.T) {
	body := `{"Image":"a","Env":["A=hunter2"],"HostConfig":{"Binds":["/srv:/srv"],"Privileged":true}}`
	op, err := operation.Parse(&operation.Request{
		Method: "POST", URI: "/containers/create", Header: map[string][]string{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	login := uint32(1000)
	who := &identity.Identity{Kind: identity.Host, Process: &identity.Process{LoginUID: &login, Exe: "/usr/bin/" + strings.Repeat("x", 4096)}}
	r := audit.New("x", time.Now(), who, "POST", op.URI, op, policy.Decision{})
	line, _ := json.Marshal(r)
	for _, want := range []string{`"access":"write"`, `"hazards":["env","host-path","privileged"]`, `"host_paths":["/srv"]`, `"loginuid":1000`, `"exe":"/usr/bin/x`} {
		if !strings.Contains(string(line), want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	if strings.Contains(string(line), "hunter2") || len(line) > 2048 {
		t.Errorf("%d bytes: %s", len(line), line)
	}
}

// TestSecretThatBeginsLikeAPathClosed is in no record, as a path or as one that was put in its place.
func TestSecretThatBeginsLikeAPathClosed(t *testing.T) {
	body := `{"Name":"v","Driver":"x","DriverOpts":{"password":"/hunter2","device":"/link"}}`
	op, err := operation.Parse(&operation.Request{
		Method: "POST", URI: "/volumes/create", Header: map[string][]string{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), ReadBody: func() ([]byte, error) { return []byte(body), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if op, err = op.ResolveHostPaths(func(p string) (string, error) { return "/real" + p, nil }); err != nil {
		t.Fatal(err)
	}
	r := audit.New("x", time.Now(), &identity.Identity{}, "POST", op.URI, op, policy.Decision{})
	r.Changed = audit.Changes(op, nil)
	line, _ := json.Marshal(r)
	if strings.Contains(string(line), "hunter2") || !strings.Contains(string(line), `"host_paths":["/real/link","REDACTED"]`) || !strings.Contains(string(line), `"from":"/link"`) {
		t.Errorf("%s", line)
	}
}

// TestLabelsOfABuildClosed: they are often made of the environment of who builds.
func TestLabelsOfABuildClosed(t *testing.T) {
	op, err := operation.Parse(&operation.Request{Method: "POST", URI: "/build?labels=%7B%22NPM_TOKEN%22%3A%22hunter2%22%7D&t=a"})
	if err != nil {
		t.Fatal(err)
	}
	if uri := audit.SafeURI(op); uri != "/build?labels=-&t=a" {
		t.Error(uri)
	}
}

// TestGrantsAreNoDecisions: what begins and ends is recorded with its reason, and is no denial.
func TestGrantsAreNoDecisions(t *testing.T) {
	g := grant.Grant{ID: "g-1", Role: "ops"}
	begin := audit.OfGrant(&grant.Event{Grant: g}, "r")
	end := audit.OfGrant(&grant.Event{Grant: g, Ended: true, Why: "revoked"}, "r")
	if begin.Event != "grant-begin" || len(begin.Reasons) > 0 || !begin.Allow || begin.ID != "g-1" || begin.PolicyRevision != "r" {
		t.Errorf("%+v", begin)
	}
	if end.Event != "grant-end" || !slices.Equal(end.Reasons, []string{"revoked"}) || !end.Allow || end.Grant.Role != "ops" {
		t.Errorf("%+v", end)
	}
}

// TestSubstitutedSocketIsAChange, where it is another one than was typed.
func TestSubstitutedSocketIsAChange(t *testing.T) {
	op := &operation.Operation{Substituted: []operation.ResolvedPath{{Typed: "/run/a.sock", Path: "/run/a.sock"}, {Typed: "/var/run/docker.sock", Path: "/run/a.sock"}}}
	want := []audit.Change{{What: "engine_socket", From: "/var/run/docker.sock", To: "/run/a.sock"}}
	if got := audit.Changes(op, nil); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
