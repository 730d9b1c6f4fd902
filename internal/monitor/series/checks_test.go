package series

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"vitrine/internal/engine/docker"
	"vitrine/internal/monitor/collect"
	"vitrine/internal/monitor/tag"
)

// checked lists the checks of a container in some situation as "name status message".
func checked(a *Aggregator, up bool, exit collect.Exit, c docker.Container) []string {
	c.ID, c.Name = "c0ffee", "web"
	a.Update(&collect.Snapshot{
		Time: began, Engine: collect.Engine{Up: up},
		Containers: []*collect.Container{{Container: c, LastExit: exit}},
	})
	var out []string
	a.Look(func(v *View) {
		for _, c := range v.Containers[0].Checks {
			text := c.Name + " " + c.Status.String()
			if c.Message != "" {
				text += ": " + c.Message
			}
			out = append(out, text)
		}
	})
	return out
}

// TestChecks: what is said of a container in each situation.
func TestChecks(t *testing.T) {
	ended := func(code int) collect.Exit { return collect.Exit{At: began.Add(-time.Hour), Code: code} }
	running := func(state, health string) docker.Container {
		return docker.Container{Running: true, Detail: &docker.Detail{State: state, Health: health}}
	}
	stopped := func(d docker.Detail) docker.Container { return docker.Container{Detail: &d} }
	for _, tt := range []struct {
		name      string
		gone      bool // the Engine is
		exit      collect.Exit
		container docker.Container
		want      []string
	}{
		{name: "never started", container: stopped(docker.Detail{State: "created", ExitCode: 127})},
		{name: "runs, without a health check", container: running("running", ""), want: []string{"docker.container_state ok"}},
		{name: "healthy", container: running("running", "healthy"), want: []string{"docker.container_health ok", "docker.container_state ok"}},
		{
			name: "unhealthy", container: running("running", "unhealthy"),
			want: []string{"docker.container_health critical: unhealthy", "docker.container_state ok"},
		},
		{
			name: "not checked yet", container: running("running", "starting"),
			want: []string{"docker.container_health unknown: starting", "docker.container_state ok"},
		},
		{
			name: "paused, so that nobody checks it", container: running("paused", "healthy"),
			want: []string{"docker.container_health unknown: paused; before that it was healthy", "docker.container_state warning: paused"},
		},
		{
			name: "the Engine is gone", gone: true, exit: ended(1), container: running("running", "healthy"),
			want: []string{
				"docker.exit critical: Container web exited with 1",
				"docker.container_health unknown: the engine does not answer; last it said healthy",
				"docker.container_state unknown: the engine does not answer; last it said running",
			},
		},
		{
			name: "ended as it should", exit: ended(0), container: stopped(docker.Detail{State: "exited", Health: "unhealthy"}),
			want: []string{"docker.exit ok: Container web exited with 0"},
		},
		{
			name: "stopped by SIGTERM", exit: ended(143), container: stopped(docker.Detail{State: "exited"}),
			want: []string{"docker.exit ok: Container web exited with 143"},
		},
		{
			name: "killed", exit: ended(137), container: stopped(docker.Detail{State: "exited"}),
			want: []string{"docker.exit critical: Container web exited with 137"},
		},
		{
			name: "runs again, and ended badly before", exit: ended(1), container: running("running", ""),
			want: []string{"docker.exit critical: Container web exited with 1", "docker.container_state ok"},
		},
		{
			name: "in a restart loop", exit: ended(3), container: stopped(docker.Detail{State: "restarting", Restarts: 7}),
			want: []string{"docker.exit critical: Container web exited with 3", "docker.container_state warning: restarting; 7 restarts by its policy before"},
		},
		{
			name: "ended, and the inspect that follows failed", container: stopped(docker.Detail{State: "running"}),
			want: []string{"docker.container_state unknown: it has ended, and the engine has not said how"},
		},
		{
			name: "cannot be removed", container: stopped(docker.Detail{State: "dead"}),
			want: []string{"docker.container_state critical: dead: the engine could not remove it"},
		},
		{name: "not inspected yet", container: docker.Container{Running: true}},
	} {
		a := New(tag.New(tag.Config{}), []int{0, 143})
		if got := checked(a, !tt.gone, tt.exit, tt.container); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestChecksFollow the container from one collection to the next, and bear its
// tags and the time of what they say.
func TestChecksFollow(t *testing.T) {
	a := New(tag.New(tag.Config{}), []int{0, 3})
	up := docker.Container{Running: true, Image: "shop/web:1", Detail: &docker.Detail{State: "running"}}
	down := docker.Container{Image: "shop/web:1", Rev: 1, Detail: &docker.Detail{State: "exited", ExitCode: 4}}
	for i, tt := range []struct {
		container docker.Container
		exit      collect.Exit
		gone      bool
		want      string
	}{
		{container: up, want: "[docker.container_state ok]"},
		{container: up, gone: true, want: "[docker.container_state unknown: the engine does not answer; last it said running]"},
		{container: up, want: "[docker.container_state ok]"},
		{container: up, exit: collect.Exit{At: began, Code: 3}, want: "[docker.exit ok: Container web exited with 3 docker.container_state ok]"},
		{container: down, exit: collect.Exit{At: began.Add(time.Minute), Code: 4}, want: "[docker.exit critical: Container web exited with 4]"},
	} {
		if got := fmt.Sprint(checked(a, !tt.gone, tt.exit, tt.container)); got != tt.want {
			t.Errorf("collection %d: %s, want %s", i, got, tt.want)
		}
	}
	a.Look(func(v *View) {
		c := v.Containers[0].Checks[0]
		if !c.Time.Equal(began.Add(time.Minute)) || c.Container != "c0ffee" || !slices.Contains(c.Tags, tag.Tag{Key: "image_name", Value: "shop/web"}) {
			t.Errorf("the check is %+v", c)
		}
	})
	a.Update(&collect.Snapshot{Time: began})
	a.Look(func(v *View) {
		if len(v.Containers) != 0 {
			t.Error("a removed container is still checked")
		}
	})
}

// TestServiceCheck: critical with the reason, and before the first answer too.
func TestServiceCheck(t *testing.T) {
	a := New(tag.New(tag.Config{}), nil)
	for _, tt := range []struct {
		engine collect.Engine
		want   string
	}{
		{collect.Engine{}, "critical the engine has not answered yet"},
		{collect.Engine{Up: true}, "ok "},
		{collect.Engine{Err: errors.New("GET /events: 403 Forbidden")}, "critical GET /events: 403 Forbidden"},
		{collect.Engine{Up: true}, "ok "},
	} {
		a.Update(&collect.Snapshot{Time: began, Engine: tt.engine})
		a.Look(func(v *View) {
			if c := v.Checks[0]; len(v.Checks) != 1 || c.Name != CheckService || c.Status.String()+" "+c.Message != tt.want || !c.Time.Equal(began) {
				t.Errorf("%+v: got %+v", tt.engine, v.Checks)
			}
		})
	}
}
