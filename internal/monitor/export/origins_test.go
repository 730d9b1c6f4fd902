package export

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/tag"
	"vitrine/test/statsd"
)

// replicas have equal tags, but for one that is given a tag more.
type replicas struct{}

func (replicas) ContainerTags(id string, _ tag.Cardinality) ([]tag.Tag, bool) {
	tags := []tag.Tag{{Key: "service", Value: "shop"}}
	if id == "blue" {
		tags = append(tags, tag.Tag{Key: "team", Value: "blue"})
	}
	return tags, true
}

// sentBy is what messages of several containers give, each as "container line".
func sentBy(t *testing.T, lines ...string) *DogStatsD {
	t.Helper()
	m := messages.New(messages.Config{Tags: replicas{}.ContainerTags})
	for _, line := range lines {
		id, line, _ := strings.Cut(line, " ")
		statsd.Feed(t, m, &dogstatsd.Origin{Source: dogstatsd.SourceKernel, Container: id}, line)
	}
	m.Flush(time.Now())
	server := dogstatsd.New(dogstatsd.Config{}, nil, m)
	return &DogStatsD{Latest: m.Latest, Telemetry: server.Telemetry, Examples: server.Examples, Quota: 20000}
}

// TestChecksOfReplicas: the one that is down is on the page, whoever else is up.
func TestChecksOfReplicas(t *testing.T) {
	body := scrapeSent(t, sentBy(t, "one _sc|db|0|#x", "two _sc|db|0|#x", "three _sc|db|2|#x", "one _sc|a.b|1|#c.d", "one _sc|a.b|2|#c_d"), "")
	for _, want := range []string{
		`dogstatsd_service_check_status{check="db",container_name="one",origin="kernel",service="shop",x="true"} 0`,
		`dogstatsd_service_check_status{check="db",container_name="two",origin="kernel",service="shop",x="true"} 0`,
		`dogstatsd_service_check_status{check="db",container_name="three",origin="kernel",service="shop",x="true"} 2`,
		`dogstatsd_service_check_status{c_d="true",check="a.b",container_name="one",origin="kernel",service="shop"} 1`,
		`dogstatsd_service_check_status{c_d="true",check="a.b",container_name="one",origin="kernel",service="shop",dogstatsd_series="a.b||c_d|service:shop"} 2`,
		`dogstatsd_series_dropped 0`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if t.Failed() {
		t.Log(body[strings.Index(body, "# HELP dogstatsd"):])
	}
}

// TestDroppedChecksAreCounted: what cannot be on the page is not lost in silence.
func TestDroppedChecksAreCounted(t *testing.T) {
	c := messages.Check{Name: "db", Tags: []tag.Tag{{Key: "x", Value: "y"}}}
	p := page{}
	if n := p.checks([]messages.Check{c, c, c}, nil, map[string]bool{}); n != 1 {
		t.Errorf("%d are dropped, and two are shown:\n%s", n, p.b)
	}
}

// TestGivenTagsHaveThePlainLabels: whoever comes first, a container that has a tag in earnest is
// not told apart by a label for one that has chosen it.
func TestGivenTagsHaveThePlainLabels(t *testing.T) {
	lines := []string{"evil a.b:1|c|#team:blue", "evil a-b:2|c|#team:blue", "blue a_b:4|c"}
	for range 2 {
		body := scrapeSent(t, sentBy(t, lines...), "")
		if want := "\na_b_total{service=\"shop\",team=\"blue\"} 4\n"; !strings.Contains(body, want) || strings.Count(body, "\na_b_total{") != 3 {
			t.Errorf("no line %s in %s", want, fmt.Sprint(body[strings.Index(body, "# HELP a_b"):]))
		}
		lines[0], lines[2] = lines[2], lines[0]
	}
}
