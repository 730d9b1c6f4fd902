package series

import (
	"fmt"
	"slices"
	"time"

	"vitrine/internal/monitor/dogstatsd"
	"vitrine/internal/monitor/messages"
)

// Names of service checks. The first three are those of Datadog's docker check.
const (
	CheckService = "docker.service_up"
	CheckExit    = "docker.exit"
	CheckHealth  = "docker.container_health"
	checkState   = "docker.container_state"
)

// service is the check of the Engine itself.
func (v *View) service(err error) {
	v.Checks = append(v.Checks[:0], messages.Check{Name: CheckService, Time: v.Time})
	if c := &v.Checks[0]; !v.Up {
		c.Status, c.Message = dogstatsd.StatusCritical, "the engine has not answered yet"
		if err != nil {
			c.Message = err.Error()
		}
	}
}

// check makes a container's checks anew. What only the Engine can say is unknown
// while it does not answer; how a container ended last stays as it was, also
// while it runs again: a crash that a restart policy mends is one.
func (a *Aggregator) check(c *Container) {
	c.Checks = c.Checks[:0]
	add := func(name string, status dogstatsd.Status, at time.Time, message string) {
		c.Checks = append(c.Checks, messages.Check{Name: name, Status: status, Time: at, Message: message, Tags: c.High, Container: c.ID})
	}
	if e := c.exit; !e.At.IsZero() {
		status := dogstatsd.StatusCritical
		if slices.Contains(a.okExits, e.Code) {
			status = dogstatsd.StatusOK
		}
		add(CheckExit, status, e.At, fmt.Sprintf("Container %s exited with %d", c.Name, e.Code))
	}
	if c.Detail == nil {
		return
	}
	if status, message, ok := c.health(); ok {
		add(CheckHealth, status, time.Time{}, message)
	}
	if status, message, ok := c.state(); ok {
		add(checkState, status, time.Time{}, message)
	}
}

// health is not known while nobody checks it.
func (c *Container) health() (status dogstatsd.Status, message string, ok bool) {
	health := c.Detail.Health
	switch {
	case health == "" || !c.Running:
		return 0, "", false
	case !c.up:
		return dogstatsd.StatusUnknown, "the engine does not answer; last it said " + health, true
	case c.Detail.State == statePaused:
		return dogstatsd.StatusUnknown, "paused; before that it was " + health, true
	case health == "healthy":
		return dogstatsd.StatusOK, "", true
	case health == "unhealthy":
		return dogstatsd.StatusCritical, health, true
	}
	return dogstatsd.StatusUnknown, health, true
}

const statePaused = "paused"

// state is that of a container that has processes, or is meant to.
func (c *Container) state() (status dogstatsd.Status, message string, ok bool) {
	state := c.Detail.State
	switch {
	case state != "running" && state != statePaused && state != "restarting" && state != "dead":
		return 0, "", false
	case !c.up:
		return dogstatsd.StatusUnknown, "the engine does not answer; last it said " + state, true
	case state == "dead":
		return dogstatsd.StatusCritical, "dead: the engine could not remove it", true
	case state == "restarting":
		return dogstatsd.StatusWarning, fmt.Sprintf("restarting; %d restarts by its policy before", c.Detail.Restarts), true
	case !c.Running:
		return dogstatsd.StatusUnknown, "it has ended, and the engine has not said how", true
	case state == statePaused:
		return dogstatsd.StatusWarning, state, true
	}
	return dogstatsd.StatusOK, "", true
}
