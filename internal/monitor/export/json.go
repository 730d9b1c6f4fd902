package export

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/messages"
	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

type document struct {
	Time       time.Time       `json:"time"`
	Cgroups    string          `json:"cgroups"`
	EngineUp   bool            `json:"engine_up"`
	Containers []jsonContainer `json:"containers"`
	Checks     []jsonCheck     `json:"checks"`
	Series     []jsonSeries    `json:"series"`
	Events     []jsonEvent     `json:"events"`
}

type jsonContainer struct {
	Name   string       `json:"name"`
	ID     string       `json:"id"`
	Image  string       `json:"image"`
	State  string       `json:"state"`
	Health string       `json:"health,omitempty"`
	Tags   []string     `json:"tags"`
	Checks []jsonCheck  `json:"checks"`
	Series []jsonSeries `json:"series"`
}

// jsonCheck has its status as a word and as the number that Prometheus shows.
// Its tags are its container's.
type jsonCheck struct {
	Check   string    `json:"check"`
	Status  string    `json:"status"`
	Value   int       `json:"value"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
}

// jsonSeries has both names of a metric: value is the one's, of the first name;
// as the other's. A rate is absent until two collections know it.
type jsonSeries struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
	Name   string            `json:"name,omitempty"`
	As     *float64          `json:"as,omitempty"`
	Unit   string            `json:"unit,omitempty"`
}

type jsonEvent struct {
	Time      time.Time `json:"time"`
	Name      string    `json:"name"`
	Container string    `json:"container"`
	ID        string    `json:"id"`
	PID1Alive *bool     `json:"pid1_alive,omitempty"`
	Kills     uint64    `json:"kills,omitempty"`
	Group     bool      `json:"group,omitempty"`
	Victims   []victim  `json:"victims,omitempty"`
	ExitCode  *int      `json:"exit_code,omitempty"`
}

type victim struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// JSON writes an interval as one object.
func JSON(w io.Writer, v *series.View) error {
	doc := document{
		Time: v.Time, Cgroups: string(v.Mode), EngineUp: v.Up,
		Containers: []jsonContainer{}, Checks: statuses(v.Checks), Series: list(v.Rest), Events: []jsonEvent{},
	}
	for _, c := range v.Containers {
		out := jsonContainer{Name: c.Name, ID: c.ID, Image: c.Image, Tags: []string{}, Checks: statuses(c.Checks), Series: list(c.Series)}
		if c.Detail != nil {
			out.State, out.Health = c.Detail.State, c.Detail.Health
		}
		for _, t := range c.Tags.At(tag.High) {
			out.Tags = append(out.Tags, t.String())
		}
		doc.Containers = append(doc.Containers, out)
	}
	for _, e := range v.Events {
		out := jsonEvent{Time: e.Time, Name: e.Name, Container: e.ContainerName, ID: e.ContainerID}
		switch e.Name {
		case collect.EventOOMKill:
			out.PID1Alive, out.Kills, out.Group = &e.PID1Alive, e.Kills, e.Group
			for _, v := range e.Victims {
				out.Victims = append(out.Victims, victim{v.Name, v.PID})
			}
		case collect.EventExit:
			out.ExitCode = &e.ExitCode
		}
		doc.Events = append(doc.Events, out)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func statuses(checks []messages.Check) []jsonCheck {
	out := make([]jsonCheck, len(checks))
	for i, c := range checks {
		out[i] = jsonCheck{Check: c.Name, Status: c.Status.String(), Value: int(c.Status), Message: c.Message, Time: c.Time}
	}
	return out
}

func list(series []series.Sample) []jsonSeries {
	out := []jsonSeries{}
	for i := range series {
		s := &series[i]
		j := jsonSeries{Metric: s.Metric.Prom, Value: s.Value, Name: s.Metric.Name}
		if len(s.Metric.Labels) > 0 {
			j.Labels = map[string]string{}
			for n, name := range s.Metric.Labels {
				j.Labels[name] = s.Labels[n]
			}
		}
		if as, ok := s.Converted(); ok {
			j.As, j.Unit = &as, s.Metric.Unit
		}
		out = append(out, j)
	}
	return out
}
