package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// healthy is a host on which there is nothing to find.
func healthy() *Facts {
	return &Facts{
		Socket:     fact[socket]{Is: socket{Path: "/run/docker.sock", Group: "docker", Mode: 0o660}},
		Probe:      fact[probe]{Is: probe{Status: 403, Ours: true}},
		Engine:     fact[dockerd]{Is: dockerd{Name: "Docker", Version: "29.4.0", Plugins: []string{"vitrine"}}},
		Daemon:     fact[daemon]{Is: daemon{PID: 700, FilePlugins: []string{"vitrine"}, FilePath: "/etc/docker/daemon.json"}},
		TCP:        fact[[]tcp]{Is: []tcp{{Address: "0.0.0.0:2376"}}},
		Containers: fact[[]container]{Is: []container{{ID: "1", Name: "web", Mounts: []mount{{Source: "/srv/web", Writable: true}, {Source: "/run/vitrine/docker"}}}}},
		Vitrine:    fact[vitrine]{Is: vitrine{SeesPID: true}},
	}
}

// TestEachWeaknessIsFoundAlone: a host that is weak in one way, and what is said of it: check and severity, nothing else.
func TestEachWeaknessIsFoundAlone(t *testing.T) {
	cause := errors.New("it does not say")
	with := func(c container) func(*Facts) {
		return func(f *Facts) { f.Containers.Is = append(f.Containers.Is, c) }
	}
	for name, s := range map[string]struct {
		weaken func(f *Facts)
		want   string // "check severity", sorted, joined by commas
		says   string // in what was found
	}{
		"nothing": {func(*Facts) {}, "", ""},

		"dockerd was told to ask and does not": {func(f *Facts) { f.Probe.Is = probe{Status: 200} }, "not-asked high", "200"},
		"another plugin refuses":               {func(f *Facts) { f.Probe.Is = probe{Status: 403} }, "not-asked high", "403"},
		"a gateway alone": {func(f *Facts) {
			f.Probe.Is, f.Engine.Is.Plugins, f.Daemon.Is.FilePlugins = probe{Status: 200}, nil, nil
		}, "not-asked medium", "gateway alone"},
		"neither plugin nor gateway": {func(f *Facts) {
			f.Probe.Is, f.Engine.Is.Plugins, f.Daemon.Is.FilePlugins = probe{Status: 200}, nil, nil
			f.Vitrine.Err = cause
		}, "callers-unseen medium,not-asked high", "no gateway"},
		"a plugin by flag": {func(f *Facts) {
			f.Daemon.Is.FilePlugins, f.Daemon.Is.FlagPlugins = nil, []string{"vitrine"}
		}, "plugin-by-flag high", "--authorization-plugin=vitrine"},
		"HTTP/2 that root alone can ask":    {func(f *Facts) { f.HTTP2.Is = true }, "http2-answered medium", "root alone"},
		"a group with members":              {func(f *Facts) { f.Socket.Is.Members = []string{"ann"} }, "socket-open medium", "ann (group docker)"},
		"a group with members that may not": {func(f *Facts) { f.Socket.Is.Members, f.Socket.Is.Mode = []string{"ann"}, 0o600 }, "", ""},
		"HTTP/2 and a group with members": {func(f *Facts) {
			f.HTTP2.Is, f.Socket.Is.Members = true, []string{"ann"}
		}, "http2-answered high,socket-open medium", "ann"},
		"a group with members, and nobody is asked": {func(f *Facts) {
			f.Probe.Is, f.Socket.Is.Members = probe{Status: 200}, []string{"ann", "bob"}
		}, "not-asked high,socket-open high", "bob"},
		"a socket that is everybody's":   {func(f *Facts) { f.Socket.Is.Mode = 0o666 }, "socket-open high", "everybody"},
		"a socket that is another's":     {func(f *Facts) { f.Socket.Is.Owner = 1000 }, "socket-open medium", "uid 1000"},
		"a rootless Engine":              {func(f *Facts) { f.Socket.Is.Owner, f.Engine.Is.Rootless = 1000, true }, "rootless low", ""},
		"TCP without TLS":                {func(f *Facts) { f.TCP.Is = append(f.TCP.Is, tcp{Address: "127.0.0.1:2375", Plain: true}) }, "plain-tcp high", "127.0.0.1:2375"},
		"an old Engine":                  {func(f *Facts) { f.Engine.Is.Version = "26.1.4" }, "engine-version high,engine-version low,engine-version low", "CVE-2024-41110"},
		"an Engine with the first fix":   {func(f *Facts) { f.Engine.Is.Version = "26.1.5" }, "engine-version low,engine-version low", "CVE-2026-34040"},
		"an Engine that never was fixed": {func(f *Facts) { f.Engine.Is.Version = "24.0.9" }, "engine-version high,engine-version low,engine-version low", ""},
		"a distribution's Engine":        {func(f *Facts) { f.Engine.Is.Version = "20.10.24+dfsg1" }, "engine-version low,engine-version low,engine-version low", "changelog"},
		"the last one with holes":        {func(f *Facts) { f.Engine.Is.Version = "29.3.0" }, "engine-version low,engine-version low", ""},
		"the first one without":          {func(f *Facts) { f.Engine.Is.Version = "29.3.1" }, "", ""},
		"a version that is none":         {func(f *Facts) { f.Engine.Is.Version = "dev" }, "engine-version medium", `"dev"`},
		"NRI by the Engine's word":       {func(f *Facts) { f.Engine.Is.NRI = true }, "nri-on medium", "the Engine says"},
		"NRI in a file":                  {func(f *Facts) { f.NRI.Is = "/etc/docker/daemon.json" }, "nri-on medium", "daemon.json"},
		"a swarm":                        {func(f *Facts) { f.Engine.Is.SwarmNode = true }, "swarm medium", ""},
		"the socket in a container":      {with(container{Name: "ci", Mounts: []mount{{Source: "/var/run/docker.sock"}}}), "socket-mounted high", "ci has /var/run/docker.sock"},
		"containerd's socket in one":     {with(container{Name: "ci", Mounts: []mount{{Source: "/run/containerd"}}}), "socket-mounted high", "ci has /run/containerd"},
		"its folder in a container":      {with(container{Name: "ci", Mounts: []mount{{Source: "/run"}}}), "socket-mounted high", "/run"},
		"the host in a container":        {with(container{Name: "ci", Mounts: []mount{{Source: "/"}}}), "socket-mounted high", ""},
		"a folder that only begins so":   {with(container{Name: "ci", Mounts: []mount{{Source: "/run/dock"}, {Source: "/ru"}}}), "", ""},
		"Vitrine's own container":        {with(container{Name: "vitrine", Ours: true, HostPID: true, Mounts: []mount{{Source: "/run"}}}), "", ""},
		"privileged with the host's PIDs": {
			with(container{Name: "node", HostPID: true, Privileged: true}), "host-in-all-but-name high", "privileged",
		},
		"the host's PIDs and cgroups": {
			with(container{Name: "node", HostPID: true, Mounts: []mount{{Source: "/sys/fs/cgroup", Writable: true}}}), "host-in-all-but-name high", "/sys/fs/cgroup",
		},
		"the host's PIDs and cgroups to read": {with(container{Name: "node", HostPID: true, Mounts: []mount{{Source: "/sys"}}}), "", ""},
		"cgroups without the host's PIDs":     {with(container{Name: "node", Mounts: []mount{{Source: "/sys/fs/cgroup", Writable: true}}}), "", ""},
		"an admin that anybody can be":        {func(f *Facts) { f.AdminRoles.Is = []string{"admin is bound to label:x=y"} }, "admin-too-wide high", "label:x=y"},
		"no process numbers":                  {func(f *Facts) { f.Vitrine.Is.SeesPID = false }, "callers-unseen medium", ""},
		"Podman": {func(f *Facts) {
			f.Engine.Is, f.Daemon.Err = dockerd{Name: "Podman Engine", Version: "5.8.6"}, cause
			f.Daemon.Is, f.Probe.Is, f.TCP.Is = daemon{}, probe{Status: 200}, nil
		}, "not-asked medium,not-docker medium", "Podman Engine 5.8.6"},
		"a policy that was refused": {func(f *Facts) {
			f.Vitrine.Is.Failing = map[string]string{"policy": "refused", "plugin": "not asked"}
		}, "unwell medium", "policy: refused"},

		"nobody answers the probe":       {func(f *Facts) { f.Probe.Err = cause }, "not-asked high", "it does not say"},
		"the socket cannot be looked at": {func(f *Facts) { f.Socket.Err = cause }, "socket-open medium", "it does not say"},
		"HTTP/2 cannot be told":          {func(f *Facts) { f.HTTP2.Err = cause }, "http2-answered medium", "it does not say"},
		"dockerd's process is not found": {func(f *Facts) { f.Daemon.Err = cause }, "plugin-by-flag medium", "it does not say"},
		"its TCP sockets cannot be told": {func(f *Facts) { f.TCP.Err = cause }, "plain-tcp medium", "it does not say"},
		"the Engine tells nothing":       {func(f *Facts) { f.Engine.Err = cause }, "engine-version medium", "it does not say"},
		"it lists no containers":         {func(f *Facts) { f.Containers.Err = cause }, "socket-mounted medium", "it does not say"},
		"its files cannot be read":       {func(f *Facts) { f.NRI.Err = cause }, "nri-on low", "it does not say"},
		"the admin socket does not open": {func(f *Facts) { f.Vitrine.Err = cause }, "callers-unseen medium", "it does not say"},
		"the policy cannot be looked at": {func(f *Facts) { f.AdminRoles.Err = cause }, "admin-too-wide medium", "it does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy()
			s.weaken(f)
			findings := Examine(f)
			var got, text []string
			for _, x := range findings {
				got = append(got, fmt.Sprintf("%s %s", x.Check, x.Severity))
				text = append(text, x.Found+" "+x.Do)
				if x.Found == "" || x.Means == "" || x.Do == "" {
					t.Errorf("%+v says too little", x)
				}
				if x.Untold != strings.Contains(x.Found, "cannot be told") {
					t.Errorf("%+v: untold is %v", x, x.Untold)
				}
			}
			slices.Sort(got)
			if strings.Join(got, ",") != s.want || !strings.Contains(strings.Join(text, "\n"), s.says) {
				t.Errorf("found %v, want %s; said\n%s", got, s.want, strings.Join(text, "\n"))
			}
			if Worst(findings) != strings.Contains(s.want, " high") {
				t.Errorf("worst is high: %v", Worst(findings))
			}
		})
	}
}

