package grant

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func lent(id string, length time.Duration) Grant {
	return Grant{ID: id, Role: "ops", To: []string{"tls:a"}, From: noon, Until: noon.Add(length), By: "root, logged in as alice", Reason: "why: # not"}
}

// folder is one that is ours alone.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func add(t *testing.T, file string, grants ...Grant) {
	t.Helper()
	if err := Change(file, noon, func(list []Grant) ([]Grant, error) { return append(list, grants...), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(folder(t), "grants.yaml")
	if list, err := Read(file, noon); err != nil || len(list) != 0 {
		t.Fatalf("without a file: %v %v", list, err)
	}
	a, old := lent("g-a", time.Hour), lent("g-old", time.Minute)
	old.From, old.Until = noon.Add(-9*24*time.Hour), noon.Add(-8*24*time.Hour)
	add(t, file, a, old)
	b := lent("g-b", time.Hour)
	b.To, b.Revoked = []string{"container:web", "container-uid:0"}, &Revocation{At: noon, By: "root", Reason: "done"}
	add(t, file, b)
	list, err := Read(file, noon)
	if err != nil || len(list) != 2 || !list[0].Same(&a) || !list[1].Same(&b) || list[1].Revoked == nil || *list[1].Revoked != *b.Revoked || list[0].Reason != a.Reason || list[0].By != a.By {
		t.Errorf("read %+v, %v", list, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	no := errors.New("no")
	if err := Change(file, noon, func([]Grant) ([]Grant, error) { return nil, no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if again, err := Read(file, noon); err != nil || len(again) != 2 {
		t.Errorf("a change that failed changed something: %v %v", again, err)
	}
	bad := lent("g-c", time.Hour)
	bad.Reason = "two\nlines"
	if err := Change(file, noon, func(list []Grant) ([]Grant, error) { return append(list, bad), nil }); err == nil {
		t.Error("what could not be read was written")
	}
}

// TestHostileFileClosed: a file that is wrong anywhere is no grants at all, and the message
// says where.
func TestHostileFileClosed(t *testing.T) {
	const good = "grants:\n- id: g-a\n  role: ops\n  to: [\"tls:a\"]\n  from: 2026-11-27T12:00:00Z\n  until: 2026-11-27T13:00:00Z\n  by: root\n  reason: x\n"
	const second = "- id: g-b\n  role: ops\n  to: [\"tls:b\"]\n  from: 2026-11-27T12:00:00Z\n  until: 2026-11-27T13:00:00Z\n  by: root\n  reason: x\n"
	for name, tc := range map[string]struct{ text, want string }{
		"empty":              {"", "is empty"},
		"a comment":          {"# grants\n", "is empty"},
		"cut in a key":       {good[:60], "grants.yaml"},
		"cut before its end": {good[:strings.Index(good, "  until")], "grants.yaml:2: until: it does not end after it begins"},
		"cut before why":     {good[:strings.Index(good, "  reason")], "grants.yaml:2: reason:"},
		"another key":        {good + "  admin: true\n", "line 9: field admin not found"},
		"a key twice":        {good + "  role: admin\n", "already defined"},
		"another case":       {strings.Replace(good, "until:", "Until:", 1), "field Until not found"},
		"two documents":      {good + "---\n" + good, "more than one document"},
		"an id twice":        {good + good[len("grants:\n"):], "grants.yaml:9: id: g-a is there twice"},
		"after never":        {strings.Replace(good, "2026-11-27T13:00:00Z", "9999-12-31T23:59:00Z", 1), "grants.yaml:2: until: it is too far ahead"},
		"the second":         {good + strings.Replace(second, "13:00", "11:00", 1), "grants.yaml:9: until:"},
		"no principal":       {strings.Replace(good, `["tls:a"]`, "[]", 1), "grants.yaml:2: to: it names 0"},
		"no kind":            {strings.Replace(good, "tls:a", "root", 1), "grants.yaml:2: to:"},
		"a wildcard":         {strings.Replace(good, "tls:a", "tls:*", 1), "grants.yaml:2: to:"},
		"many principals":    {strings.Replace(good, `["tls:a"]`, "["+strings.Repeat("'tls:a',", 9)+"]", 1), "grants.yaml:2: to: it names 9"},
		"a path as id":       {strings.Replace(good, "g-a", "../x", 1), "grants.yaml:2: id:"},
		"no role":            {strings.Replace(good, "role: ops", `role: ""`, 1), "grants.yaml:2: role:"},
		"an escape":          {strings.Replace(good, "reason: x", `reason: "\e[2J"`, 1), "grants.yaml:2: reason:"},
		"another line":       {strings.Replace(good, "by: root", `by: "root\nx"`, 1), "grants.yaml:2: by:"},
		"years ahead":        {strings.ReplaceAll(good, "2026-", "2036-"), "grants.yaml:2: from: it begins in more than a year"},
		"no time":            {strings.Replace(good, "2026-11-27T13:00:00Z", "later", 1), "grants.yaml:2: parsing time"},
		"revoked by nobody":  {good + "  revoked: {at: 2026-11-27T12:30:00Z}\n", "grants.yaml:2: revoked:"},
		"huge":               {good + strings.Repeat("#", maxFile), "is larger than"},
		"a list":             {"- 1\n", "grants.yaml"},
		"aliases":            {"a: &a [x]\n" + good, "field a not found"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(folder(t), "grants.yaml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := Read(file, noon)
			if err == nil || len(list) != 0 || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("read %v, %v; want %s", list, err, tc.want)
			}
		})
	}
	file := filepath.Join(folder(t), "grants.yaml")
	if err := os.WriteFile(file, []byte(good+second), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := Read(file, noon); err != nil || len(list) != 2 {
		t.Errorf("the good one: %v %v", list, err)
	}
}

// TestOthersFileClosed: what others can have written is not believed.
func TestOthersFileClosed(t *testing.T) {
	for name, spoil := range map[string]func(dir, file string) error{
		"a group's file":   func(_, file string) error { return os.Chmod(file, 0o620) },
		"everybody's file": func(_, file string) error { return os.Chmod(file, 0o602) },
		"a group's folder": func(dir, _ string) error { return os.Chmod(dir, 0o770) },
		"everybody's":      func(dir, _ string) error { return os.Chmod(dir, 0o1777) },
		"a folder":         func(_, file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"a link out of it": func(_, file string) error {
			away := filepath.Join(folder(t), "x")
			return errors.Join(os.Rename(file, away), os.Symlink(away, file))
		},
		"a pipe": func(_, file string) error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)) },
		"another's file": func(_, file string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(file, 0o622) // one that we can do
			}
			return os.Chown(file, 12345, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			file := filepath.Join(dir, "grants.yaml")
			add(t, file, lent("g-a", time.Hour))
			if err := spoil(dir, file); err != nil {
				t.Fatal(err)
			}
			if list, err := Read(file, noon); err == nil || len(list) != 0 {
				t.Errorf("read %v, %v", list, err)
			}
		})
	}
}

// TestTwoWriters: two who grant at once both do.
func TestTwoWriters(t *testing.T) {
	file := filepath.Join(folder(t), "grants.yaml")
	done := make(chan error)
	for id := range strings.SplitSeq("abcdefgh", "") {
		go func() {
			done <- Change(file, noon, func(list []Grant) ([]Grant, error) { return append(list, lent("g-"+id, time.Hour)), nil })
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if list, err := Read(file, noon); err != nil || len(list) != 8 {
		t.Errorf("%d grants, %v", len(list), err)
	}
}

// FuzzRead: whatever a file holds, it is no grants, and the message names it, or grants that are the same when they were
// written and read again.
func FuzzRead(f *testing.F) {
	const one = "grants:\n- {id: g-a, role: ops, to: [\"tls:a\"], from: 2026-11-27T12:00:00Z, until: 2026-11-27T13:00:00Z, by: root, reason: x}\n"
	f.Add(one)
	f.Add(one[:60])
	f.Add(one + "  revoked: {at: 2026-11-27T12:30:00Z, by: root, reason: y}\n")
	f.Add("grants: [" + strings.Repeat("[", 1000))
	f.Add("a: &a [x]\ngrants: [*a, *a]\n")
	file := filepath.Join(folder(f), "grants.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := Read(file, noon)
		if err != nil {
			if _, wrong := errors.AsType[*FileError](err); !wrong || len(list) > 0 || !strings.Contains(err.Error(), "grants.yaml") {
				t.Fatalf("%v, with %v", err, list)
			}
			return
		}
		if err := Change(file, noon, func(l []Grant) ([]Grant, error) { return l, nil }); err != nil {
			t.Fatalf("%v cannot be written again: %v", list, err)
		}
		again, err := Read(file, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range again {
			if !slices.ContainsFunc(list, func(o Grant) bool { return o.Same(&g) }) {
				t.Fatalf("%+v was not there before: %+v", g, list)
			}
		}
	})
}
