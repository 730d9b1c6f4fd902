package sender

import (
	"encoding/json"
	"testing"

	"vitrine/internal/engine/docker"
)

// TestReachesCgroups: whose root may move processes into others' cgroups.
func TestReachesCgroups(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`:                                false,
		`{"Rights":{"Privileged":true}}`:    true,
		`{"Rights":{"CapAdd":["NET_RAW"]}}`: false,
		`{"Rights":{"CapAdd":["CAP_SYS_ADMIN"],"CgroupnsMode":"host"}}`:                  true,
		`{"Rights":{"CapAdd":["all"]}}`:                                                  true,
		`{"Rights":{"CapAdd":["SYS_ADMIN"],"CgroupnsMode":"private"}}`:                   false,
		`{"Rights":{"CapAdd":["SYS_ADMIN"],"CgroupnsMode":"private","PidMode":"host"}}`:  true,
		`{"Rights":{"CapAdd":["SYS_PTRACE"],"CgroupnsMode":"private","PidMode":"host"}}`: true,
		`{"Rights":{"CgroupnsMode":"private","PidMode":"host"}}`:                         false,
		`{"Rights":{"SecurityOpt":["writable-cgroups=true"],"CgroupnsMode":"host"}}`:     true,
		`{"Rights":{"SecurityOpt":["writable-cgroups=true"],"CgroupnsMode":"private"}}`:  false,
		`{"Mounts":[{"Source":"/sys/fs/cgroup","RW":false}]}`:                            false,
		`{"Mounts":[{"Source":"/sys/fs/cgroup","RW":true}]}`:                             true,
		`{"Mounts":[{"Source":"/sys/fs/cgroup/unified/docker/","RW":true}]}`:             true,
		`{"Mounts":[{"Source":"/run","RW":true},{"Source":"/","RW":true}]}`:              true,
		`{"Mounts":[{"Source":"/sys/fs/cgroups","RW":true}]}`:                            false,
	} {
		var d docker.Detail
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if got := reachesCgroups(&d); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
