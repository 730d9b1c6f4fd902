package policy

import (
	"slices"

	"vitrine/internal/engine/operation"
)

// operationIDs are the names of all operations, sorted.
func operationIDs() []string {
	var ids []string
	for _, op := range operation.Operations() {
		ids = append(ids, op.ID)
	}
	return ids
}

// resources are the resources of the catalogue, sorted.
func resources() []string {
	var names []string
	for _, op := range operation.Operations() {
		names = append(names, op.Resource)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// accessClasses are the classes from harmless to administrative.
func accessClasses() []string {
	return []string{
		string(operation.Ping), string(operation.List), string(operation.Inspect), string(operation.Stream),
		string(operation.Content), string(operation.Secret), string(operation.Interactive),
		string(operation.Write), string(operation.Build), string(operation.Admin),
	}
}

func hazards() []string {
	var names []string
	for _, h := range operation.Hazards() {
		names = append(names, string(h.Hazard))
	}
	return names
}
