package tool

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuiltinPolicyIsInLayout(t *testing.T) {
	var out bytes.Buffer
	tidy, err := Format([]string{filepath.Join("..", "..", "..", "..", "rego")}, FormatDiff, &out)
	if err != nil || !tidy {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestFormat(t *testing.T) {
	const untidy, tidyText = "package docker.authz\nallow   if  input.x", "package docker.authz\n\nallow if input.x\n"
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.rego", untidy)
	write("sub/b.rego", tidyText)
	write("old.rego", "package x\n\nallow {\n\tinput.x\n}\n")
	name := filepath.Join(dir, "a.rego")

	var out bytes.Buffer
	tidy, err := Format([]string{dir}, FormatList, &out)
	if err != nil || tidy || out.String() != name+"\n" {
		t.Errorf("list: %v, %v, %q", tidy, err, out.String())
	}
	out.Reset()
	if tidy, err := Format([]string{name}, FormatDiff, &out); err != nil || tidy {
		t.Errorf("diff: %v, %v", tidy, err)
	}
	if said := out.String(); !strings.Contains(said, "-allow   if  input.x") || !strings.Contains(said, "+allow if input.x") {
		t.Error(said)
	}
	out.Reset()
	if _, err := Format([]string{dir}, FormatWrite, &out); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(name); string(got) != tidyText {
		t.Errorf("written %q", got)
	}
	if tidy, err := Format([]string{dir}, FormatList, &out); err != nil || !tidy {
		t.Errorf("after writing: %v, %v", tidy, err)
	}
	write("a.rego", "allow if {")
	if _, err := Format([]string{dir, filepath.Join(dir, "missing")}, FormatList, &out); err == nil {
		t.Error("a file that does not parse, and a path that does not exist, are formatted")
	}
}
