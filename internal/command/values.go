package command

import (
	"fmt"
	"log/slog"
	"os/user"
	"strconv"
)

// One makes the Set of an option with one value; it is "" if there is none.
func One[S any](set func(s *S, value string) error) func(*S, []string) error {
	return func(s *S, values []string) error {
		if len(values) == 0 {
			return set(s, "")
		}
		return set(s, values[0])
	}
}

// Value makes the Set of an option with one value, "" if there is none, which parse reads into a field.
func Value[S, T any](parse func(value string) (T, error), field func(*S) *T) func(*S, []string) error {
	return One(func(s *S, v string) (err error) {
		*field(s), err = parse(v)
		return err
	})
}

// Bool reads true or false.
func Bool(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		err = fmt.Errorf("%q is neither true nor false", v)
	}
	return b, err
}

// LogLevel reads a level's name.
func LogLevel(v string) (level slog.Level, err error) {
	if level.UnmarshalText([]byte(v)) != nil {
		err = fmt.Errorf("%q is no level; there are debug, info, warn and error", v)
	}
	return level, err
}

// GroupID is the number of a group, by its name or by itself.
func GroupID(group string) (int, error) {
	if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("%w; a number works where /etc/group is not the host's", err)
	}
	return strconv.Atoi(g.Gid)
}
