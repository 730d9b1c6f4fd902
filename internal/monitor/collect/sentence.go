package collect

import (
	"fmt"
	"strings"

	"vitrine/internal/printable"
)

// Sentence says what happened, for people, without its time and the container's name, which stand before it.
func (e *Event) Sentence() string {
	switch {
	case e.Name == EventExit:
		return fmt.Sprintf("ended with exit code %d", e.ExitCode)
	case e.PID1Alive:
		return fmt.Sprintf("the OOM killer killed %d inside%s, and PID 1 lives on: the container may be stuck", e.Kills, e.Who())
	}
	return "died of the OOM killer" + e.Who()
}

// Who are the victims of the OOM killer as " (name, name)"; "" if nobody says.
func (e *Event) Who() string {
	var names []string
	for _, v := range e.Victims {
		names = append(names, printable.Line(v.String()))
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}
