package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// helpers are what this program runs of itself as processes of their own: the
// floors, who misbehaves and who burns; and the tables that are apart.
func helpers() map[string]func([]string) error {
	return map[string]func([]string) error{
		"yes-plugin": yesPlugin, "proxy": proxy, "misbehave": misbehave, "burn": burn, "fairness": fairness, "build": build,
		"views": views, "peers": peers, "simulated": simulated, "questions": askPlugins,
	}
}

// begin starts a process that ends with this one, even if this one is killed: the kernel sees to it when the thread ends that
// started it, and Go keeps its threads.
func begin(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}

// yesPlugin is the least that dockerd's plugin protocol takes: read the
// question, do not look at it, say yes.
func yesPlugin(args []string) error {
	answer := []byte(`{"Allow":true}`)
	mux := http.NewServeMux()
	mux.HandleFunc("/Plugin.Activate", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"Implements":["authz"]}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	return serve(args[0], mux)
}

// proxy is an empty httputil.ReverseProxy between two Unix sockets.
func proxy(args []string) error {
	upstream := args[1]
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", upstream)
		},
	}
	return serve(args[0], &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
	})
}

func serve(socket string, h http.Handler) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return (&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}