// TestNothingIsToldClosed: of a host of which nothing can be told, silence is never the answer.
func TestNothingIsToldClosed(t *testing.T) {
	cause := errors.New("no")
	f := &Facts{}
	f.Socket.Err, f.Probe.Err, f.HTTP2.Err, f.Engine.Err, f.Daemon.Err = cause, cause, cause, cause, cause
	f.TCP.Err, f.Containers.Err, f.NRI.Err, f.Vitrine.Err, f.AdminRoles.Err = cause, cause, cause, cause, cause
	findings := Examine(f)
	if len(findings) != 10 || !Worst(findings) || findings[0].Check != "not-asked" {
		t.Errorf("%d findings: %+v", len(findings), findings)
	}
	for _, x := range findings {
		if !x.Untold {
			t.Errorf("%+v was told", x)
		}
	}
}

func TestWrite(t *testing.T) {
	f := healthy()
	f.TCP.Is = []tcp{{Address: "0.0.0.0:2375", Plain: true}}
	f.NRI.Is = "/etc/docker/daemon.json"
	var b bytes.Buffer
	if err := Write(&b, Examine(f)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"high   plain-tcp (CIS 2.7)\n       the Engine answers at 0.0.0.0:2375 without TLS\n       means: ", "\n       do:    remove", "medium nri-on\n", "checks: 1 high, 1 medium, 0 low\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestEachCheckHasItsRow: docs/doctor.md explains every check, and none that there is not.
func TestEachCheckHasItsRow(t *testing.T) {
	text, err := os.ReadFile("../../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			rows = append(rows, name[:strings.IndexByte(name, '`')])
		}
	}
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	if !slices.Equal(rows, names) {
		t.Errorf("docs/doctor.md has rows %v, the table %v", rows, names)
	}
}

func TestVersions(t *testing.T) {
	for s, want := range map[string]string{
		"28.5.2": "[28 5 2] false", "28.5.2+dfsg1": "[28 5 2] true", "27.0.3-rc.1": "[27 0 3] false", "17.06.0-ce": "[17 6 0] false",
		"24.0.7-0ubuntu4": "[24 0 7] true", "28.5": "error", "": "error", "a.b.c": "error",
	} {
		v, distribution, err := parseVersion(s)
		got := fmt.Sprint(v, distribution)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("version %q: %s, want %s", s, got, want)
		}
	}
}
