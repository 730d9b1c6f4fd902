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

// TestNewVolumesClosed: each volume that the daemon would make is told of, by name or not, and where it could not be labelled.
func TestNewVolumesClosed(t *testing.T) {
	image := []string{"/i", "/j/"}
	for _, tc := range []struct{ uri, body, named, bound, unlabelled, unnamed string }{
		{"/volumes/create", `{"Name":"a"}`, "a", "", "", ""},
		{"/volumes/create", `{}`, "", "", "", "x"},
		{"/volumes/create", `{"Name":""}`, "", "", "", "x"},
		{"/networks/create", `{"Name":"a"}`, "", "", "", ""},
		{"/containers/create", `{}`, "", "", "/i /j", ""},
		{"/containers/create", `{"HostConfig":null,"Volumes":null}`, "", "", "/i /j", ""},
		{"/containers/create", `{"Volumes":{"/v":{},"/i/.":{}}}`, "", "", "/i /j /v", ""},
		{"/containers/create", `{"HostConfig":{"Mounts":[{"Type":"volume","Source":"a","Target":"/i"},{"Type":"volume","Source":"a","Target":"/x"},{"Type":"volume","Target":"/j"},{"Type":"volume","Source":"","Target":"/y"}]}}`, "a", "", "", "xx"},
		{"/containers/create", `{"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/i"},{"Type":"bind","Source":"/srv","Target":"/j"}]}}`, "", "", "", ""},
		{"/containers/create", `{"HostConfig":{"Tmpfs":{"/i":"","/j/":""}}}`, "", "", "/j", ""},
		{"/containers/create", `{"HostConfig":{"Binds":["b:/i","a:/x/:z","a:/y","/srv:/j:ro"]}}`, "a b", "a b", "", ""},
		{"/containers/create", `{"HostConfig":{"Binds":["/i","/j","data"]}}`, "", "", "/i /j data", ""},
		{"/containers/create", `{"HostConfig":{"Binds":["a:/i"],"Mounts":[{"Type":"volume","Source":"c","Target":"/j"}]}}`, "a c", "a", "", ""},
	} {
		got := mustParse(t, request("POST", tc.uri, tc.body)).NewVolumes(image)
		if strings.Join(got.Named, " ") != tc.named || strings.Join(got.Bound, " ") != tc.bound || strings.Join(got.Unlabelled, " ") != tc.unlabelled || got.Unnamed != len(tc.unnamed) {
			t.Errorf("%s: %+v", tc.body, got)
		}
	}
}

// TestVolumesWithoutANameAreMounted: where they would be, and nothing else is changed.
func TestVolumesWithoutANameAreMounted(t *testing.T) {
	const mounts = `[{"Target":"/i","Type":"volume"}]`
	for body, want := range map[string]string{
		`{"Image":"x"}`: `{"HostConfig":{"Mounts":` + mounts + `},"Image":"x"}`,
		`{"Volumes":{"/v/":{}},"HostConfig":{"Binds":["/b","c:/c","/srv:/s"],"Mounts":[{"Type":"tmpfs","Target":"/t"}]}}`: `{"HostConfig":{"Binds":["c:/c","/srv:/s"],"Mounts":[{"Target":"/t","Type":"tmpfs"},{"Target":"/b","Type":"volume"},{"Target":"/i","Type":"volume"},{"Target":"/v","Type":"volume"}]},"Volumes":{"/v/":{}}}`,
		`{"HostConfig":{"Tmpfs":{"/i":""}}}`:                           "",
		`{"HostConfig":{"VolumeDriver":"nfs"}}`:                        "",
		`{"HostConfig":{"VolumesFrom":["db"]}}`:                        "",
		`{"HostConfig":{"Binds":["data"],"Tmpfs":{"/i":""}}}`:          "",
		`{"HostConfig":{"Binds":["data"],"VolumesFrom":[]}}`:           `{"HostConfig":{"Binds":["data"],"Mounts":` + mounts + `,"VolumesFrom":[]}}`,
		`{"HostConfig":{"Binds":["/i"]}}`:                              `{"HostConfig":{"Binds":[],"Mounts":` + mounts + `}}`,
		`{"HostConfig":{"Binds":[":/i"]},"Volumes":{"relative/v":{}}}`: "",
	} {
		op := create(t, body)
		before := string(op.Canonical)
		with, err := op.WithVolumeMounts([]string{"/i"})
		if want == "" {
			want = before
		}
		if err != nil || string(with.Canonical) != want || string(op.Canonical) != before || (want == before) != (len(with.Mounted) == 0) || len(op.Mounted) > 0 {
			t.Errorf("%s: %s, %v, %v", body, with.Canonical, with.Mounted, err)
			continue
		}
		if again, err := with.WithLabels(map[string]string{"o": "me"}); err != nil || len(with.Mounted) > len(again.Mounted) || strings.Count(string(again.Canonical), `"Target"`) != strings.Count(string(again.Canonical), `{"Labels":{"o":"me"}}`)+strings.Count(body, "tmpfs") {
			t.Errorf("%s with labels: %s, %v", body, again.Canonical, err)
		}
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = "/" + strings.Repeat("m", i+1)
	}
	with, err := create(t, `{"Image":"x"}`).WithVolumeMounts(many)
	if err != nil || !slices.Contains(with.Hazards, HazardLimits) {
		t.Errorf("what is mounted is judged, too: %v, %v", with.Hazards, err)
	}
}
