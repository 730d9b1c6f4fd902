package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vitrine/internal/authz/admin"
	"vitrine/internal/authz/audit"
	"vitrine/internal/authz/decide"
	"vitrine/internal/authz/gateway"
	"vitrine/internal/authz/grant"
	"vitrine/internal/authz/learn"
	"vitrine/internal/authz/object"
	"vitrine/internal/authz/plugin"
	"vitrine/internal/authz/policy"
	"vitrine/internal/authz/record"
	"vitrine/internal/authz/ticket"
	"vitrine/internal/caller/attest"
	"vitrine/internal/caller/identity"
	"vitrine/internal/command"
	"vitrine/internal/engine/docker"
	"vitrine/internal/engine/operation"
	"vitrine/internal/kernel/hostpath"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/procfs"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/otlp"
)

func serveCommand(std command.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer dockerd's plugin protocol, and serve the gateway",
		Long: `Answer dockerd's plugin protocol, and serve the gateway, until SIGTERM or SIGINT.

Each setting is a flag, an environment variable (in parentheses; ";" separates
the values of one that may be repeated) and a key of the YAML file (the flag's
name with "_"). The flag wins over the variable, the variable over the file.
SIGHUP changes nothing: policies are reloaded when their files change.`,
		Example: `  authz-plugin serve
  authz-plugin serve --plugin-socket "" --listen agents=unix:///run/vitrine/docker/docker.sock
  authz-plugin serve --policy /etc/docker/vitrine --mode audit --audit /var/log/vitrine.log`,
		Args: cobra.NoArgs,
		RunE: command.With(readSettings, func(cmd *cobra.Command, s *settings, _ []string) error {
			if err := serve(cmd.Context(), s, std); err != nil {
				return command.ExitError{Code: command.Failed, Err: err}
			}
			return nil
		}),
	}
	table.AddFlags(cmd.Flags())
	return cmd
}

// serve is configuration → parts → run group → wait. Nothing at start waits for
// the Engine: dockerd may be waiting for us.
func serve(ctx context.Context, s *settings, std command.Streams) error {
	signal.Ignore(syscall.SIGHUP)
	keepHeap()
	log := slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: s.logLevel}))
	p, err := build(ctx, s, log, std)
	if err != nil {
		return err
	}
	defer p.close()

	group, ctx := errgroup.WithContext(ctx)
	for _, part := range p.run {
		group.Go(func() error { return part(ctx) })
	}
	log.Info("serving", "version", versionText(), "mode", s.mode)
	err = group.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped as asked")
	return nil
}

// parts are what serve runs, connected.
type parts struct {
	settings  *settings
	log       *slog.Logger
	tickets   *ticket.Store // nil for a gateway alone
	engine    *policy.Engine
	grants    *grant.Keeper
	records   *audit.Log
	otlp      *otlp.Exporter // nil: nothing is sent
	shapes    *record.Store
	candidate *learn.Candidate // nil: there is none
	inventory *docker.Inventory
	ids       *identity.Identifier
	metrics   *admin.Metrics
	steps     *decide.Steps
	gateway   *gateway.Server

	loaded  chan struct{} // a policy was
	run     []func(context.Context) error
	closers []io.Closer
}

func (p *parts) close() {
	for _, c := range p.closers {
		_ = c.Close()
	}
}

