package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	units "github.com/docker/go-units"
	"github.com/open-policy-agent/opa/v1/ast"

	"vitrine/internal/engine/operation"
	"vitrine/internal/spelling"
)

// ceiling is one key of ceilings, in a role and in Rego.
type ceiling struct {
	is    string // for messages
	whole bool
	set   func(*operation.Ceilings, float64)
}

func ceilings() map[string]ceiling {
	return map[string]ceiling{
		"memory":     {"bytes, or a size such as 512MiB", true, func(c *operation.Ceilings, n float64) { c.Memory = int64(n) }},
		"cpus":       {"a number of processors, 0.01 at least", false, func(c *operation.Ceilings, n float64) { c.NanoCPUs = int64(math.Round(n * 1e9)) }},
		"pids":       {"a number of processes", true, func(c *operation.Ceilings, n float64) { c.Pids = int64(n) }},
		"containers": {"a number of containers", true, func(c *operation.Ceilings, n float64) { c.Containers = int64(n) }},
		"networks":   {"a number of networks", true, func(c *operation.Ceilings, n float64) { c.Networks = int64(n) }},
		"volumes":    {"a number of volumes", true, func(c *operation.Ceilings, n float64) { c.Volumes = int64(n) }},
	}
}

// mostCeiling is what Rego's numbers and JSON's hold exactly.
const mostCeiling = 1 << 53

func (c ceiling) valid(n float64) bool {
	return n >= 0.01 && n <= mostCeiling && (!c.whole || n == math.Trunc(n)) && (c.whole || n <= 1e6)
}

// adoptCeilings writes sizes of roles as numbers, which is how rules see them.
func adoptCeilings(data map[string]any) {
	roles, _ := data["roles"].(map[string]any)
	for _, v := range roles {
		role, _ := v.(map[string]any)
		of, _ := role["ceilings"].(map[string]any)
		if text, is := of["memory"].(string); is {
			if n, err := units.RAMInBytes(text); err == nil {
				of["memory"] = json.Number(strconv.FormatInt(n, 10))
			}
		}
	}
}

func (c *roleChecker) ceilings(key string, v any) {
	members := map[string]check{}
	for name, of := range ceilings() {
		members[name] = func(key string, v any) {
			n, _ := v.(json.Number)
			if f, err := n.Float64(); err != nil || !of.valid(f) {
				c.problem(key, "must be %s, not %v", of.is, v)
			}
		}
	}
	c.object(key, v, members)
	if all, is := v.(map[string]any); is && len(all) == 0 {
		c.problem(key, "is empty, and so limits nothing: leave it out")
	}
}

// ceilings are numbers by their names; another name would be a ceiling that does not hold.
func (r *answerReader) ceilings(rule string) (c operation.Ceilings) {
	object := r.object(rule, "numbers")
	if object == nil {
		return c
	}
	known := ceilings()
	object.Foreach(func(k, v *ast.Term) {
		name, _ := k.Value.(ast.String)
		of, is := known[string(name)]
		n, number := v.Value.(ast.Number)
		f, exact := n.Float64()
		switch {
		case !is:
			names := slices.Sorted(maps.Keys(known))
			r.fail(rule, fmt.Sprintf("has %s%s (there are %s)", printable(k.String()), spelling.Hint(string(name), names), strings.Join(names, ", ")))
		case !number || !exact || !of.valid(f):
			r.fail(rule, fmt.Sprintf("has %s for %s, which must be %s", printable(v.String()), string(name), of.is))
		default:
			of.set(&c, f)
		}
	})
	return c
}
