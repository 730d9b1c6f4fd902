package identity

import "vitrine/internal/engine/principal"

// KindOf tells from its principals what kind of caller one must be, "" if they are none: for who asks
// about a caller that is not there.
func KindOf(principals []string) Kind {
	for _, s := range principals {
		p := principal.Split(s)
		if of := p.Kind.Facts().Of; of != "" || p.Kind == "" {
			return Kind(of)
		}
	}
	return ""
}
