package page

import (
	"net/http"
	"slices"

	"vitrine/internal/monitor/asks"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/status"
	"vitrine/internal/monitor/tag"
)

// containerAnswer is one container's page.
type containerAnswer struct {
	*status.Detail
	Sent    []sentSeries   `json:"sent"`    // its DogStatsD metrics
	Touched []asks.Request `json:"touched"` // who asked Docker for it
}

// sentSeries is a series of DogStatsD messages.
type sentSeries struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Tags  []string `json:"tags"`  // the client's own
	Value *float64 `json:"value"` // a count's in the interval, a gauge's last, a set's size; of others the mean; null if nothing came
	P95   *float64 `json:"p95,omitempty"`
	Max   *float64 `json:"max,omitempty"`
	Total float64  `json:"total,omitempty"` // of a count, since it began; of a histogram or distribution, how many
}

// sentMost bounds the list of one container.
const sentMost = 200

func (p *Page) container(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	d, ok := p.o.Status.Detail(id)
	if !ok {
		http.Error(w, "vitrine: there is no such container, and was none in the last hour", http.StatusNotFound)
		return
	}
	answer(w, containerAnswer{d, p.sent(id), p.o.Asks.Touched(id, d.Name)})
}

func (p *Page) history(w http.ResponseWriter, r *http.Request) {
	span := r.URL.Query().Get("span")
	if span != "hour" && span != "day" {
		http.Error(w, "vitrine: span is hour or day", http.StatusBadRequest)
		return
	}
	h, ok := p.o.Status.History(r.PathValue("id"), span == "day")
	if !ok {
		http.Error(w, "vitrine: there is no such container, and was none in the last hour", http.StatusNotFound)
		return
	}
	answer(w, h)
}

func (p *Page) cell(w http.ResponseWriter, r *http.Request) {
	d, ok := p.o.Asks.Detail(r.URL.Query().Get("caller"), r.URL.Query().Get("class"))
	if !ok {
		http.Error(w, "vitrine: this caller has asked for nothing of this class", http.StatusNotFound)
		return
	}
	answer(w, d)
}

// shapes are the record's of a cell; null where there is no record, or it cannot be read.
func (p *Page) shapes(w http.ResponseWriter, r *http.Request) {
	list, err := p.o.Asks.Shapes(r.Context(), r.URL.Query().Get("caller"), r.URL.Query().Get("class"))
	if err != nil {
		answer(w, nil)
		return
	}
	answer(w, list)
}

func (p *Page) dogstatsd(w http.ResponseWriter, r *http.Request) {
	if p.o.DogStatsD == nil {
		answer(w, nil)
		return
	}
	p.o.DogStatsD.ServeHTTP(w, r)
}

// pluginMetrics are authz-plugin's own, for a Prometheus that cannot ask a Unix socket. They go through the page's door, not that of
// /metrics, since they tell what the admin socket tells: nobody reads them who may not look at the page.
func (p *Page) pluginMetrics(w http.ResponseWriter, r *http.Request) {
	text, err := p.o.Asks.Metrics(r.Context())
	if err != nil {
		http.Error(w, "vitrine: "+err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(text) // the reader left
}

// sent are the series that bear a container's tags at some cardinality. Containers
// whose tags are equal share them.
func (p *Page) sent(id string) []sentSeries {
	out := []sentSeries{}
	if p.o.Sent == nil {
		return out
	}
	var levels [][]tag.Tag
	for _, level := range []tag.Cardinality{tag.Low, tag.Orchestrator, tag.High} {
		if tags, ok := p.o.Tags(id, level); ok && len(tags) > 0 {
			levels = append(levels, tags)
		}
	}
	list := p.o.Sent().Series
	for i := range list {
		s := &list[i]
		if len(out) < sentMost && slices.ContainsFunc(levels, func(tags []tag.Tag) bool { return bears(s, tags) }) {
			out = append(out, sentOf(s, levels[len(levels)-1]))
		}
	}
	return out
}

func bears(s *messages.Series, tags []tag.Tag) bool {
	if s.Given != len(tags) {
		return false
	}
	for _, t := range tags {
		if !slices.Contains(s.Tags, t) {
			return false
		}
	}
	return true
}

func sentOf(s *messages.Series, container []tag.Tag) sentSeries {
	out := sentSeries{Name: s.Name, Type: s.Type.String(), Tags: []string{}}
	for _, t := range s.Tags {
		if !slices.Contains(container, t) {
			out.Tags = append(out.Tags, t.String())
		}
	}
	switch out.Type {
	case "histogram", "distribution":
		out.Total = s.TotalCount
		if s.Seen {
			avg, p95 := s.Avg(), s.Quantile(0.95)
			out.Value, out.P95, out.Max = &avg, &p95, &s.Max
		}
	default:
		out.Value, out.Total = &s.Value, s.Total
	}
	return out
}
