package export

import (
	"fmt"
	"strings"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

// TestHappened: each event is a record with its container's account; what Docker does not tell is the worst.
func TestHappened(t *testing.T) {
	a := filled()
	events := append(full(time.Unix(1000, 0), 1).Events, collect.Event{Name: collect.EventExit, ContainerID: "gone", ContainerName: "gone\x1b[2J"})
	var got []string
	Happened(a, events, []int{0, 143}, func(account string, r *logspb.LogRecord) {
		if _, err := proto.Marshal(r); err != nil {
			t.Error(err)
		}
		var id string
		for _, attribute := range r.GetAttributes() {
			if attribute.GetKey() == "container.id" {
				id = attribute.GetValue().GetStringValue()
			}
		}
		if account != id || r.GetTimeUnixNano() != 1000e9 && id != "gone" {
			t.Errorf("%q: %s", account, r)
		}
		got = append(got, fmt.Sprintf("%s %s %s", r.GetSeverityText(), r.GetEventName(), r.GetBody().GetStringValue()))
	})
	want := []string{
		`ERROR vitrine.container.oom_kill web: the OOM killer killed 1 inside (py\x1b[2J (42)), and PID 1 lives on: the container may be stuck`,
		"WARN vitrine.container.oom_kill dead: died of the OOM killer",
		"WARN vitrine.container.exit dead: ended with exit code 137",
		"INFO vitrine.container.exit gone?[2J: ended with exit code 0",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("%q\nwant %q", got, want)
			break
		}
	}
}

// TestContainerSaysNotWhatBefellItClosed: its tags are its own to choose, and as long as it likes.
func TestContainerSaysNotWhatBefellItClosed(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"forged": {"com.datadoghq.ad.tags": `["container.id:forged","container.name:forged","container.image.name:forged","vitrine.oom.kills:9","vitrine.oom.pid1_alive:forged","team:x"]`},
		"long":   {"com.datadoghq.ad.tags": `["team:` + strings.Repeat("x", 1<<20) + `"]`},
	} {
		a := series.New(tag.New(tag.Config{}), nil)
		a.Update(&collect.Snapshot{Time: time.Now(), Engine: collect.Engine{Up: true}, Containers: []*collect.Container{{Container: docker.Container{ID: "1", Name: "evil", Image: "shop/web:1", Running: true, Labels: labels}}}})
		records := 0
		Happened(a, []collect.Event{{Time: time.Now(), Name: collect.EventOOMKill, ContainerID: "1", ContainerName: "evil", PID1Alive: true, Kills: 1}}, nil, func(_ string, r *logspb.LogRecord) {
			records++
			if size := proto.Size(r); size > textAtOnce+4096 {
				t.Errorf("%s: a record of %d bytes", name, size)
			}
			seen := map[string]bool{}
			for _, attribute := range r.GetAttributes() {
				if seen[attribute.GetKey()] || attribute.GetValue().GetStringValue() == "forged" {
					t.Errorf("%s: %s", name, attribute)
				}
				seen[attribute.GetKey()] = true
				if k := attribute.GetKey(); k == "vitrine.oom.kills" && attribute.GetValue().GetIntValue() != 1 || k == "vitrine.oom.pid1_alive" && !attribute.GetValue().GetBoolValue() {
					t.Errorf("%s: %s", name, attribute)
				}
			}
			if !seen["container.id"] || seen["team"] != (name == "forged") {
				t.Errorf("%s: %v", name, seen)
			}
		})
		if records != 1 {
			t.Errorf("%s: %d records", name, records)
		}
	}
}
