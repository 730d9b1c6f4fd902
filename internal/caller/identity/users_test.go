package identity

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/internal/caller/attest"
)

func TestParsePasswd(t *testing.T) {
	got, all := parsePasswd(`root:x:0:0:root:/root:/bin/bash
toor:x:0:0:root:/root:/bin/bash
alice:x:1000:1000:,,,:/home/alice:/bin/bash
bob:x:1001:1001::/home/bob:/bin/bash
robert:x:1001:1001::/home/bob:/bin/bash
twice:x:1002:1002:::
twice:x:1003:1003:::
1004:x:1005:1005:::
root:x:1006:1006:::
a b:x:1007:1007:::
+nis:x:1008:1008:::
svc$:x:1009:1009:::
short:x:1010
padded:x:01011:1011:::
huge:x:4294967296:1:::
minus:x:-1:1:::
# comment:x:1012:1012:::
last.one-x_:x:1013:1013:::`)
	want := map[uint32]string{1000: "alice", 1009: "svc$", 1013: "last.one-x_"}
	if !maps.Equal(got, want) {
		t.Errorf("parsePasswd = %v, want %v", got, want)
	}
	for uid, there := range map[uint32]bool{0: true, 1000: true, 1001: true, 1002: true, 1005: true, 1008: true, 1010: false, 4711: false} {
		if all[uid] != there {
			t.Errorf("uid %d: %v", uid, all[uid])
		}
	}
}

func TestUsersThatNobodyIs(t *testing.T) {
	u := users(t, "admin:x:0:0:::\nalice:x:1000:1000:::\ntwice:x:1002:1002:::\ntwice:x:1003:1003:::\n")
	for principal, nobody := range map[string]bool{
		"unix:root": false, "unix:alice": false, "uid:0": false, "uid:1000": false, "uid:1002": false, "gid:4711": false, "container:bob": false, "local": false,
		"unix:bob": true, "unix:twice": true, "unix:admin": true, "uid:4711": true, "uid:4294967296": true,
	} {
		if why := u.Never(principal); (why != "") != nobody {
			t.Errorf("%s: %q", principal, why)
		}
	}
	if why := users(t, "alice:x:1000:1000:::\n").Never("uid:0"); why != "" {
		t.Errorf("uid 0 is there whatever the file says: %q", why)
	}
	if why := NewUsers(filepath.Join(t.TempDir(), "none"), nil).Never("unix:bob"); why != "" {
		t.Errorf("without a file it cannot be told: %q", why)
	}
}

func TestRootIsRoot(t *testing.T) {
	u := users(t, "admin:x:0:0:::\nroot:x:1000:0:::\n").current()
	if u.name(0) != "root" || u.name(1000) != "" {
		t.Errorf("uid 0 is %q, uid 1000 is %q", u.name(0), u.name(1000))
	}
	if none := (*names)(nil); none.name(0) != "root" || none.name(1000) != "" {
		t.Error("without a file, only uid 0 has a name")
	}
}

func TestUsersAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "passwd")
		var log bytes.Buffer
		u := NewUsers(path, slog.New(slog.NewTextHandler(&log, nil)))
		is := func(want string) {
			t.Helper()
			time.Sleep(time.Second) // of the bubble
			if got := u.current().name(1000); got != want {
				t.Errorf("uid 1000 is %q, want %q", got, want)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		when := time.Now()
		write := func(file, name string, at time.Time) {
			t.Helper()
			must(os.WriteFile(file, []byte(name+":x:1000:1000:::\n"), 0o600))
			must(os.Chtimes(file, at, at))
		}
		is("")
		write(path, "alice", when)
		is("alice")
		before := u.current()
		is("alice")
		if u.current() != before {
			t.Error("a file that has not changed was read again")
		}
		write(path+"+", "bobby", when) // as usermod does; in the same tick of the clock
		must(os.Rename(path+"+", path))
		is("bobby")
		write(path, "robert", when) // of another length
		is("robert")
		write(path, "claire", when.Add(1)) // of another time
		is("claire")
		must(os.Remove(path))
		is("")
		if log.Len() > 0 {
			t.Errorf("a file that is not there is a problem: %s", &log)
		}
		must(os.Mkdir(path, 0o700))
		is("")
		is("")
		if n := strings.Count(log.String(), "is a directory"); n != 1 {
			t.Errorf("said %d times: %s", n, &log)
		}
	})
}

// TestUsersOfAConnectionAreThoseOfToday: a user that is renamed has the new name with the next request.
func TestUsersOfAConnectionAreThoseOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := users(t, "alice:x:1000:1000:::\n")
		f := &fake{attested: attest.Attestation{Kind: attest.Host, UID: new(uint32(1000))}}
		i, c := New(f, f, u), NewUnix("a", self(t))
		wantPrincipals(t, i.Identify(t.Context(), c), Host, "unix:alice", "uid:1000")
		if err := os.WriteFile(u.path, []byte("robert:x:1000:1000:::\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble
		wantPrincipals(t, i.Identify(t.Context(), c), Host, "unix:robert", "uid:1000")
	})
}

func TestPasswdWithoutEndNamesNobodyClosed(t *testing.T) {
	const alice = "alice:x:1000:1000:::\n#"
	whole := alice + strings.Repeat("x", mostUsers-len(alice))
	if got := users(t, whole).current().name(1000); got != "alice" {
		t.Errorf("uid 1000 is %q", got)
	}
	if got := users(t, whole+"x").current().name(1000); got != "" {
		t.Errorf("from a file that is too large, uid 1000 is %q", got)
	}
}
