package oracle

import (
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestDashboardFitsItsSchema: Grafana's own types know each key of the dashboard and of its panels, and take each value.
func TestDashboardFitsItsSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins() // what panels and queries may hold
	for _, file := range files(t, "../../deploy/grafana/*.json") {
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(text(t, file)); err != nil && err.Error() != "" { // an empty list of errors is not nil
			t.Errorf("%s: %v", file, err)
		}
		if err := d.Validate(); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", file, err)
		}
	}
}
