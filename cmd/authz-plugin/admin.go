package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"vitrine/internal/authz/admin"
	"vitrine/internal/kernel/peercred"
	"vitrine/internal/kernel/unixsocket"
	"vitrine/internal/otlp"
)

func (p *parts) buildAdmin() error {
	sources := admin.Sources{Policy: p.engine.Status, Lost: p.records.Lost, PutOut: p.shapes.PutOut, Gauges: p.gauges()}
	var candidate io.WriterTo
	if p.candidate != nil {
		sources.Candidate, candidate = p.candidate.Counts, p.candidate
	}
	if p.otlp != nil {
		sources.OTLP = p.otlp
		p.run = append(p.run, func(ctx context.Context) error { return p.otlp.Run(ctx, otlp.Gathered(p.metrics.Gatherer(), p.log)) })
	}
	p.metrics = admin.NewMetrics(sources)
	if p.settings.adminSocket == "" {
		return nil
	}
	// The folder keeps others out, unless the operator made it wider.
	if err := os.MkdirAll(filepath.Dir(p.settings.adminSocket), 0o700); err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	ln, err := unixsocket.Listen(unixsocket.File{Path: p.settings.adminSocket, Mode: 0o666, GID: -1})
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	p.closers = append(p.closers, ln)
	srv := admin.New(admin.Options{
		Identifier: p.ids, Allow: p.settings.adminAllow, Log: p.records, Shapes: p.shapes, Candidate: candidate, Metrics: p.metrics, Checks: p.checks(), Status: p.status, Logger: p.log,
	})
	p.run = append(p.run, func(ctx context.Context) error { return srv.Serve(ctx, peercred.NewListener(ln, p.log)) })
	return nil
}

func (p *parts) gauges() []admin.Gauge {
	gauges := []admin.Gauge{
		{Name: "vitrine_inventory_ready", Help: "1 while the inventory of containers is kept by the Engine's events.", Value: func() float64 { return number(p.inventory.Ready()) }},
		{Name: "vitrine_inventory_unanswered", Help: "Containers about which the Engine does not answer, while it answers about others; the log names them.", Value: func() float64 { return float64(len(p.inventory.Unanswered())) }},
		{Name: "vitrine_containers", Help: "Running containers in the inventory.", Value: func() float64 { return float64(len(p.inventory.Running())) }},
		{Name: "vitrine_record_shapes", Help: "Shapes of decisions in the record.", Value: func() float64 { return float64(p.shapes.Size()) }},
		{Name: "vitrine_gateway_connections", Help: "Open connections of callers.", Value: func() float64 { return float64(p.gateway.Stats().Connections) }},
		{Name: "vitrine_gateway_streams", Help: "Requests being forwarded, open streams among them.", Value: func() float64 { return float64(p.gateway.Stats().Streams) }},
	}
	if p.settings.pluginSocket == "" {
		return gauges // a gateway alone has no plugin that could be asked
	}
	return append(gauges, admin.Gauge{Name: "vitrine_plugin_asked", Help: "1 while dockerd asks the plugin, 0 while it does not: an alarm.", Value: func() float64 {
		asked, known := p.gateway.Asked()
		return number(asked || !known)
	}})
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// status is what runs.
func (p *parts) status() admin.Status {
	policy, counts := p.engine.Status(), p.engine.Counts()
	s := admin.Status{
		Version: versionText(), Time: p.grants.Now(), Mode: string(p.settings.mode), Plugin: admin.Plugin{Socket: p.settings.pluginSocket},
		Policy: admin.Policy{
			Revision: policy.Revision, Source: policy.Source, Kept: policy.Kept, Error: policy.LastError,
			Roles: counts.Roles, Bindings: counts.Bindings, AuditOnly: counts.Audit,
		},
	}
	if policy.Revision != "" {
		s.Policy.Since = &policy.LoadedAt
	}
	if policy.LastError != "" {
		s.Policy.ErrorAt = &policy.LastErrorAt
	}
	if asked, known := p.gateway.Asked(); known {
		s.Plugin.Asked = &asked
	}
	for _, l := range p.settings.listeners {
		address := "tcp://" + l.addr
		if l.path != "" {
			address = "unix://" + l.path
		}
		s.Listeners = append(s.Listeners, admin.Listener{Name: l.name, Address: address, TLS: l.tls != nil, Mode: string(l.denials)})
	}
	s.Holding, s.Refused = p.grants.Holding()
	if p.candidate != nil {
		s.Candidate = map[string]uint64{}
		differs, _ := p.candidate.Counts()
		maps.Copy(s.Candidate, differs)
	}
	return s
}

// checks are the lines of /healthz.
func (p *parts) checks() []admin.Check {
	return []admin.Check{
		{Name: "policy", Run: func() error {
			switch s := p.engine.Status(); {
			case s.LastError != "":
				decides := "everything is denied"
				if s.Revision != "" {
					decides = "the last good one decides, revision " + s.Revision
				}
				return fmt.Errorf("refused at %s, %s: %s", s.LastErrorAt.UTC().Format("2006-01-02T15:04:05Z"), decides, s.LastError)
			case s.Revision == "":
				return errors.New("none is loaded yet: everything is denied")
			}
			return nil
		}},
		{Name: "audit", Run: p.records.Health},
		{Name: "grants", Run: p.grants.Health},
		{Name: "upstream", Run: func() error {
			if !p.gateway.Ready() {
				return fmt.Errorf("%s has not answered yet", p.settings.upstream)
			}
			return nil
		}},
		{Name: "inventory", Run: func() error {
			if !p.inventory.Ready() {
				return errors.New("the Engine's events are not being followed: callers in new containers are unknown")
			}
			return nil
		}},
		{Name: "plugin", Run: func() error {
			if asked, known := p.gateway.Asked(); known && !asked {
				return errors.New("dockerd does not ask the plugin: name it in authorization-plugins of daemon.json and send dockerd a SIGHUP")
			}
			return nil
		}},
	}
}
