package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vitrine/internal/spelling"
)

// An Option is one setting of an S: a flag, a key of the YAML file and an
// environment variable of the same name.
type Option[S any] struct {
	Key     string   // YAML key; the flag has dashes for its underscores
	List    bool     // may be given several times; ";" separates in the environment
	Default []string // as written in the help
	Help    string   // what the value is stands in `backquotes`
	Also    string   // another environment variable with this meaning; "" for none
	// Set takes the values: at most one, unless it is a List.
	Set func(s *S, values []string) error
}

// flag is its name on the command line.
func (o Option[S]) flag() string { return strings.ReplaceAll(o.Key, "_", "-") }

// prefix begins our variables' names.
const prefix = "VITRINE_"

// Env is its name in the environment.
func (o Option[S]) Env() string { return prefix + strings.ToUpper(o.Key) }

// A SettingError is one thing that is wrong with the configuration.
type SettingError struct {
	Where string // "--mode", "VITRINE_MODE" or "config.yaml: mode"
	Err   error
}

func (p SettingError) Error() string { return p.Where + ": " + p.Err.Error() }

// SettingErrors are all that is wrong with the configuration.
type SettingErrors []SettingError

func (p SettingErrors) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Settings is the table of all settings of a program.
type Settings[S any] struct {
	File    string // the YAML file, unless another is named; it may be absent
	Options []Option[S]
}

// AddFlags registers a flag for each setting.
func (t Settings[S]) AddFlags(flags *pflag.FlagSet) {
	flags.String("config", t.File, "read settings from the YAML `FILE`, \"\" for none; the default may be absent (VITRINE_CONFIG)")
	for _, o := range t.Options {
		help := o.Help + " (" + o.Env()
		if o.Also != "" {
			help += ", " + o.Also
		}
		help += ")"
		if o.List {
			flags.StringArray(o.flag(), o.Default, help)
		} else {
			flags.String(o.flag(), strings.Join(o.Default, ""), help)
		}
	}
}

// Read merges flags, environment, file and defaults into s, in this order of
// precedence, and returns every problem that it finds, not just the first. An
// environment variable that is empty counts as unset, for plugin/config.json declares
// them all.
func (t Settings[S]) Read(s *S, flags *pflag.FlagSet, environ []string) SettingErrors {
	env := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	getenv := func(name string) string { return env[name] }
	wrong := t.misspelt(env)
	file, err := t.readFile(flags, getenv)
	if err != nil {
		wrong = append(wrong, SettingError{"config", err})
	}
	for _, o := range t.Options {
		where, values := pick(o, flags, getenv, file)
		err := o.Set(s, values)
		if !o.List && len(values) > 1 {
			err = fmt.Errorf("has %d values, want one", len(values))
		}
		if err != nil {
			wrong = append(wrong, SettingError{where, err})
		}
	}
	return append(wrong, t.unknown(file)...)
}

// With makes what runs a command that is given its settings, as read makes them of flags and environment.
func With[S any](read func(flags *pflag.FlagSet, environ []string) (*S, error), run func(cmd *cobra.Command, s *S, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := read(cmd.Flags(), os.Environ())
		if err != nil {
			return err
		}
		return run(cmd, s, args)
	}
}

// misspelt objects to variables that are nearly ours: what was meant to be set, a mode or a guard,
// would not be. One that is like none of ours may be another program's, which
// has the prefix too, and names that are not far from ours.
func (t Settings[S]) misspelt(env map[string]string) SettingErrors {
	names := []string{"VITRINE_CONFIG"}
	for _, o := range t.Options {
		names = append(names, o.Env())
	}
	var wrong SettingErrors
	for _, name := range slices.Sorted(maps.Keys(env)) {
		key, ours := strings.CutPrefix(name, prefix)
		if !ours || env[name] == "" || slices.Contains(names, name) {
			continue
		}
		keys := make([]string, len(names))
		for i := range names {
			keys[i] = strings.TrimPrefix(names[i], prefix)
		}
		if near := spelling.Within(key, keys, 1+len(key)/6); near != "" {
			wrong = append(wrong, SettingError{name, errors.New("there is no such setting; is it " + prefix + near + "?")})
		}
	}
	return wrong
}

// pick finds the strongest source of an option's values.
func pick[S any](o Option[S], flags *pflag.FlagSet, getenv func(string) string, file *configFile) (where string, values []string) {
	if f := flags.Lookup(o.flag()); f.Changed {
		if v, ok := f.Value.(pflag.SliceValue); ok {
			return "--" + o.flag(), v.GetSlice()
		}
		return "--" + o.flag(), []string{f.Value.String()}
	}
	for _, name := range []string{o.Env(), o.Also} {
		if name == "" {
			continue
		}
		switch v := getenv(name); {
		case v == "":
		case o.List:
			return name, strings.Split(v, ";")
		default:
			return name, []string{v}
		}
	}
	if v, ok := file.values[o.Key]; ok {
		return file.name + ": " + o.Key, v
	}
	return "--" + o.flag(), o.Default
}

// unknown reports the keys of the file that nobody asked for, and values of a wrong shape.
func (t Settings[S]) unknown(file *configFile) SettingErrors {
	wrong := file.wrong
	keys := make([]string, len(t.Options))
	for i, o := range t.Options {
		keys[i] = o.Key
	}
	for key := range file.values {
		if !slices.Contains(keys, key) {
			wrong = append(wrong, SettingError{
				fmt.Sprintf("%s:%d: %s", file.name, file.lines[key], key),
				errors.New("no such key; there are " + strings.Join(keys, ", ") + spelling.Hint(key, keys)),
			})
		}
	}
	slices.SortFunc(wrong, func(a, b SettingError) int { return strings.Compare(a.Where, b.Where) })
	return wrong
}
