package vitrine

import (
	"errors"
	"maps"
)

// Plug makes dockerd ask the plugin: it names it in daemon.json, beside the
// given settings, and waits until the gateway has seen dockerd ask.
func (p *Process) Plug(settings map[string]any) {
	p.tb.Helper()
	all := map[string]any{"authorization-plugins": []string{"vitrine"}}
	maps.Copy(all, settings)
	if err := errors.Join(p.Engine.WriteDaemonJSON(all), p.Engine.Hangup()); err != nil {
		p.tb.Fatal(err)
	}
	p.Eventually("dockerd to ask the plugin", func() error {
		h, err := p.Health()
		if err == nil && h.Checks["plugin"] != "ok" {
			err = errors.New(h.Checks["plugin"])
		}
		return err
	})
}
