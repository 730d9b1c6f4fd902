package page

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/status"
	"vitrine/internal/monitor/tag"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "0123456789abcdefghij"
	hostile = `"><script>alert(1)</script>`
)

var id = strings.Repeat("ab", 32)

// world is a page with one container whose name is hostile.
func world(t *testing.T) (*Page, func()) {
	t.Helper()
	a := series.New(tag.New(tag.Config{}), nil)
	k := status.NewKeeper(a, nil)
	at := time.Date(2026, 11, 27, 14, 0, 0, 0, time.UTC)
	collected := func() {
		at = at.Add(time.Second)
		a.Update(&collect.Snapshot{Time: at, Engine: collect.Engine{Up: true}, Containers: []*collect.Container{{
			Container: docker.Container{ID: id, Name: hostile, Running: true, Detail: &docker.Detail{State: "running", Env: []string{"PASSWORD=hunter2"}}},
			Read:      at, Throttled: -1, Stats: cgroup.Stats{Memory: cgroup.Memory{WorkingSet: cgroup.Value{N: 4096, Set: true}}},
		}}})
		k.Update(nil)
	}
	collected()
	nothing := func() func() { return func() {} }
	sent := &messages.Snapshot{Series: []messages.Series{
		{Name: "its", Type: dogstatsd.Count, Tags: []tag.Tag{{Key: "a", Value: "1"}, {Key: "env", Value: "x"}}, Given: 1, Value: 3, Total: 9},
		{Name: "another's", Type: dogstatsd.Gauge, Tags: []tag.Tag{{Key: "env", Value: "y"}}, Given: 1},
		{Name: "nobody's", Type: dogstatsd.Gauge, Tags: []tag.Tag{{Key: "env", Value: "x"}}},
	}}
	p, err := New(Options{
		Status: k, Asks: asks.New("", func() {}), Watch: nothing, Token: token, Sent: func() *messages.Snapshot { return sent },
		Tags: func(string, tag.Cardinality) ([]tag.Tag, bool) { return []tag.Tag{{Key: "env", Value: "x"}}, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, func() { collected(); p.Collected() }
}

func ask(p *Page, door Door, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:9780"
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.Handler(door).ServeHTTP(w, r)
	return w
}

// TestWhoMayLookClosed: each door, and each way to come in by a name, a site or a token that is not ours.
func TestWhoMayLookClosed(t *testing.T) {
	p, _ := world(t)
	bearer := "Bearer " + token
	for name, tt := range map[string]struct {
		door   Door
		path   string
		header []string
		want   int
	}{
		"loopback":                         {localDoor, "/api/state", nil, 200},
		"loopback by number":               {localDoor, "/api/state", []string{"Host", "127.0.0.1:9780"}, 200},
		"loopback by number 6":             {localDoor, "/api/state", []string{"Host", "[::1]:9780"}, 200},
		"a name that was rebound":          {localDoor, "/api/state", []string{"Host", "evil.example:9780"}, 421},
		"one that begins like ours":        {localDoor, "/api/state", []string{"Host", "localhost.evil.example"}, 421},
		"one that ends like ours":          {localDoor, "/api/state", []string{"Host", "evil-localhost"}, 421},
		"no name":                          {localDoor, "/api/state", []string{"Host", ""}, 421},
		"the address of another":           {localDoor, "/", []string{"Host", "10.0.0.1"}, 421},
		"another site's script":            {localDoor, "/api/state", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403},
		"another site's picture":           {localDoor, "/app.js", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"another port's script":            {localDoor, "/api/state", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, 403},
		"another site's origin":            {localDoor, "/api/state", []string{"Origin", "https://evil.example"}, 403},
		"a sandbox's origin":               {localDoor, "/api/state", []string{"Origin", "null"}, 403},
		"another port's origin":            {localDoor, "/api/state", []string{"Origin", "http://localhost:1"}, 403},
		"a link from another site":         {localDoor, "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		"such a link to the API":           {localDoor, "/api/state", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		"our own page":                     {localDoor, "/api/state", []string{"Origin", "http://localhost:9780", "Sec-Fetch-Site", "same-origin"}, 200},
		"another address, no token":        {closedDoor, "/", nil, 403},
		"the API there":                    {closedDoor, "/api/state", []string{"Authorization", bearer}, 403},
		"with a token":                     {tokenDoor, "/api/state", []string{"Authorization", bearer, "Host", "monitor.example"}, 200},
		"the files, before there is one":   {tokenDoor, "/", []string{"Host", "monitor.example"}, 200},
		"without the token":                {tokenDoor, "/api/state", nil, 401},
		"the stream without it":            {tokenDoor, "/api/live", nil, 401},
		"a wrong token":                    {tokenDoor, "/api/state", []string{"Authorization", bearer + "x"}, 401},
		"a part of it":                     {tokenDoor, "/api/state", []string{"Authorization", bearer[:len(bearer)-1]}, 401},
		"without the scheme":               {tokenDoor, "/api/state", []string{"Authorization", token}, 401},
		"as a parameter":                   {tokenDoor, "/api/state?token=" + token, nil, 401},
		"with a token, from another site":  {tokenDoor, "/api/state", []string{"Authorization", bearer, "Origin", "https://evil.example"}, 403},
		"another path by way of the files": {tokenDoor, "/x/../api/state", nil, 404},
		"authz-plugin's metrics":           {localDoor, "/api/authz-plugin/metrics", nil, 502},
		"them, where the page is closed":   {closedDoor, "/api/authz-plugin/metrics", []string{"Authorization", bearer}, 403},
		"them, without the token":          {tokenDoor, "/api/authz-plugin/metrics", nil, 401},
		"them, by a name that was rebound": {localDoor, "/api/authz-plugin/metrics", []string{"Host", "evil.example:9780"}, 421},
	} {
		if w := ask(p, tt.door, tt.path, tt.header...); w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
	}
	p.o.Token = ""
	if w := ask(p, tokenDoor, "/api/state", "Authorization", "Bearer "); w.Code != 401 {
		t.Errorf("no token is not an empty one: %d", w.Code)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	if p.Handler(localDoor).ServeHTTP(w, r); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestDoorsClosed(t *testing.T) {
	for _, tt := range []struct {
		at    net.Addr
		token string
		want  Door
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, "", localDoor},
		{&net.TCPAddr{IP: net.IPv6loopback}, "", localDoor},
		{&net.TCPAddr{IP: net.IPv4zero}, "", closedDoor},
		{&net.TCPAddr{IP: net.IPv6zero}, "", closedDoor},
		{&net.TCPAddr{IP: net.IPv4(192, 168, 0, 1)}, "", closedDoor},
		{&net.TCPAddr{IP: net.IPv4(192, 168, 0, 1)}, token, tokenDoor},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, token, tokenDoor},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, "", localDoor},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, token, localDoor},
	} {
		if got := DoorOf(tt.at, tt.token); got != tt.want {
			t.Errorf("%v with token %q: %v, want %v", tt.at, tt.token, got, tt.want)
		}
	}
}

// TestNothingOfTheScraperReachesThePluginClosed: what the admin socket is asked is ours, whatever we are asked.
func TestNothingOfTheScraperReachesThePluginClosed(t *testing.T) {
	p, _ := world(t)
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := httputil.DumpRequest(r, true)
		asked = string(b)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "vitrine_plugin_asked 1\n")
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	p.o.Asks = asks.New(path, func() {})
	r := httptest.NewRequest(http.MethodGet, "/api/authz-plugin/metrics?follow=needle", strings.NewReader("needle"))
	r.Host = "127.0.0.1:9780"
	r.Header.Set("Cookie", "needle")
	r.Header.Set("Authorization", "Bearer needle")
	r.Header.Set("User-Agent", "needle")
	w := httptest.NewRecorder()
	p.Handler(localDoor).ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "vitrine_plugin_asked 1\n" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain;") {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if strings.Contains(asked, "needle") || !strings.HasPrefix(asked, "GET /metrics HTTP/1.1\r\n") {
		t.Errorf("the admin socket was asked\n%s", asked)
	}
	if w := ask(p, localDoor, "/api/authz-plugin/../authz-plugin/shapes"); w.Code == 200 {
		t.Errorf("another path: %s", w.Body)
	}
}

// TestHeadersClosed: of every answer, those that are no too.
func TestHeadersClosed(t *testing.T) {
	p, _ := world(t)
	for _, path := range []string{"/", "/api/state", "/nothing", "/api/nothing", "/api/containers/" + id} {
		for _, door := range []Door{localDoor, tokenDoor, closedDoor} {
			h := ask(p, door, path).Header()
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "require-trusted-types-for 'script'") || strings.Contains(csp, "unsafe") ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
}

// TestHostileNames: a name is JSON, in which no tag begins, and no environment is in it.
func TestHostileNames(t *testing.T) {
	p, _ := world(t)
	for _, path := range []string{"/api/state", "/api/containers/" + id} {
		w := ask(p, localDoor, path)
		if strings.Contains(w.Body.String(), "<") || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s: %s %s", path, w.Header(), w.Body)
		}
	}
	var d struct {
		Name string
		Sent []sentSeries
	}
	if err := json.Unmarshal(ask(p, localDoor, "/api/containers/"+id).Body.Bytes(), &d); err != nil || d.Name != hostile {
		t.Errorf("%q, %v", d.Name, err)
	}
	if len(d.Sent) != 1 || d.Sent[0].Name != "its" || len(d.Sent[0].Tags) != 1 || *d.Sent[0].Value != 3 {
		t.Errorf("its metrics: %+v", d.Sent)
	}
}

func TestAnswers(t *testing.T) {
	p, _ := world(t)
	for path, want := range map[string]int{
		"/": 200, "/api/sparks": 200, "/api/board": 200, "/api/containers/" + id + "/history?span=hour": 200, "/api/containers/" + id + "/history?span=day": 200,
		"/api/containers/" + id + "/history": 400, "/api/containers/nobody": 404, "/api/containers/nobody/history?span=hour": 404,
		"/api/board/cell?caller=x&class=y": 404, "/api/dogstatsd": 200, "/api/board/shapes?caller=x&class=y": 200, "/index.html": 404,
	} {
		if w := ask(p, localDoor, path); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	first := ask(p, localDoor, "/")
	if w := ask(p, localDoor, "/", "If-None-Match", first.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("the same again: %d", w.Code)
	}
}

// TestLive: the first line comes at once, the next with the next collection; and there are no more streams than the limit.
func TestLive(t *testing.T) {
	p, collected := world(t)
	srv := httptest.NewServer(p.Handler(localDoor))
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() *http.Response {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/api/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := open()
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	var times []time.Time
	boards := 0
	for len(times) < 2 {
		b, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			State *status.State
			Board *asks.Board
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Board != nil {
			boards++
			collected()
		}
		if f.State != nil {
			times = append(times, f.State.Time)
		}
	}
	if !times[1].After(times[0]) || boards != 1 {
		t.Errorf("%v, %d boards", times, boards)
	}
	for range streamsMost - 1 {
		defer open().Body.Close()
	}
	more := open()
	defer more.Body.Close()
	if b, _ := io.ReadAll(more.Body); more.StatusCode != 503 {
		t.Errorf("one too many: %d %s", more.StatusCode, b)
	}
}