// build connects the parts and opens every socket, so that serve is ready when
// it returns.
func build(ctx context.Context, s *settings, log *slog.Logger, std command.Streams) (_ *parts, err error) {
	p := &parts{settings: s, log: log, loaded: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := s.inherit(); err != nil {
		return nil, err
	}
	if s.pluginSocket != "" {
		p.tickets = ticket.NewStore()
	}
	if err := p.buildAudit(std); err != nil { // before the grants, whose ends are recorded
		return nil, err
	}
	p.buildPolicy(ctx)
	if err := p.buildDoors(ctx); err != nil {
		return nil, err
	}
	return p, p.buildAdmin()
}

// buildPolicy loads the policy beside everything else: until it is loaded, the
// answer is no.
func (p *parts) buildPolicy(ctx context.Context) {
	s := p.settings
	p.grants = grant.NewKeeper(grant.Options{
		File: s.grants, StateDir: s.stateDir, Clock: grant.NewClock(nil), Logger: p.log,
		Lend:   func(ctx context.Context, list []grant.Grant) { p.engine.Lend(ctx, list) },
		Record: func(e grant.Event) { p.keep(audit.OfGrant(&e, p.engine.Status().Revision)) },
	})
	of := s.policy
	of.StateDir, of.Logger, of.NoGateway, of.Now, of.Holds = s.stateDir, p.log, len(s.listeners) == 0, p.grants.Now, p.grants.Holds
	of.OnLoad = func() {
		select {
		case p.loaded <- struct{}{}:
		default: // one that came just before is still to be seen to
		}
	}
	p.engine = policy.New(of)
	p.run = append(p.run, func(ctx context.Context) error {
		_ = p.engine.Load(ctx) // the engine has logged why, and denies until the files are mended
		return p.engine.Watch(ctx)
	}, p.engine.Expire, p.grants.Run)
	p.grants.Look(ctx) // before the policy is loaded: what holds from before the start goes on
}

func (p *parts) buildAudit(std command.Streams) error {
	w, err := openAudit(p.settings.audit, std)
	if err != nil {
		return err
	}
	if c, ok := w.(io.Closer); ok {
		p.closers = append(p.closers, c)
	}
	p.records = audit.NewLog(w, p.settings.auditFormat, p.log)
	p.otlp = otlp.New(p.settings.otlp, "authz-plugin", p.log)
	p.shapes = record.New(record.Options{
		Path: p.settings.record, Logger: p.log, Told: p.buildCandidate(),
		Reads: func(parts []string) bool { return p.engine.Reads(parts) }, // which comes after
	})
	for _, problem := range p.shapes.Recall() {
		p.log.Warn("the record of shapes cannot be read whole; what can be read is kept", "error", problem)
	}
	p.run = append(p.run, p.records.Run, p.shapes.Run)
	return nil
}

// buildCandidate gives what is told of each shape: nil, if there is no candidate for the policy.
func (p *parts) buildCandidate() func(*record.Kept) {
	if p.settings.candidate == "" {
		return nil
	}
	engine := policy.New(policy.Options{
		Paths: []string{p.settings.candidate}, AllowByDefault: p.settings.policy.AllowByDefault, Logger: p.log.With("policy", "candidate"),
	})
	p.candidate = learn.NewCandidate(engine, engine.Status)
	p.run = append(p.run, p.candidate.Run, func(ctx context.Context) error {
		_ = engine.Load(ctx) // the engine has logged why; nothing is compared until the files are mended
		return engine.Watch(ctx)
	})
	return p.candidate.Tell
}

func openAudit(name string, std command.Streams) (io.Writer, error) {
	switch name {
	case "stderr":
		return struct{ io.Writer }{std.Err}, nil
	case "stdout":
		return struct{ io.Writer }{std.Out}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return f, nil
}

// firstPolicy is how long a door waits for the first policy. dockerd gives a plugin that does not answer 15 s.
const firstPolicy = 10 * time.Second

// afterFirst opens a door when the first policy was loaded, or refused: who comes before waits in the socket's queue, and is not denied because a
// slow machine takes longer to load it than a decision may take.
func (p *parts) afterFirst(open func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		waiting, cancel := context.WithTimeout(ctx, firstPolicy)
		p.engine.AwaitFirst(waiting)
		cancel()
		return open(ctx)
	}
}

// lateTransport is the gateway's transport, which exists only after those who
// will use it.
type lateTransport struct{ http.RoundTripper }

// buildDoors connects who is calling with what may be done, and opens the doors.
func (p *parts) buildDoors(ctx context.Context) error {
	s := p.settings
	proc := procfs.New(os.DirFS(s.proc))
	self := &lateTransport{}
	client := docker.NewClient(self)
	p.inventory = docker.NewInventory(client, p.log)
	attestor := attest.New(p.inventory, attest.Options{Proc: &proc, Own: s.ownContainer})
	if err := attestor.HostProvable(); err != nil {
		p.log.Warn("no caller can be proven to be the host's, and no container can be told: where processes cannot be seen, callers are known by user id alone (peer-uid:)",
			"error", err, "hint", "run with the host's PID namespace (pid: host) and CAP_SYS_PTRACE; docs/install.md says what a role can be bound to meanwhile")
	}
	p.ids = identity.New(attestor, p.inventory, identity.NewUsers(s.passwd, p.log))
	p.ids.ShowProcesses(proc)
	sockets := s.sockets()
	p.ids.GuardListeners(sockets.Listeners)
	p.inventory.FollowNetworks()
	p.inventory.FollowDefaults()
	p.steps = decide.New(decide.Options{
		Identifier: p.ids, Policy: p.engine, Objects: object.NewResolver(p.inventory), Record: p.record, Shapes: p.shapes, Mode: s.mode, Modes: s.modes(),
		Sockets:      sockets,
		HostPaths:    hostpath.New(hostpath.Config{Root: s.hostRoot, Dial: s.dial, Proc: s.proc, Logger: p.log}),
		Engine:       func() *operation.Engine { return (*operation.Engine)(p.inventory.Defaults()) },
		Old:          p.old,
		OwnContainer: attestor.OwnContainer, Changed: p.inventory.Changed,
	})
	if err := p.buildGateway(ctx, attestor.Group); err != nil {
		return err
	}
	self.RoundTripper = p.gateway.SelfTransport()
	p.inventory.OnDie(p.gateway.CloseContainer)
	p.run = append(p.run, p.inventory.Run, p.tellOwn(attestor.OwnContainer), p.tellEngine)
	return p.buildPlugin()
}

// old is what a container was made with, for who makes it anew.
func (p *parts) old(ctx context.Context, id string) (*operation.Old, error) {
	c, err := p.inventory.Configuration(ctx, id)
	return &operation.Old{Name: c.Name, Config: c.Config, Host: c.Host, Networks: c.Networks, Image: c.ImageOwnConfig}, err
}

// tellOwn says once which container we guard because we run in it, or why we cannot:
// requests that change a container are refused then.
func (p *parts) tellOwn(own func() (string, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		const patience = 10 * time.Second // from when the containers are known
		var enough <-chan time.Time
		for late := false; ; {
			changed := p.inventory.Changed()
			id, err := own()
			switch {
			case err == nil && id != "":
				p.log.Info("guarding the container that we run in", "container_id", id)
				return nil
			case err == nil:
				return nil
			case !errors.Is(err, attest.ErrNotYet), late:
				p.log.Warn("it cannot be told which container we run in, so only an admin may change, enter or read one", "error", err)
				return nil
			}
			if enough == nil && p.inventory.Ready() {
				enough = time.After(patience)
			}
			select {
			case <-changed:
			case <-enough:
				late = true
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// tellEngine says once, as soon as the Engine says what it is, which of our rules do not hold for it.
func (p *parts) tellEngine(ctx context.Context) error {
	const interval = 500 * time.Millisecond
	for {
		if k := p.inventory.Kind(); k != nil {
			if k.Podman {
				p.log.Warn("the Engine is Podman: it asks no plugin, so whoever reaches its own socket passes undecided; "+
					"its own API (/libpod) is refused, what only Docker has (swarm, plugins, BuildKit) it has not", "version", k.Version, "see", "docs/install.md, Other engines")
				if p.tickets != nil {
					p.log.Warn("the plugin's socket is of no use with Podman", "hint", "run a gateway alone: plugin_socket empty")
				}
			}
			if k.Rootless {
				p.log.Warn("the Engine is rootless: a container is known only where its cgroup bears its id (cgroup v2, delegated by systemd); "+
					"callers in others are unknown", "version", k.Version, "see", "docs/install.md, Other engines")
			}
			if err := p.inventory.Untold(); err != nil {
				p.log.Warn("labels of containers count for nothing, as their images may set them, and callers that see only some objects see no containers and no images",
					"why", err, "version", k.Version, "see", "docs/threat-model.md")
			}
			return nil
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// record is where every verdict ends. Our own calls are counted only.
func (p *parts) record(r audit.Record) {
	if r.Caller.Kind != identity.Self || !r.Allow {
		p.keep(r)
	}
	p.metrics.Observe(r)
}

// keep writes a record, and sends it where it is to be sent.
func (p *parts) keep(r audit.Record) {
	p.records.Add(r)
	if p.otlp != nil {
		sent := r // else each record would be made room for, sent or not
		p.otlp.Log(audit.OTLP(&sent, p.settings.auditFormat))
	}
}

func (p *parts) buildGateway(ctx context.Context, callerOf func(*peercred.Peer) string) error {
	s := p.settings
	cfg := gateway.Config{
		Dial: s.dial, Upstream: s.upstream, Authorizer: p.steps, Tickets: p.tickets, RequirePlugin: s.requirePlugin,
		Limits: s.limits, CallerOf: callerOf, Logger: p.log, StillAllowed: p.steps.StillAllowed, Denied: p.steps.Denied,
	}
	for _, l := range s.listeners {
		ln, err := l.listen(ctx)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, ln)
		cfg.Listeners = append(cfg.Listeners, gateway.Listener{Name: l.name, Listener: ln, TLS: l.tls})
	}
	var err error
	p.gateway, err = gateway.New(cfg)
	if err != nil {
		return err
	}
	p.run = append(p.run, p.afterFirst(p.gateway.Serve), p.reconsider)
	return nil
}

// modes are those of listeners with one of their own.
func (s *settings) modes() map[string]decide.Mode {
	modes := map[string]decide.Mode{}
	for _, l := range s.listeners {
		if l.denials != "" {
			modes[l.name] = l.denials
		}
	}
	return modes
}

// dial connects to dockerd's own socket.
func (s *settings) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.upstream)
}

// reconsider has the gateway look again at what is on its way whenever a policy
// was loaded.
func (p *parts) reconsider(ctx context.Context) error {
	for {
		select {
		case <-p.loaded:
			p.gateway.Reconsider(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inherit takes over the sockets that others listen on for us. Their paths are known from then on.
func (s *settings) inherit() error {
	if !slices.ContainsFunc(s.listeners, func(l listener) bool { return l.fd != "" }) {
		return nil
	}
	given, err := unixsocket.Inherited()
	if err != nil {
		return err
	}
	for i, l := range s.listeners {
		if l.fd == "" {
			continue
		}
		taken, has := given[l.fd]
		if !has {
			return fmt.Errorf("listener %s: nobody listens on a socket %s for us (there are %v): start it by its socket unit", l.name, l.fd, slices.Sorted(maps.Keys(given)))
		}
		s.listeners[i].taken, s.listeners[i].path = taken, taken.Addr().String()
	}
	return nil
}

func (l listener) listen(ctx context.Context) (net.Listener, error) {
	if l.taken != nil {
		return l.taken, nil
	}
	if l.path == "" {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", l.addr)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.name, err)
		}
		return ln, nil
	}
	ln, err := unixsocket.Listen(unixsocket.File{Path: l.path, Mode: l.mode, GID: l.gid})
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.name, err)
	}
	return ln, nil
}

func (p *parts) buildPlugin() error {
	if p.tickets == nil {
		return nil
	}
	ln, err := unixsocket.Listen(unixsocket.File{Path: p.settings.pluginSocket, Mode: 0o600, GID: -1})
	if err != nil {
		return fmt.Errorf("plugin socket: %w", err)
	}
	p.closers = append(p.closers, ln)
	door := plugin.New(plugin.Config{
		Authorizer: p.steps, Tickets: p.tickets, Logger: p.log, Differential: p.steps.Differential,
		GatewaySocket: p.gatewaySocket(),
	})
	p.run = append(p.run, p.afterFirst(func(ctx context.Context) error { return door.Serve(ctx, ln) }))
	return nil
}

// gatewaySocket is where a caller is sent whose answer must be redacted.
func (p *parts) gatewaySocket() string {
	for _, l := range p.settings.listeners {
		if l.plain() {
			return l.path
		}
	}
	return "(none is configured: see --listen)"
}
