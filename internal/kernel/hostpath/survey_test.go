package hostpath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestClosedFolderOfNobodyKnown: of whom a folder is may be told otherwise than by the kernel, or not at all.
func TestClosedFolderOfNobodyKnown(t *testing.T) {
	info, err := fs.Stat(fstest.MapFS{"d": {Mode: fs.ModeDir | 0o700}}, "d")
	if err != nil {
		t.Fatal(err)
	}
	if who := writers(info); who != "somebody" || ownedByRoot(info) {
		t.Errorf("%q can write to it; root's: %v", who, ownedByRoot(info))
	}
}

func TestClosedFoldersThatOthersCanWriteTo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make folders that belong to root")
	}
	_, root := hostWith(t, "srv/app", "home/alice/proj", "srv/shared/x", "tmp/x", "tmp/mine", "data>srv/app", "srv/group", "srv/admins", "theirs/x", "etc/passwd!")
	for name, change := range map[string]func(string) error{
		"home/alice": func(p string) error { return os.Chown(p, 1000, 1000) },
		"tmp/mine":   func(p string) error { return os.Chown(p, 1000, 1000) },
		"tmp":        func(p string) error { return os.Chmod(p, 0o777|os.ModeSticky) },
		"srv/shared": func(p string) error { return os.Chmod(p, 0o777) },
		"srv/admins": func(p string) error { return os.Chmod(p, 0o775) },
		"theirs":     func(p string) error { return errors.Join(os.Chown(p, 1000, 1000), os.Chmod(p, 0o755|os.ModeSticky)) },
		"srv/group":  func(p string) error { return os.Chown(p, 0, 50) },
		"etc/passwd": func(p string) error { return os.Chown(p, 1000, 1000) },
	} {
		if err := change(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "srv/group"), 0o775); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		"/srv/app":         "",
		"/etc/passwd":      "", // its folder is root's
		"/home/alice/proj": "its owner (uid 1000) can write to /home/alice, and put a link in place of what leads to /home/alice/proj",
		"/home/alice":      "its owner (uid 1000) can write to /home/alice, and put a link in place of what lies in it",
		"/srv/shared/x":    "everybody can write to /srv/shared",
		"/srv/group":       "its group (gid 50) can write to /srv/group",
		"/srv/admins":      "", // its group is root's
		"/etc/passwd/x":    "/etc/passwd/x cannot be looked at: ",
		"/theirs/x":        "its owner (uid 1000) can write to /theirs", // though it is sticky, and x root's
		"/tmp/x":           "",                                          // sticky, and root's
		"/tmp/mine":        "everybody can write to /tmp, ",
		"/tmp":             "everybody can write to /tmp, and put a link in place of what lies in it",
		"/tmp/none":        "/tmp/none does not exist: whoever can write to /tmp",
		"/data":            "/data is a link to srv/app",
		"/data/x":          "/data is a link to srv/app",
		"/none/at/all":     "/none does not exist",
	} {
		if got := strings.Join(Survey(root, p), "\n"); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
}
