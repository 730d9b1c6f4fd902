package asks

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Times of the reader.
const (
	askEvery  = 2 * time.Second  // how authz-plugin is, while somebody watches
	askRarely = 30 * time.Second // and while nobody does
	askWait   = 5 * time.Second
	tryAgain  = 2 * time.Second
	lineMost  = 1 << 20

	answerMost = 8 << 20 // bytes; authz-plugin's metrics are some 100 KiB
)

// Run follows until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	if r.socket == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	client := r.client()
	defer client.CloseIdleConnections()
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { r.keepGuard(ctx, client) })
	for {
		r.broken(r.follow(ctx, client))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryAgain):
		}
	}
}

// client asks on the socket.
func (r *Reader) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: askWait}).DialContext(ctx, "unix", r.socket)
		},
		ResponseHeaderTimeout: askWait,
	}}
}

// Watch makes the reader ask more often how authz-plugin is, until stop is called.
func (r *Reader) Watch() (stop func()) {
	r.watchers.Add(1)
	r.hurry()
	return sync.OnceFunc(func() { r.watchers.Add(-1) })
}

// hurry has it asked at once.
func (r *Reader) hurry() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// refused is an answer that is no 200.
type refused struct {
	status int
	text   string
}

func (e *refused) Error() string { return fmt.Sprintf("it answers %d: %s", e.status, e.text) }

func (r *Reader) get(ctx context.Context, client *http.Client, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vitrine"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		_ = resp.Body.Close()
		return nil, &refused{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	return resp, nil
}

// follow reads decisions until there are no more.
func (r *Reader) follow(ctx context.Context, client *http.Client) error {
	resp, err := r.get(ctx, client, "/decisions?follow=1&n=1000")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	before := r.connected()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), lineMost)
	for n := 1; lines.Scan(); n++ {
		var rec record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return fmt.Errorf("read a decision: %w", err)
		}
		news := r.take(&rec)
		if n == 1 && news && before { // not even the oldest that it remembers is known
			r.mu.Lock()
			r.missed++
			r.mu.Unlock()
		}
		if news {
			r.onChange()
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}

// connected notes that decisions are followed; it reports whether there were any before.
func (r *Reader) connected() (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = !r.since.IsZero()
	r.up, r.why, r.hint = true, "", ""
	r.hurry() // it may be another one by now
	r.onChange()
	return before
}

func (r *Reader) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = false
	r.why, r.hint = r.explain(err)
	r.guard = Guard{}
	r.onChange()
}

// explain says why the socket cannot be read, and what to do.
func (r *Reader) explain(err error) (why, hint string) {
	dir := filepath.Dir(r.socket)
	var no *refused
	switch {
	case errors.As(err, &no) && no.status == http.StatusForbidden:
		return "authz-plugin does not let the monitor read it: " + no.text,
			"name the monitor in admin_allow of authz-plugin, for example --admin-allow unix:root --admin-allow container:monitor"
	case errors.As(err, &no):
		return err.Error(), "is " + r.socket + " the admin socket of authz-plugin?"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no socket " + r.socket,
			"start authz-plugin, or name its --admin-socket; for a monitor in a container mount the folder: -v " + dir + ":" + dir + ":ro"
	case errors.Is(err, fs.ErrPermission):
		return "the folder " + dir + " keeps the monitor's user out",
			fmt.Sprintf("let its group pass through it: chgrp %d %s && chmod 0710 %s. The socket itself answers only who is in admin_allow", os.Getgid(), dir, dir)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody answers at " + r.socket,
			"start authz-plugin; for a monitor in a container mount the socket's folder, not the socket, which dies with each restart"
	case errors.Is(err, io.EOF):
		return "the connection has ended", "the monitor tries again every two seconds"
	}
	return err.Error(), "the monitor tries again every two seconds"
}

// keepGuard asks again and again how authz-plugin is.
func (r *Reader) keepGuard(ctx context.Context, client *http.Client) {
	for {
		r.askGuard(ctx, client)
		every := askRarely
		if r.watchers.Load() > 0 {
			every = askEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-time.After(every):
		}
	}
}

func (r *Reader) askGuard(ctx context.Context, client *http.Client) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var said struct {
		Plugin struct{ Asked *bool }
		Policy struct{ Revision, Source string }
		Checks map[string]string
	}
	if resp, err := r.get(ctx, client, "/status"); err == nil {
		_ = json.NewDecoder(io.LimitReader(resp.Body, answerMost)).Decode(&said) // what cannot be read is not known
		_ = resp.Body.Close()
	}
	r.mu.Lock()
	r.guard = Guard{said.Plugin.Asked, said.Policy.Revision, said.Policy.Source, said.Checks}
	r.mu.Unlock()
	r.onChange()
}

// Metrics are authz-plugin's own, in Prometheus's text format, as its admin socket tells them now. The question is ours: nothing
// of whoever wants them reaches the socket. The error says why there are none and what to do.
func (r *Reader) Metrics(ctx context.Context) ([]byte, error) {
	if r.socket == "" {
		return nil, fmt.Errorf("%s: %s", r.why, r.hint)
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	client := r.client()
	defer client.CloseIdleConnections()
	text, err := r.metrics(ctx, client)
	if err != nil {
		why, hint := r.explain(err)
		return nil, fmt.Errorf("%s: %s", why, hint)
	}
	return text, nil
}

func (r *Reader) metrics(ctx context.Context, client *http.Client) ([]byte, error) {
	resp, err := r.get(ctx, client, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	if err == nil && len(text) > answerMost {
		err = fmt.Errorf("its metrics are longer than %d bytes", answerMost)
	}
	return text, err
}
