package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/test/wait"
)

// saying is a transport that answers every question with a text, none if it is "".
type saying struct{ text atomic.Value }

func (a *saying) RoundTrip(*http.Request) (*http.Response, error) {
	text, _ := a.text.Load().(string)
	if text == "" {
		return nil, errors.New("no engine")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// contained is what an engine says of itself that keeps images in containerd's store.
const contained = `{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}`

// TestKindClosed: which platform of an image it means an engine tells of API 1.49 and newer.
func TestKindClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		info, version string
		want          Kind
		told          bool
	}{
		"containerd's store":     {contained, "1.49", Kind{Platforms: true, TellsPlatform: true}, true},
		"a newer API":            {contained, "1.100", Kind{Platforms: true, TellsPlatform: true}, true},
		"an older API":           {contained, "1.48", Kind{Platforms: true}, false},
		"an API of another kind": {contained, "2.50", Kind{Platforms: true}, false},
		"an API without words":   {contained, "", Kind{Platforms: true}, false},
		"Docker's own store":     {`{"DriverStatus":[["Backing Filesystem","extfs"]]}`, "1.45", Kind{}, true},
	} {
		e := newEngine(t)
		e.others, e.version = map[string]string{"/info": tc.info}, tc.version
		inv := e.inventory()
		inv.FollowDefaults()
		if err := inv.Untold(); err != nil {
			t.Errorf("%s: before the engine has said anything: %v", name, err)
		}
		k, err := inv.kindNow(t.Context())
		if err != nil || *k != tc.want || (inv.Untold() == nil) != tc.told {
			t.Errorf("%s: %+v, %v; untold: %v", name, k, err, inv.Untold())
		}
	}
}

// TestDefaultsClosed: they are nothing until the engine has said them, and again
// nothing when the connection is a new one.
func TestDefaultsClosed(t *testing.T) {
	var engine saying
	inv := NewInventory(NewClient(&engine), slog.New(slog.DiscardHandler))
	inv.timeout, inv.period = time.Millisecond, time.Millisecond
	keep := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); inv.keepDefaults(ctx) }()
		return func() { cancel(); <-done }
	}
	stop := keep()
	time.Sleep(5 * time.Millisecond)
	if d := inv.Defaults(); d != nil {
		t.Errorf("known without an answer: %+v", d)
	}
	is := func(want Defaults) func() bool {
		return func() bool { d := inv.Defaults(); return d != nil && *d == want }
	}
	engine.text.Store(`{"ServerVersion":"20.10.24+dfsg1","DefaultRuntime":"runc","LoggingDriver":"journald","SecurityOptions":["name=seccomp,profile=default","name=cgroupns"]}`)
	wait.Until(t, "cgroup v2", is(Defaults{Version: "20.10.24+dfsg1", Runtime: "runc", LogDriver: "journald", HostUsers: true}))
	engine.text.Store(`{"DefaultRuntime":"runsc","LoggingDriver":"json-file","DockerRootDir":"/data/docker","SecurityOptions":["name=userns"]}`)
	wait.Until(t, "other defaults", is(Defaults{Runtime: "runsc", LogDriver: "json-file", HostCgroupns: true, Root: "/data/docker"}))
	engine.text.Store(`{"DefaultRuntime":"runc","LoggingDriver":"json-file","SecurityOptions":["name=rootless","name=cgroupns"]}`)
	wait.Until(t, "rootless", is(Defaults{Runtime: "runc", LogDriver: "json-file"}))
	wait.Until(t, "rootless, as a kind", func() bool { return *inv.Kind() == Kind{Rootless: true} })
	engine.text.Store(`{"ServerVersion":"5.8.6","DefaultRuntime":"crun","BuildahVersion":"1.43.0"}`)
	wait.Until(t, "Podman", func() bool { return *inv.Kind() == Kind{Version: "5.8.6", Podman: true} })
	stop()
	engine.text.Store("")
	stop = keep()
	wait.Until(t, "forgotten", func() bool { return inv.Defaults() == nil })
	stop()
}
