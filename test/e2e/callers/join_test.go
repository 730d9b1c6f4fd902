package callers

import (
	"strings"
	"testing"
)

// TestJoiningAnotherClosed: who may create containers, whatever they can do, may
// not make one that is the monitor, or reaches into it.
func TestJoiningAnotherClosed(t *testing.T) {
	s := begin(t)
	cgroup, err := s.e.Cgroup()
	s.must(err)
	monitor := s.run("monitor", "--ipc=shareable")
	web := s.run("web", "--ipc=shareable")
	creator := s.run("creator", "--label", "vitrine.role=create")
	before := s.names()
	parent := cgroup + "/"
	for name, c := range map[string]struct{ path, body string }{
		"processes":       {"/containers/create", `{"Image":"caller:1","HostConfig":{"PidMode":"container:NAME"}}`},
		"processes by id": {"/containers/create", `{"Image":"caller:1","HostConfig":{"PidMode":"container:ID"}}`},
		"network":         {"/containers/create", `{"Image":"caller:1","HostConfig":{"NetworkMode":"container:NAME"}}`},
		"ipc":             {"/containers/create", `{"Image":"caller:1","HostConfig":{"IpcMode":"container:NAME"}}`},
		"volumes":         {"/containers/create", `{"Image":"caller:1","HostConfig":{"VolumesFrom":["NAME"]}}`},
		"volumes, ro":     {"/containers/create", `{"Image":"caller:1","HostConfig":{"VolumesFrom":["ID:ro"]}}`},
		"cgroup":          {"/containers/create", `{"Image":"caller:1","HostConfig":{"CgroupParent":"` + parent + `ID"}}`},
		"exec":            {"/containers/NAME/exec", `{"Cmd":["true"]}`},
		"exec by prefix":  {"/containers/PREFIX/exec", `{"Cmd":["true"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			to := func(name, id, text string) string {
				return strings.NewReplacer("NAME", name, "ID", id, "PREFIX", id[:8]).Replace(text)
			}
			got := s.in("creator", "POST", to("monitor", monitor, c.path), to("monitor", monitor, c.body))
			s.itself(got, "creator", creator, 403)
			if !strings.Contains(got.answer.Body, " is bound to role monitor, which the caller does not hold") {
				s.Errorf("it is told %s", got.answer)
			}
			if after := s.names(); after != before {
				s.Errorf("the daemon has the containers\n%s\nbefore:\n%s", after, before)
			}
			if execs := s.e.Docker("inspect", "--format", "{{.ExecIDs}}", "monitor"); execs != "[]" {
				s.Errorf("there are execs in the monitor: %s", execs)
			}
			if name == "cgroup" { // it is not told whose that is: it may be anybody's
				return
			}
			// The same with a container that has no role is allowed: it was the monitor that was guarded.
			got = s.in("creator", "POST", to("web", web, c.path), to("web", web, c.body))
			s.itself(got, "creator", creator, 201)
			for line := range strings.Lines(s.names()) {
				if id, _, _ := strings.Cut(line, " "); !strings.Contains(before, id) {
					s.e.Docker("rm", id)
				}
			}
		})
	}
}

// TestNamingOneselfAnotherClosed: nor one that would be bound to a role.
func TestNamingOneselfAnotherClosed(t *testing.T) {
	s := begin(t)
	creator := s.run("creator", "--label", "vitrine.role=create")
	before := s.names()
	for _, c := range []struct{ path, body string }{
		{"/containers/create?name=monitor", `{"Image":"caller:1"}`},
		{"/containers/create?name=other", `{"Image":"caller:1","Labels":{"vitrine.role":"look"}}`},
	} {
		got := s.in("creator", "POST", c.path, c.body)
		s.itself(got, "creator", creator, 403)
		if !strings.Contains(got.answer.Body, "is bound to role") {
			t.Errorf("it is told %s", got.answer)
		}
		if after := s.names(); after != before {
			t.Errorf("the daemon has the containers\n%s\nbefore:\n%s", after, before)
		}
	}
}
