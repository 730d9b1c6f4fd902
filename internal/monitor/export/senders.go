package export

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

// Limits of the answer of [Senders].
const (
	listMost = 500  // of each list
	textMost = 4000 // bytes of one text, as Datadog has it
)

type jsonDogStatsD struct {
	Time     string       `json:"time,omitempty"` // of the last interval's end
	Interval float64      `json:"interval_seconds"`
	Quota    int          `json:"quota"`          // of each sender
	Senders  []jsonSender `json:"senders"`        // who uses most of its quota first
	Events   []jsonSent   `json:"events"`         // the last ones, the newest first
	Checks   []jsonSent   `json:"service_checks"` // the latest of each, the worst first
	Refused  []jsonLine   `json:"refused_lines"`  // the last of each reason
	LeftOut  int          `json:"left_out"`       // for want of room
}

// jsonFrom says who has sent something, and on whose word we know.
type jsonFrom struct {
	Origin        string `json:"origin"` // kernel, client or none
	ContainerID   string `json:"container_id,omitempty"`
	ContainerName string `json:"container_name,omitempty"`
}

type jsonSender struct {
	jsonFrom
	Contexts          int               `json:"contexts"`
	QuotaUsed         int               `json:"quota_used"`
	MessagesRefused   uint64            `json:"messages_refused"`
	TimestampsRefused uint64            `json:"timestamps_refused"`
	Events            map[string]uint64 `json:"events"`
	Checks            map[string]uint64 `json:"service_checks"`
}

// jsonSent is an event or a service check. All but the sender and the status is
// the sender's to choose.
type jsonSent struct {
	jsonFrom
	Time           string   `json:"time,omitempty"` // absent if it is no time of ours
	Check          string   `json:"check,omitempty"`
	Status         string   `json:"status,omitempty"`
	Message        string   `json:"message,omitempty"`
	Title          string   `json:"title,omitempty"`
	Text           string   `json:"text,omitempty"`
	AlertType      string   `json:"alert_type,omitempty"`
	LowPriority    bool     `json:"low_priority,omitempty"`
	AggregationKey string   `json:"aggregation_key,omitempty"`
	Source         string   `json:"source_type_name,omitempty"`
	Host           string   `json:"host,omitempty"`
	Tags           []string `json:"tags"`
}

type jsonLine struct {
	jsonFrom
	Reason  string `json:"reason"`
	Count   uint64 `json:"count"`   // since the start
	Example string `json:"example"` // the first 200 bytes
	Time    string `json:"time"`
}

// Senders answers with what no metric can say of DogStatsD: events, messages of
// service checks, senders, and examples of the lines that could not be read. It is for
// people, and for a page that escapes what it shows: most of the texts are the
// senders'.
func Senders(a *series.Aggregator, d *DogStatsD) http.Handler {
	return atMost(scrapes, func(w http.ResponseWriter, _ *http.Request) {
		b, err := json.MarshalIndent(d.answer(containerNames(a)), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(append(b, '\n')) // the reader left
	})
}

// atMost lets so many requests be answered at once, as each answer is made whole.
func atMost(most int, answer http.HandlerFunc) http.Handler {
	slots := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			answer(w, r)
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		}
	})
}

// containerNames are the names of containers by id.
func containerNames(a *series.Aggregator) map[string]string {
	names := map[string]string{}
	a.Look(func(v *series.View) {
		for _, c := range v.Containers {
			names[c.ID] = c.Name
		}
	})
	return names
}

func (d *DogStatsD) answer(names map[string]string) *jsonDogStatsD {
	s := d.Latest()
	out := &jsonDogStatsD{
		Time: clock(s.Time), Interval: s.Interval.Seconds(), Quota: d.Quota,
		Senders: []jsonSender{}, Events: []jsonSent{}, Checks: []jsonSent{}, Refused: []jsonLine{},
	}
	from := func(o dogstatsd.Source, container string) jsonFrom {
		return jsonFrom{o.String(), container, names[container]}
	}
	origins := slices.Clone(s.Origins)
	slices.SortStableFunc(origins, func(a, b messages.Usage) int { return cmp.Compare(b.Used, a.Used) })
	for i := range origins[:min(len(origins), listMost)] {
		o := &origins[i]
		one := jsonSender{
			jsonFrom: from(o.Source, o.Container), Contexts: o.Contexts, QuotaUsed: o.Used, MessagesRefused: o.Refused,
			TimestampsRefused: o.Untimely, Events: map[string]uint64{}, Checks: map[string]uint64{},
		}
		for i, n := range o.Events {
			one.Events[dogstatsd.AlertType(i).String()] = n
		}
		for i, n := range o.Checks {
			one.Checks[dogstatsd.Status(i).String()] = n
		}
		out.Senders = append(out.Senders, one)
	}
	for _, e := range slices.Backward(s.Recent) {
		out.Events = append(out.Events, jsonSent{
			jsonFrom: from(e.Origin, e.Container), Time: clock(e.Time), Title: text(e.Title), Text: text(e.Text), AlertType: e.Alert.String(),
			LowPriority: e.LowPriority, AggregationKey: text(e.AggregationKey), Source: text(e.Source), Host: text(e.Host), Tags: words(e.Tags),
		})
	}
	checks := slices.Clone(s.Checks)
	slices.SortStableFunc(checks, func(a, b messages.Check) int { return cmp.Compare(severity(b.Status), severity(a.Status)) })
	for i := range checks[:min(len(checks), listMost)] {
		c := &checks[i]
		out.Checks = append(out.Checks, jsonSent{
			jsonFrom: from(c.Origin, c.Container), Time: clock(c.Time), Check: text(c.Name), Status: c.Status.String(),
			Message: text(c.Message), Host: text(c.Host), Tags: words(c.Tags),
		})
	}
	for _, r := range d.Examples() {
		out.Refused = append(out.Refused, jsonLine{from(r.Origin.Source, r.Origin.Container), r.Reason.String(), r.Count, text(r.Line), clock(r.At)})
	}
	out.LeftOut = len(checks) - len(out.Checks) + len(origins) - len(out.Senders)
	return out
}

// severity orders statuses: critical, unknown, warning, ok.
func severity(s dogstatsd.Status) int {
	return [...]int{dogstatsd.StatusOK: 0, dogstatsd.StatusWarning: 1, dogstatsd.StatusUnknown: 2, dogstatsd.StatusCritical: 3}[s]
}

// clock writes a time, and nothing for one that a calendar does not have: a sender's
// may be any number.
func clock(t time.Time) string {
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// text cuts what a sender has written, and shows bytes that are no text.
func text(s string) string {
	if len(s) > textMost {
		cut := textMost
		for cut > textMost-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return tag.Legible(s)
}

func words(tags []tag.Tag) []string {
	const most = 100
	out := make([]string, 0, min(len(tags), most))
	for _, t := range tags[:min(len(tags), most)] {
		out = append(out, text(strings.TrimSuffix(t.String(), ":")))
	}
	return out
}
