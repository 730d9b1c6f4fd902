package policy

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"vitrine/internal/authz/obligation"
	"vitrine/internal/engine/operation"
)

// checkStreams reports operations that a role grants in vain: the role blanks something in
// their answers, and no door can blank those.
func checkStreams(data map[string]any, report func(key, message string)) {
	parameter := regexp.MustCompile(`{[^}]*}`)
	roles, _ := data["roles"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		role, _ := roles[name].(map[string]any)
		blanked, _ := role["redact"].(map[string]any)
		for _, info := range operation.Operations() {
			if _, named := blanked[info.ID]; !named || info.Method != http.MethodGet {
				continue
			}
			op, err := operation.Parse(&operation.Request{
				Method: info.Method, URI: parameter.ReplaceAllString(info.Path, "x"), Proto: "HTTP/1.1", Header: http.Header{},
			})
			if err != nil {
				continue // it needs parameters: no stream without any
			}
			if _, unmet := obligation.Meet(obligation.Gateway, op, obligation.Demand{Redact: []string{"/x"}}); unmet != nil {
				report(fmt.Sprintf("roles.%s.redact.%s", name, info.ID), "a plain GET "+info.Path+" is denied: "+unmet.Reason)
			}
		}
	}
}
