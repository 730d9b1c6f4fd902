package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"vitrine/internal/caller/attest"
	"vitrine/internal/kernel/cgroup"
	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/export"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/sender"
	"vitrine/internal/monitor/tag"
)

// defaultSocket is where DogStatsD is received if nobody says otherwise, and its
// folder can be written.
const defaultSocket = "/run/vitrine/dsd/dsd.sock"

// receiver is the DogStatsD side.
type receiver struct {
	server   *dogstatsd.Server
	messages *messages.Aggregator
	quota    int
}

// receive opens the DogStatsD sockets; nil if there are to be none. The inventory
// must not run yet.
func (p *parts) receive(s *settings, log *slog.Logger) (*receiver, error) {
	cfg := s.dogstatsd
	if cfg.Datagram.Path == "" && cfg.Stream.Path == "" && cfg.UDP == "" {
		return nil, nil //nolint:nilnil // nobody asked for one
	}
	cgroups, err := hierarchies(s.cgroup)
	if err != nil {
		return nil, err
	}
	// Senders are processes of our own PID namespace, whatever s.proc shows.
	finder := sender.New(p.inventory, cgroups, attest.Options{CgroupsAlone: true})
	of, tagger := s.messages, tag.New(s.tags)
	of.Tags, of.Keys = p.tags(tagger), tagger.Keys()
	of.Logger, cfg.Logger = log, log
	r := &receiver{messages: messages.New(of), quota: of.Quota}
	r.server = dogstatsd.New(cfg, finder, r.messages)
	if err := r.server.Listen(); err != nil {
		if cfg.Datagram.Path == defaultSocket && cfg.Stream.Path == "" && cfg.UDP == "" && cfg.Datagram.GID == 0 && unwritable(err) {
			log.Warn("no DogStatsD: the folder of its socket is not there, or not ours", "error", err.Error(),
				"hint", "make it writable for the monitor, or give --dogstatsd-socket")
			return nil, nil //nolint:nilnil // the default is done without where it has no place
		}
		return nil, hint(err, cfg.Datagram.GID)
	}
	log.Info("receiving", "datagram", cfg.Datagram.Path, "stream", cfg.Stream.Path, "udp", r.server.UDPAddr())
	return r, nil
}

// unwritable says that a folder is missing, not ours, or on a read-only file system.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EROFS)
}

// run receives until ctx ends.
func (r *receiver) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.server.Serve(ctx) })
	group.Go(func() error { r.messages.Run(ctx); return ctx.Err() })
	return group.Wait()
}

// hint says what to do about a folder that is missing or not ours, or a group
// that is not.
func hint(err error, gid int) error {
	switch {
	case unwritable(err) && gid != 0:
		return fmt.Errorf("receive DogStatsD: %w (the socket's folder must be writable for uid %d, which must be in group %d to give the socket to it)", err, os.Getuid(), gid)
	case unwritable(err):
		return fmt.Errorf("receive DogStatsD: %w (the socket's folder must be writable for uid %d; --dogstatsd-socket \"\" does without)", err, os.Getuid())
	}
	return fmt.Errorf("receive DogStatsD: %w", err)
}

// page is what the page shows of it; nil for nothing.
func (r *receiver) page() *export.DogStatsD {
	if r == nil {
		return nil
	}
	return &export.DogStatsD{Latest: r.messages.Latest, Read: r.messages.Read, Telemetry: r.server.Telemetry, Examples: r.server.Examples, Quota: r.quota}
}

// hierarchies are those that tell containers by a cgroup's id: version 2's, and
// version 1's that clients know themselves by.
func hierarchies(root string) (map[string]fs.FS, error) {
	v2, v1, err := cgroup.Mounts(root)
	if err != nil {
		return nil, err
	}
	out := map[string]fs.FS{}
	if v2 != "" {
		out[""] = os.DirFS(v2)
	}
	if dir, ok := v1["memory"]; ok {
		out["memory"] = os.DirFS(dir)
	}
	return out, nil
}

// tags gives a container's by its full id, at a cardinality; false if the container is not known.
func (p *parts) tags(by *tag.Tagger) func(id string, level tag.Cardinality) ([]tag.Tag, bool) {
	return func(id string, level tag.Cardinality) ([]tag.Tag, bool) {
		c, ok := p.inventory.Recall(id)
		if !ok {
			return nil, false
		}
		return by.Tags(&c).At(level), true
	}
}
