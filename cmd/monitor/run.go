package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vitrine/internal/command"
	"vitrine/internal/engine/docker"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/page"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/otlp"
	"vitrine/internal/version"
)

func runCommand(std command.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Collect for ever, and answer with a page and /metrics",
		Long: `Collect for ever, and answer with a page at / and on /metrics, until SIGTERM or
SIGINT. docs/page.md says who may look at the page.

Each setting is a flag, an environment variable (in parentheses) and a key of
the YAML file (the flag's name with "_"). The flag wins over the variable, the
variable over the file.`,
		Example: `  monitor run
  monitor run --docker unix:///var/run/docker.sock --interval 5s
  monitor run --proc /host/proc --cgroup /host/sys/fs/cgroup --http 0.0.0.0:9780`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			if err := runForEver(cmd.Context(), s, s.logger(std)); err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	return cmd
}

// parts are what both commands are made of.
type parts struct {
	inventory *docker.Inventory
	collector *collect.Collector
	series    *series.Aggregator
}

func build(s *settings, log *slog.Logger) (*parts, error) {
	client := docker.NewClient(&http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.docker)
		},
		MaxIdleConns: 4, IdleConnTimeout: time.Minute,
	})
	inventory := docker.NewInventory(client, log)
	inventory.KeepDetails()
	collector, err := collect.New(collect.Config{
		Proc: s.proc, Cgroup: s.cgroup, Inventory: inventory, Counts: client.Counts, Log: log, Kmsg: s.kmsg,
	})
	if err != nil {
		return nil, err
	}
	return &parts{inventory, collector, series.New(tag.New(s.tags), s.okExits)}, nil
}

// runForEver is configuration → parts → run group → wait.
func runForEver(ctx context.Context, s *settings, log *slog.Logger) error {
	// Nearly all of the heap lives on, and the garbage is a page a scrape. Collecting it early
	// costs little, and keeps a third of the memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
	p, err := build(s, log)
	if err != nil {
		return err
	}
	listeners, err := s.listenHTTP(ctx)
	if err != nil {
		return err
	}
	received, err := p.receive(s, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	update := p.series.Update
	sender := otlp.New(s.otlp, "monitor", log)
	self := selfMetrics(sender)
	if sender != nil {
		group.Go(func() error {
			return sender.Run(ctx, otlp.All(otlp.Gathered(self, log), export.OTLP(p.series, received.page())))
		})
		update = func(snap *collect.Snapshot) {
			p.series.Update(snap)
			export.Happened(p.series, snap.Events, s.okExits, sender.Log)
		}
	}
	if len(listeners) > 0 {
		f, err := p.face(s, received, self)
		if err != nil {
			return err
		}
		collected := update
		update = func(snap *collect.Snapshot) {
			collected(snap)
			f.collected(snap)
		}
		group.Go(func() error { return f.asks.Run(ctx) })
		for _, l := range listeners {
			door := page.DoorOf(l.Addr(), s.token)
			log.Info("answering", "address", l.Addr().String(), "page", door.String())
			group.Go(func() error { return serve(ctx, l, f.server(door, log)) })
		}
	}
	if received != nil {
		group.Go(func() error { return received.run(ctx) })
	}
	group.Go(func() error { return p.inventory.Run(ctx) })
	group.Go(func() error { return p.collector.Run(ctx, s.interval, update) })
	log.Info("monitoring", "version", "monitor "+version.Text(), "docker", s.docker, "interval", s.interval)
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped as asked")
	return nil
}

// listenHTTP opens the listeners for the page and /metrics.
func (s *settings) listenHTTP(ctx context.Context) ([]net.Listener, error) {
	var out []net.Listener
	for _, at := range s.http {
		var l net.Listener
		var err error
		if path, unix := strings.CutPrefix(at, "unix://"); unix {
			l, err = unixsocket.Listen(unixsocket.File{Path: path, Mode: 0o600, GID: -1})
		} else {
			l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", at)
		}
		if err != nil {
			for _, open := range out {
				_ = open.Close()
			}
			return nil, fmt.Errorf("listen for the page and /metrics: %w", err)
		}
		out = append(out, page.Bound(l))
	}
	return out, nil
}

// serve answers on l until ctx ends.
func serve(ctx context.Context, l net.Listener, s *http.Server) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer on %s: %w", l.Addr(), err)
	}
	return ctx.Err()
}
