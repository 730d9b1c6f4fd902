package command

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type things struct {
	one  string
	many []string
	on   bool
}

func table(file string) Settings[things] {
	return Settings[things]{File: file, Options: []Option[things]{
		{Key: "the_one", Default: []string{"default"}, Help: "`X`", Also: "DD_ONE", Set: One(func(s *things, v string) error { s.one = v; return nil })},
		{Key: "many", List: true, Help: "`Y`", Set: func(s *things, v []string) error { s.many = v; return nil }},
		{Key: "on", Default: []string{"false"}, Help: "`BOOL`", Set: Value(Bool, func(s *things) *bool { return &s.on })},
	}}
}

func read(t *testing.T, yaml string, env map[string]string, args ...string) (things, SettingErrors) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if yaml != "" {
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
	table(file).AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	var s things
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	return s, table(file).Read(&s, flags, environ)
}

func TestPrecedence(t *testing.T) {
	const file = "the_one: file\nmany: [a, {name: n, address: 'unix:///x', mode: 0666}]\n"
	for _, tt := range []struct {
		name, yaml string
		env        map[string]string
		args       []string
		one        string
		many       []string
	}{
		{"nothing", "", nil, nil, "default", nil},
		{"file", file, nil, nil, "file", []string{"a", "n=unix:///x,mode=0666"}},
		{"a mapping", "many: {a: 1, b: 2}", nil, nil, "default", []string{"a=1", "b=2"}},
		{"a mapping for one value", "the_one: {a.b: c}", nil, nil, `{"a.b":"c"}`, nil},
		{"empty value in the file", "the_one:\n", nil, nil, "", nil},
		{"another's environment", file, map[string]string{"DD_ONE": "dd"}, nil, "dd", []string{"a", "n=unix:///x,mode=0666"}},
		{"environment", file, map[string]string{"DD_ONE": "dd", "VITRINE_THE_ONE": "env", "VITRINE_MANY": "b;c"}, nil, "env", []string{"b", "c"}},
		{"empty environment", file, map[string]string{"VITRINE_THE_ONE": ""}, nil, "file", []string{"a", "n=unix:///x,mode=0666"}},
		{"flags", file, map[string]string{"VITRINE_THE_ONE": "env"}, []string{"--the-one", "flag", "--many", "d", "--many", "e;f"}, "flag", []string{"d", "e;f"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, wrong := read(t, tt.yaml, tt.env, tt.args...)
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			if s.one != tt.one || !slices.Equal(s.many, tt.many) {
				t.Errorf("read %q and %q", s.one, s.many)
			}
		})
	}
}

// TestProblems: all of them, each with the place where it was written.
func TestProblems(t *testing.T) {
	_, wrong := read(t, "the_one: [a, b]\nmany: [[x]]\nnonsense: 1\n", map[string]string{"VITRINE_ON": "perhaps"})
	for _, want := range []string{"c.yaml: the_one: has 2 values", "c.yaml:2: many: line 2: want a string", "c.yaml:3: nonsense: no such key; there are the_one, many, on", "VITRINE_ON: \"perhaps\""} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("no %q in\n%v", want, wrong)
		}
	}
	if _, wrong := read(t, "", map[string]string{"VITRINE_CONFIG": "/nowhere"}); !strings.Contains(wrong.Error(), "config: read the configuration: open /nowhere") {
		t.Errorf("a file that was named and is missing: %v", wrong)
	}
	if s, wrong := read(t, "nonsense: 1\n", nil, "--config", ""); len(wrong) > 0 || s.one != "default" {
		t.Errorf("no file: %q, %v", s.one, wrong)
	}
	if _, wrong := read(t, "- a list", nil); len(wrong) != 1 {
		t.Errorf("a file that is no mapping: %v", wrong)
	}
}

// TestUnknownKeysAreReportedWhereTheyAre: a mapping begins below its key.
func TestUnknownKeysAreReportedWhereTheyAre(t *testing.T) {
	_, wrong := read(t, "# settings\nmanny:\n\n  a: 1\nother: [the_one]\n", nil)
	for _, want := range []string{"c.yaml:2: manny: no such key; there are the_one, many, on; is it many?", "c.yaml:5: other: no such key; there are"} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("no %q in\n%v", want, wrong)
		}
	}
}

// TestMisspeltVariables: one that is nearly ours would silently not be set; one that is like
// none of ours may be anybody's.
func TestMisspeltVariables(t *testing.T) {
	_, wrong := read(t, "", map[string]string{
		"VITRINE_THE_OEN": "1", "VITRINE_Many": "x", "VITRINE_ONN": "", "VITRINE_SOMETHING": "1", "VITRINE_CONFIGG": "x", "THE_OEN": "1", "VITRINE_": "1",
	})
	var names []string
	for _, w := range wrong {
		names = append(names, w.Error())
	}
	want := []string{
		"VITRINE_CONFIGG: there is no such setting; is it VITRINE_CONFIG?",
		"VITRINE_Many: there is no such setting; is it VITRINE_MANY?",
		"VITRINE_THE_OEN: there is no such setting; is it VITRINE_THE_ONE?",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		err  error
		code int
		says string
	}{
		{"well", []string{"do"}, nil, OK, ""},
		{"failed", []string{"do"}, ExitError{Failed, errors.New("it broke")}, Failed, "x: it broke\n"},
		{"says nothing more", []string{"do"}, ExitError{Code: Failed}, Failed, ""},
		{"no such command", []string{"don't"}, nil, Usage, "Run \"x --help\" for usage\n"},
		{"no such command below", []string{"group", "chekc", "DIR"}, nil, Usage, "x: unknown command \"chekc\" for \"x group\"; is it check? (there are check)\nRun \"x --help\" for usage\n"},
		{"a command below", []string{"group", "check"}, nil, OK, ""},
		{"a group alone", []string{"group"}, nil, OK, "Use \"x group [command] --help\" for more information about a command.\n"},
		{"version", []string{"version"}, nil, OK, "x 1\n"},
		{"its flag", []string{"--version"}, nil, OK, "x 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			std := Streams{In: strings.NewReader(""), Out: &out, Err: &out}
			root := &cobra.Command{Use: "x"}
			group := &cobra.Command{Use: "group", Short: "things"}
			group.AddCommand(&cobra.Command{Use: "check", RunE: func(*cobra.Command, []string) error { return nil }})
			root.AddCommand(group, &cobra.Command{Use: "do", RunE: func(*cobra.Command, []string) error { return tt.err }})
			AddVersion(root, "v", "x 1", std)
			if code := Run(t.Context(), root, tt.args, std); code != tt.code || !strings.HasSuffix(out.String(), tt.says) || (tt.says == "") != (out.Len() == 0) {
				t.Errorf("exit code %d, said %q", code, &out)
			}
		})
	}
}

// TestMessagesSteerNoTerminalClosed: an error may quote files and callers.
func TestMessagesSteerNoTerminalClosed(t *testing.T) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return ExitError{Failed, errors.New("a:\n\tb\x1b[2J")} }}
	Run(t.Context(), root, nil, Streams{Out: &out, Err: &out})
	if out.String() != "x: a:\n\tb?[2J\n" {
		t.Errorf("%q", &out)
	}
}
