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

// Bool sets a field to true or false.
func Bool[S any](field func(*S) *bool) func(*S, []string) error {
	return One(func(s *S, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*field(s) = b
		return nil
	})
}

// LogLevel sets a field to a level by its name.
func LogLevel[S any](field func(*S) *slog.Level) func(*S, []string) error {
	return One(func(s *S, v string) error {
		if err := field(s).UnmarshalText([]byte(v)); err != nil {
			return fmt.Errorf("%q is no level; there are debug, info, warn and error", v)
		}
		return nil
	})
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
