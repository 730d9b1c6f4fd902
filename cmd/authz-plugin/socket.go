package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"vitrine/internal/command"
)

// adminGet asks the admin socket of the authz-plugin that runs: the one of the settings, or of a managed plugin
// that was told another. The body is the caller's to close.
func adminGet(ctx context.Context, s *settings, uri string) (io.ReadCloser, error) {
	if s.adminSocket == "" {
		return nil, command.ExitError{Code: command.Usage, Err: errors.New("admin_socket: none is configured")}
	}
	body, err := getFrom(ctx, s.adminSocket, uri)
	if _, unreachable := errors.AsType[*net.OpError](err); !unreachable {
		return body, err
	}
	for _, other := range managedSockets(ctx, s) {
		if body, err := getFrom(ctx, other, uri); err == nil {
			return body, nil
		}
	}
	return nil, command.ExitError{Code: command.Failed, Err: fmt.Errorf("authz-plugin does not answer: %w; is it running, and is this its admin_socket?", err)}
}

func getFrom(ctx context.Context, socket, uri string) (io.ReadCloser, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		return d.DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vitrine"+uri, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, command.ExitError{Code: command.Failed, Err: fmt.Errorf("%s answered %d: %s", socket, res.StatusCode, bytes.TrimSpace(said))}
	}
	return res.Body, nil
}

// managedSockets are where the admin sockets of managed plugins are on this host, as the Engine says.
func managedSockets(ctx context.Context, s *settings) (paths []string) {
	var plugins []struct {
		ID       string `json:"Id"`
		Enabled  bool
		Settings struct {
			Env    []string
			Mounts []struct{ Source, Destination string }
		}
	}
	var info struct{ DockerRootDir string }
	if ask(ctx, s.upstream, "/plugins", &plugins) != nil || ask(ctx, s.upstream, "/info", &info) != nil {
		return nil
	}
	for _, p := range plugins {
		for _, pair := range p.Settings.Env {
			inside, ok := strings.CutPrefix(pair, "VITRINE_ADMIN_SOCKET=")
			if !ok || !p.Enabled {
				continue
			}
			if inside == "" {
				inside = s.adminSocket
			}
			outside := filepath.Join(info.DockerRootDir, "plugins", p.ID, "rootfs", inside)
			for _, m := range p.Settings.Mounts {
				if below, err := filepath.Rel(m.Destination, inside); err == nil && filepath.IsLocal(below) {
					outside = filepath.Join(m.Source, below)
				}
			}
			paths = append(paths, outside)
		}
	}
	return paths
}

// ask reads one answer of the Engine.
func ask(ctx context.Context, socket, uri string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := getFrom(ctx, socket, uri)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(io.LimitReader(body, 32<<20)).Decode(to)
}
