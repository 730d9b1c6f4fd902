package policy

import (
	"context"
	"slices"

	"vitrine/internal/engine/operation"
)

// Ability is whether a caller can do an operation with a hazard.
type Ability struct {
	Operation string           `json:"operation"`
	Hazard    operation.Hazard `json:"hazard,omitempty"`
	Can       *Witness         `json:"can,omitempty"` // the request that shows it
	State     State            `json:"state"`         // proved: it can if Can is there, and it cannot if it is not
}

// Can answers for a caller that has these principals and no others. The error says that there is no such operation.
func (p *Prover) Can(ctx context.Context, principals []string, id string, h operation.Hazard) (Ability, error) {
	f, err := p.WhoCan(ctx, id, h)
	a := Ability{Operation: f.Operation, Hazard: h, State: Proved}
	if err != nil {
		return a, err
	}
	as := Holding{Principals: principals}
	if p.model == nil {
		if f.State == NotDecided {
			a.Can = p.witness(ctx, as, principals, f.Operation, h)
		}
		if a.Can == nil {
			a.State = f.State
		}
		return a, nil
	}
	possible := false
	for _, has := range p.model.Held(principals) {
		named := slices.ContainsFunc(f.Can, func(w Witness) bool { return w.Role == has.Role }) ||
			slices.ContainsFunc(f.open, func(o Holding) bool { return o.Role == has.Role })
		if !named {
			continue
		}
		possible = true
		as.Role, as.At = has.Role, has.At
		if a.Can = p.witness(ctx, as, principals, f.Operation, h); a.Can != nil {
			return a, nil
		}
	}
	if possible {
		a.State = NotDecided
	}
	return a, nil
}
