package operation

import "strings"

// BlankAction is what remains of an event's action when it is blanked: the action
// itself, without what the Engine appends to some behind a colon. Of an exec
// that is the command line ("exec_create: mysql -psecret" becomes
// "exec_create:"), of a health check it may be what the check printed; the
// Engine's own words for health stay.
func BlankAction(s string) string {
	switch s {
	case "health_status: starting", "health_status: running", "health_status: healthy", "health_status: unhealthy":
		return s
	}
	word, _, appended := strings.Cut(s, ":")
	if !appended {
		return s
	}
	return word + ":"
}

// AsksForMore reports whether a filter of events, as the query has it (an
// object of objects or lists), names an action that BlankAction would cut: the
// answer to it, though blanked, would say what was cut. The Engine compares
// beginnings of actions, so that a command could be guessed letter by letter.
func AsksForMore(filters any) bool {
	all, isObject := filters.(map[string]any)
	if !isObject {
		return filters != nil
	}
	switch actions := all["event"].(type) {
	case nil:
		return false
	case map[string]any:
		for action := range actions {
			if BlankAction(action) != action {
				return true
			}
		}
		return false
	case []any:
		for _, v := range actions {
			if action, isString := v.(string); !isString || BlankAction(action) != action {
				return true
			}
		}
		return false
	default:
		return true
	}
}
