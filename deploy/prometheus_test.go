package deploy_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestAlerts: promtool takes the rules, each fires when rules_test.yaml says so, and each metric in them is one
// that the documentation has, whose tables are held against the programs.
func TestAlerts(t *testing.T) {
	const rules, cases = "prometheus/vitrine.rules.yaml", "prometheus/rules_test.yaml"
	requireProgram(t, "promtool")
	for _, arg := range [][]string{{"check", "rules", rules}, {"test", "rules", cases}, {"check", "config", "prometheus/prometheus.yml"}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", arg...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", arg, err, out)
		}
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, rules), -1) {
		if !regexp.MustCompile(alert[1] + `\n\s+exp_alerts:\n`).MatchString(read(t, cases)) {
			t.Errorf("%s is never seen to fire in %s", alert[1], cases)
		}
	}
	documented := read(t, "../docs/metrics.md") + read(t, "../docs/audit.md")
	for _, metric := range regexp.MustCompile(`\b(vitrine|docker)_\w+`).FindAllString(read(t, rules), -1) {
		if !strings.Contains(documented, "| `"+metric) {
			t.Errorf("no page has a row for %s", metric)
		}
	}
}
