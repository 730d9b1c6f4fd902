package operation

import (
	"slices"
	"strings"
	"testing"
)

// TestClosedVolumesOfBindsAreLabelled: a volume that a bind makes is mounted as it was asked for, and has the labels.
func TestClosedVolumesOfBindsAreLabelled(t *testing.T) {
	for host, want := range map[string]string{
		`"Binds":["data:/x"]`:                                           `"Binds":[],"Mounts":[{"Source":"data","Target":"/x","Type":"volume",LABELS}]`,
		`"Binds":["data:/x:rw","/srv:/y"]`:                              `"Binds":["/srv:/y"],"Mounts":[{"Source":"data","Target":"/x","Type":"volume",LABELS}]`,
		`"Binds":["data:/x:ro"]`:                                        `"Binds":[],"Mounts":[{"ReadOnly":true,"Source":"data","Target":"/x","Type":"volume",LABELS}]`,
		`"Binds":["data:/x:nocopy,ro"]`:                                 `"Binds":[],"Mounts":[{"ReadOnly":true,"Source":"data","Target":"/x","Type":"volume","VolumeOptions":{"Labels":{"o":"me"},"NoCopy":true}}]`,
		`"Binds":["data:/x"],"VolumeDriver":"nfs"`:                      `"Binds":["data:/x"],"VolumeDriver":"nfs"`,
		`"Binds":["data:/x:z"]`:                                         `"Binds":["data:/x:z"]`,
		`"Binds":["data:/x:rshared"]`:                                   `"Binds":["data:/x:rshared"]`,
		`"Binds":["/x"]`:                                                `"Binds":["/x"]`,
		`"Binds":["/srv:/x"]`:                                           `"Binds":["/srv:/x"]`,
		`"Binds":["data:/x"],"Mounts":[{"Type":"tmpfs","Target":"/t"}]`: `"Binds":[],"Mounts":[{"Target":"/t","Type":"tmpfs"},{"Source":"data","Target":"/x","Type":"volume",LABELS}]`,
		`"Binds":["data"]`:                                              `"Binds":["data"]`,
		`"Binds":["data:x"]`:                                            `"Binds":["data:x"]`,
		`"Binds":["data:/x:ro:z"]`:                                      `"Binds":["data:/x:ro:z"]`,
		`"Binds":[":/x"]`:                                               `"Binds":[":/x"]`,
	} {
		op := mustParse(t, request("POST", "/containers/create", `{"Image":"x","HostConfig":{`+host+`}}`))
		with, err := op.WithLabels(map[string]string{"o": "me"})
		if err != nil {
			t.Fatal(err)
		}
		want = strings.ReplaceAll(want, "LABELS", `"VolumeOptions":{"Labels":{"o":"me"}}`)
		if !strings.Contains(string(with.Canonical), `"HostConfig":{`+want+`}`) {
			t.Errorf("%s is forwarded as %s", host, with.Canonical)
		}
		if !slices.Equal(with.Hazards, op.Hazards) || !slices.Equal(with.HostPath, op.HostPath) {
			t.Errorf("%s: %v %v, and was %v %v", host, with.Hazards, with.HostPath, op.Hazards, op.HostPath)
		}
		if moved := strings.Contains(want, "Mounts"); moved != (len(with.Mounted) == 1) {
			t.Errorf("%s: %v", host, with.Mounted)
		}
	}
}
