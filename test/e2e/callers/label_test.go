package callers

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTwoRootsOnOneSocketHaveTheirOwnRights(t *testing.T) {
	s := begin(t)
	looks := s.run("looks", "--label", "vitrine.role=look")
	creates := s.run("creates", "--label", "vitrine.role=create")
	plain := s.run("plain")
	const create, body = "/containers/create?name=made", `{"Image":"caller:1"}`

	s.itself(s.in("looks", "GET", list), "looks", looks, 200)
	s.itself(s.in("looks", "POST", create, body), "looks", looks, 403)
	if strings.Contains(s.names(), " made ") {
		t.Error("a container was created for one that may only look")
	}
	s.Cleanup(func() { _ = s.e.DockerCommand(s.e.Socket, "rm", "--force", "made").Run() })
	s.itself(s.in("creates", "POST", create, body), "creates", creates, 201)
	s.itself(s.in("creates", "GET", list), "creates", creates, 403)
	got := s.in("plain", "GET", list)
	s.itself(got, "plain", plain, 403)
	if !strings.Contains(got.answer.Body, "vitrine: container:plain may not ContainerList") || !strings.Contains(got.answer.Body, "no role is bound to the caller") {
		t.Errorf("it is told %s", got.answer.Body)
	}
	if got.Caller.UID == nil || *got.Caller.UID != 0 || slices.Contains(got.Caller.Principals, "unix:root") || !slices.Contains(got.Caller.Principals, "container-uid:0") {
		t.Errorf("root in a container is recorded as %+v", got.Caller)
	}
}

func TestImageLabelGivesNoRightsClosed(t *testing.T) {
	s := begin(t)
	const label = "vitrine.role=look"
	root := s.e.DockerCommand(s.e.Socket, "export", s.e.Docker("create", "--name", "empty", "caller:1"))
	tar, err := root.Output()
	s.must(err)
	s.e.Docker("rm", "empty")
	load := s.e.DockerCommand(s.e.Socket, "import", "--change", "LABEL "+label, "-", "publisher:1")
	load.Stdin = bytes.NewReader(tar)
	s.must(load.Run())
	s.Cleanup(func() { _ = s.e.DockerCommand(s.e.Socket, "rmi", "--force", "publisher:1").Run() })

	mount := folder + ":" + folder + ":ro"
	for name, flags := range map[string][]string{
		"published": nil,
		"repeated":  {"--label", label}, // the Engine does not say whose word it is
	} {
		id := s.start(name, slices.Concat([]string{"--volume", mount}, flags, []string{"publisher:1", "sleep", "1000"})...)
		if got := s.e.Docker("inspect", "--format", `{{index .Config.Labels "vitrine.role"}}`, id); got != "look" {
			t.Fatalf("the daemon says that the label is %q", got)
		}
		got := s.in(name, "GET", list)
		s.itself(got, name, id, 403)
		if slices.Contains(got.Caller.Principals, "label:"+label) {
			t.Errorf("%s has the principals %q", name, got.Caller.Principals)
		}
	}
}

// TestPlainlyItself: what a container shares with the host or with another one
// does not make it that.
func TestPlainlyItself(t *testing.T) {
	s := begin(t)
	monitor := s.run("monitor", "--ipc=shareable")
	cgroup, err := s.e.Cgroup()
	s.must(err)
	for name, flags := range map[string][]string{
		"pid-host":      {"--pid=host"},
		"all-host":      {"--pid=host", "--network=host", "--ipc=host", "--uts=host"},
		"joined":        {"--pid=container:monitor", "--network=container:monitor", "--ipc=container:monitor"},
		"own-cgroupns":  {"--cgroupns=private"},
		"nested":        {"--cgroup-parent", cgroup + "/" + monitor},
		"deeper":        {"--cgroup-parent", cgroup + "/" + monitor + "/system.slice/ssh.service"},
		"called-host":   {"--hostname=monitor", "--cgroup-parent", cgroup + "/user.slice"},
		"monitors-pids": {"--pid=container:monitor", "--cgroup-parent", cgroup + "/" + monitor},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.on(t)
			id := s.run(name, flags...)
			s.itself(s.in(name, "GET", list), name, id, 403)
			s.itself(s.in("monitor", "GET", list), "monitor", monitor, 200)
		})
	}
}

func TestExecIsTheContainer(t *testing.T) {
	s := begin(t)
	id := s.run("web", "--label", "vitrine.role=look")
	for _, uid := range []uint32{0, 65532} {
		user := fmt.Sprintf("--user=%d:%[1]d", uid)
		got := s.exec([]string{user, "web"}, "caller", "ask", socket, "GET", list)
		s.itself(got, "web", id, 200)
		if got.Caller.UID == nil || *got.Caller.UID != uid {
			t.Errorf("uid %d is recorded as %+v", uid, got.Caller)
		}
	}
}
