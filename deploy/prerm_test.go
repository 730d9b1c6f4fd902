package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestRemovalUnderAFlagClosed: the package stays while a dockerd runs that its command line told to ask Vitrine.
func TestRemovalUnderAFlagClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, script := range map[string]string{"dockerd": "#!/bin/sh\necho\nread -r end\n", "systemctl": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args  []string
		stays bool
	}{
		"the flag":         {[]string{"-H", "fd://", "--authorization-plugin=vitrine", "--debug"}, true},
		"in two words":     {[]string{"--authorization-plugin", "vitrine"}, true},
		"the second":       {[]string{"--authorization-plugin=other", "--authorization-plugin=vitrine"}, true},
		"another plugin":   {[]string{"--authorization-plugin=vitrine-not"}, false},
		"another's option": {[]string{"--label=vitrine"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dockerd := exec.CommandContext(t.Context(), filepath.Join(dir, "dockerd"), tc.args...)
			in, err := dockerd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := dockerd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := dockerd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = in.Close(), dockerd.Wait() }()
			if _, err := out.Read(make([]byte, 1)); err != nil { // it is named by now
				t.Fatal(err)
			}
			prerm := exec.CommandContext(t.Context(), "sh", "packages/vitrine.prerm", "remove")
			prerm.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			said, err := prerm.CombinedOutput()
			named := regexp.MustCompile(fmt.Sprintf(`running dockerd \(pid [0-9 ]*\b%d\b.*Take the flag out`, dockerd.Process.Pid)).Match(said)
			if named != tc.stays || tc.stays && err == nil {
				t.Errorf("%v (%v):\n%s", tc.args, err, said)
			}
		})
	}
}
