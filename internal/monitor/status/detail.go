package status

import (
	"slices"
	"strings"
	"time"

	"vitrine/internal/monitor/series"
	"vitrine/internal/monitor/tag"
)

// Detail is what there is to say of one container.
type Detail struct {
	Container           // its tags are all here, not the low ones alone
	Created   string    `json:"created,omitempty"`
	ExitCode  *int      `json:"exit_code,omitempty"` // of the last end, while it does not run
	Networks  []string  `json:"networks"`            // with addresses
	Numbers   []Number  `json:"numbers"`             // all its metrics
	Checks    []Check   `json:"checks"`
	Events    []Event   `json:"events"` // the newest first
	Gone      time.Time `json:"gone,omitzero"`
}

// Number is a metric's present value.
type Number struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"` // of a counter: the rate a second, if there is one yet
	Rate   bool              `json:"rate"`
	Help   string            `json:"help"`
}

// Check is the latest word of a service check.
type Check struct {
	Check   string    `json:"check"`
	Status  string    `json:"status"` // ok, warning, critical, unknown
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
}

// Detail is a container's; false if it is not known. Of one that is gone it has the name and the events.
func (k *Keeper) Detail(id string) (*Detail, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.known[id]
	if !ok {
		return nil, false
	}
	d := &Detail{
		Container: Container{ID: id, Name: l.name, Tags: []string{}, State: "gone"},
		Networks:  []string{}, Numbers: []Number{}, Checks: []Check{}, Events: []Event{}, Gone: l.gone,
	}
	k.series.Look(func(v *series.View) {
		i := slices.IndexFunc(v.Containers, func(c *series.Container) bool { return c.ID == id })
		if i >= 0 {
			d.fill(v.Containers[i], k.container(v.Containers[i], v.Time))
		}
	})
	for _, e := range slices.Backward(k.events) {
		if e.ID == id {
			d.Events = append(d.Events, e)
		}
	}
	return d, true
}

func (d *Detail) fill(c *series.Container, row Container) {
	d.Container = row
	d.Tags = []string{}
	for _, t := range c.Tags.At(tag.High) {
		d.Tags = append(d.Tags, t.String())
	}
	for i := range c.Checks {
		check := &c.Checks[i]
		d.Checks = append(d.Checks, Check{Check: check.Name, Status: check.Status.String(), Message: check.Message, Time: check.Time})
	}
	for i := range c.Series {
		s := &c.Series[i]
		n := Number{Metric: s.Metric.Prom, Value: s.Value, Help: s.Metric.Help}
		if s.HasRate {
			n.Value, n.Rate = s.Rate, true
		}
		for j, name := range s.Metric.Labels {
			if n.Labels == nil {
				n.Labels = map[string]string{}
			}
			n.Labels[name] = s.Labels[j]
		}
		d.Numbers = append(d.Numbers, n)
	}
	if c.Detail == nil {
		return
	}
	d.Created = c.Detail.CreatedAt
	if !c.Running {
		d.ExitCode = &c.Detail.ExitCode
	}
	for _, n := range c.Detail.Networks {
		d.Networks = append(d.Networks, strings.Join(strings.Fields(n.Name+" "+n.IPv4+" "+n.IPv6), " "))
	}
}
