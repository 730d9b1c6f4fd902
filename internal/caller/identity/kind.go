package identity

import "vitrine/internal/engine/principal"

// KindOf tells from its principals what kind of caller one must be, "" if they are none: for who asks
// about a caller that is not there.
func KindOf(principals []string) Kind {
	for _, s := range principals {
		if of := principal.Split(s).Kind.Facts().Of; of != "" {
			return Kind(of)
		}
	}
	return ""
}
