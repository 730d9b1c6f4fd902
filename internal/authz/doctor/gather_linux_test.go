package doctor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/engine/operation"
)

// engine is a fake one at a Unix socket.
func engine(t *testing.T, handle http.HandlerFunc) string {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handle)
	_ = s.Listener.Close() // a TCP port, at which nobody would answer
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return socket
}

func file(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// refused is what dockerd answers when Vitrine has refused the probe, with the parser's own words.
func refused(t *testing.T) string {
	t.Helper()
	_, err := operation.Parse(&operation.Request{Method: http.MethodGet, URI: "/_ping?vitrine=1&vitrine=2", Header: http.Header{}})
	if err == nil {
		t.Fatal("the parser accepts the probe")
	}
	text, _ := json.Marshal(map[string]string{"message": "authorization denied by plugin vitrine: vitrine: local may not do this: " + err.Error()})
	return string(text)
}

// TestProofIsOursClosed: a refusal that only quotes the request proves nothing.
func TestProofIsOursClosed(t *testing.T) {
	for body, want := range map[string]probe{
		refused(t): {403, true},
		`{"message":"authorization denied by plugin other: GET /_ping?vitrine=1&vitrine=2"}`: {403, false},
		"": {403, false},
	} {
		socket := engine(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, http.StatusForbidden) })
		g := gatherer{cfg: Config{Socket: socket}, engine: client(socket)}
		if got, err := g.probe(t.Context()); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", body, got, err, want)
		}
	}
}

func TestGather(t *testing.T) {
	answers := map[string]string{
		"/version":           `{"Version":"28.5.2","Components":[{"Name":"Engine"},{"Name":"runc"}]}`,
		"/info":              `{"Plugins":{"Authorization":["vitrine"]},"SecurityOptions":["name=seccomp","name=rootless"],"NRI":{"Info":[]},"Swarm":{"LocalNodeState":"active"}}`,
		"/containers/json":   `[{"ID":"a"},{"ID":"gone"}]`,
		"/containers/a/json": `{"Name":"/ci","HostConfig":{"Privileged":true,"PidMode":"host"},"Mounts":[{"Source":"/run","RW":true}]}`,
	}
	socket := engine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/_ping?vitrine=1&vitrine=2" {
			http.Error(w, refused(t), http.StatusForbidden)
			return
		}
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.Error(w, `{"message":"no such"}`, http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(answer))
	})
	etc := t.TempDir()
	file(t, etc, "group", "root:x:0:ann,root\nx:x:7:bob\n")
	file(t, etc, "passwd", "root:x:0:0::/:\ncat:x:5:0::/:\nbob:x:7:7::/:\n")
	file(t, etc, "containerd/config.toml", "version = 2\n[plugins]\n  [plugins.'io.containerd.nri.v1.nri']\n    disable = false\n")
	if os.Getegid() != 0 {
		t.Skip("the socket of this test is not group root's")
	}
	f := Gather(t.Context(), Config{Socket: socket, Admin: "", Proc: "/proc", Etc: etc})
	if f.Socket.Err != nil || f.Socket.Is.Group != "root" || !slices.Equal(f.Socket.Is.Members, []string{"ann", "cat"}) {
		t.Errorf("socket %+v", f.Socket)
	}
	if f.Probe.Err != nil || f.Probe.Is != (probe{403, true}) {
		t.Errorf("probe %+v", f.Probe)
	}
	if e := f.Engine.Is; f.Engine.Err != nil || e.Name != "Docker" || e.Version != "28.5.2" || !slices.Equal(e.Plugins, []string{"vitrine"}) || !e.Rootless || !e.NRI || !e.SwarmNode {
		t.Errorf("engine %+v", f.Engine)
	}
	if f.HTTP2.Err != nil || f.HTTP2.Is {
		t.Errorf("HTTP/2 %+v", f.HTTP2)
	}
	if f.NRI.Err != nil || f.NRI.Is != "/etc/containerd/config.toml" {
		t.Errorf("NRI %+v", f.NRI)
	}
	got, _ := json.Marshal(f.Containers)
	if want := `{"Is":[{"ID":"a","Name":"ci","Privileged":true,"HostPID":true,"Mounts":[{"Source":"/run","Writable":true}],"Ours":false}],"Err":null}`; string(got) != want {
		t.Errorf("containers %s", got)
	}
	if f.Daemon.Err == nil || !strings.Contains(f.Daemon.Err.Error(), "no dockerd") {
		t.Errorf("the test's process is taken for dockerd: %+v", f.Daemon)
	}
	if f.TCP.Err != nil {
		t.Errorf("TCP %+v", f.TCP)
	}
	if f.Vitrine.Err == nil || f.AdminRoles.Err != nil {
		t.Errorf("vitrine %+v, admin %+v", f.Vitrine, f.AdminRoles)
	}
}

// TestGatherClosed: nobody there, or somebody who says no, is a cause of each fact that hangs on it.
func TestGatherClosed(t *testing.T) {
	for name, socket := range map[string]string{
		"nobody":      filepath.Join(t.TempDir(), "none.sock"),
		"says no":     engine(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }),
		"talks apart": engine(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
	} {
		f := Gather(t.Context(), Config{Socket: socket, Admin: socket, Proc: "/proc", Etc: t.TempDir()})
		if f.Engine.Err == nil || f.Containers.Err == nil || f.Vitrine.Err == nil || f.Daemon.Err == nil || name == "nobody" && f.TCP.Err == nil {
			t.Errorf("%s: %+v", name, f)
		}
		if !Worst(Examine(f)) {
			t.Errorf("%s: nothing is high", name)
		}
	}
}

func TestHTTP2IsSeen(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: p, Handler: http.NotFoundHandler()}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	g := gatherer{cfg: Config{Socket: socket}}
	if yes, err := g.http2(t.Context()); !yes || err != nil {
		t.Errorf("HTTP/2 is %v, %v", yes, err)
	}
}

func TestTCPWithoutTLSIsSeen(t *testing.T) {
	handle := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	plainOne, secure := httptest.NewServer(handle), httptest.NewTLSServer(handle)
	defer plainOne.Close()
	defer secure.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_ = c.Close()
		}
	}()
	for at, want := range map[string]bool{plainOne.Listener.Addr().String(): true, secure.Listener.Addr().String(): false, silent.Addr().String(): false} {
		if got := plain(t.Context(), at); got != want {
			t.Errorf("%s is plain: %v, want %v", at, got, want)
		}
	}
}

func TestListening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 00000000:0948 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1
   2: 0100007F:0949 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 11 1
   3: 00000000000000000000000001000000:0947 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1
`
	got, err := listening(table, map[string]bool{"11": true})
	if want := "[127.0.0.1:2375 [::1]:2375]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("listening at %v, %v; want %s", got, err, want)
	}
	if _, err := listening("0: xyz:1 a 0A a a a a a 11 x\n", map[string]bool{"11": true}); err == nil {
		t.Error("nonsense is an address")
	}
}

func TestNRIInContainerd(t *testing.T) {
	for text, want := range map[string]bool{
		"[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = false":              true,
		"[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true":               false,
		"[plugins.x]\ndisable = false\n[plugins.'io.containerd.nri.v1.nri']\n": false,
		"": false,
	} {
		if got := nriInContainerd([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
