package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vitrine/internal/command"
	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
	"vitrine/internal/version"
)

func runCommand(std command.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Collect for ever, and answer on /metrics",
		Long: `Collect for ever, and answer on /metrics, until SIGTERM or SIGINT.

Each setting is a flag, an environment variable (in parentheses) and a key of
the YAML file (the flag's name with "_"). The flag wins over the variable, the
variable over the file.`,
		Example: `  monitor run
  monitor run --docker unix:///var/run/docker.sock --interval 5s
  monitor run --proc /host/proc --cgroup /host/sys/fs/cgroup --http 0.0.0.0:9780`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := runForEver(cmd.Context(), s, s.logger(std)); err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return nil
		},
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
		debug.SetGCPercent(25)
	}
	p, err := build(s, log)
	if err != nil {
		return err
	}
	page, err := s.listenHTTP(ctx)
	if err != nil {
		return err
	}
	received, err := p.receive(s, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if page != nil {
		log.Info("answering", "address", page.Addr().String())
		group.Go(func() error { return serve(ctx, page, p.pages(s, received.page(), log)) })
	}
	if received != nil {
		group.Go(func() error { return received.run(ctx) })
	}
	group.Go(func() error { return p.inventory.Run(ctx) })
	group.Go(func() error { return p.collector.Run(ctx, s.interval, p.series.Update) })
	log.Info("monitoring", "version", "monitor "+version.Text(), "docker", s.docker, "interval", s.interval)
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped as asked")
	return nil
}

// listenHTTP opens the listener for /metrics; nil if there is to be none.
func (s *settings) listenHTTP(ctx context.Context) (net.Listener, error) {
	if s.http == "" {
		return nil, nil //nolint:nilnil // nobody asked for one
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.http)
	if err != nil {
		return nil, fmt.Errorf("listen for /metrics: %w", err)
	}
	return l, nil
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

func (p *parts) pages(s *settings, d *export.DogStatsD, log *slog.Logger) *http.Server {
	self := prometheus.NewRegistry()
	program, goVersion := version.Get()
	self.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "monitor_build_info", Help: "Version of the monitor and of Go; always 1.",
		ConstLabels: prometheus.Labels{"version": program, "goversion": goVersion},
	}, func() float64 { return 1 }))
	self.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", export.Metrics(p.series, d, self))
	if d != nil {
		mux.Handle("GET /dogstatsd", export.Senders(p.series, d))
	}
	mux.HandleFunc("GET /healthz", p.health(s.interval))
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// health is 503 when collections have stopped. That the Engine is gone is said,
// but starting the monitor again would not bring it back.
func (p *parts) health(interval time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer := struct {
			Status   string    `json:"status"`
			EngineUp bool      `json:"engine_up"`
			Last     time.Time `json:"last_collection"`
		}{Status: "ok"}
		p.series.Look(func(v *series.View) { answer.EngineUp, answer.Last = v.Up, v.Time })
		code := http.StatusOK
		if time.Since(answer.Last) > 3*interval {
			answer.Status, code = "no collection", http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer) // the reader left
	}
}
