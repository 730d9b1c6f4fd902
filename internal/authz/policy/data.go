package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"
)

// position is where a key of the data was written.
type position struct {
	file string
	line int
}

// readData reads and merges the data files. Within a path two files must not
// say the same; from one path to the next what stands under the two topmost keys
// (roles.look, bindings.admin) is replaced whole. The built-in roles are amended
// like that too, the built-in bindings hold only until others are written. Data
// for the built-in policy must be what that understands: see checkRoles. For another
// one, too, it is said what roles blank.
func readData(src *sources) (map[string]any, error) {
	data, _, err := readTerms(src)
	return data, err
}

// readTerms gives the ends of bindings beside the data, which has them without their ends.
func readTerms(src *sources) (map[string]any, []term, error) {
	merged, where, err := checkedData(src)
	if err != nil {
		return nil, nil, err
	}
	if !src.builtin {
		_ = adoptRedaction(merged) // see checkRedaction
		return merged, nil, nil
	}
	terms := takeEnds(merged, where)
	return merged, terms, resolveRedaction(merged)
}

// checkedData is the data in the words that the rules know, which those of the built-in ones understand.
func checkedData(src *sources) (map[string]any, map[string]position, error) {
	merged, where, err := mergeData(src)
	if err != nil {
		return nil, nil, err
	}
	adoptCeilings(merged)
	if !src.builtin {
		return merged, where, nil
	}
	if src.amend != nil {
		src.amend(merged)
	}
	return merged, where, checkRoles(merged, where)
}

// mergeData is the data as it is written, and where.
func mergeData(src *sources) (map[string]any, map[string]position, error) {
	where := map[string]position{}
	merged := map[string]any{}
	own := false // bindings of the user's own were seen
	var errs []error
	for i, group := range src.data {
		data, err := readGroup(group, where)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, has := data["bindings"]; has && src.builtin && i > 0 && !own {
			own = true
			delete(merged, "bindings") // the built-in ones
		}
		override(merged, data)
	}
	return merged, where, errors.Join(errs...)
}

// readGroup merges the data files of one path.
func readGroup(group []file, where map[string]position) (map[string]any, error) {
	merged := map[string]any{}
	var errs []error
	for _, f := range group {
		data, err := decodeData(f, where)
		if err == nil {
			err = unite(merged, data, "")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	return merged, errors.Join(errs...)
}

// errEmpty: what is not written would be left to the built-in policy, which may
// allow more than its author did.
var errEmpty = errors.New("is empty, and a policy says what it means: write roles and bindings into it, or take the file away")

// decodeData reads one YAML or JSON document as JSON values, numbers as tokens.
func decodeData(f file, where map[string]position) (map[string]any, error) {
	var node yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(f.raw))
	switch err := dec.Decode(&node); {
	case errors.Is(err, io.EOF): // nothing, or nothing but comments
		return nil, errEmpty
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document: put all into one, without a line ---")
	}
	var decoded any
	if err := node.Decode(&decoded); err != nil {
		return nil, err
	}
	if decoded == nil {
		return nil, errEmpty
	}
	locate(node.Content[0], strings.Join(f.prefix, "."), f.name, where)
	plain, err := jsonValue(decoded)
	if err != nil {
		return nil, err
	}
	data, ok := plain.(map[string]any)
	if !ok {
		return nil, errors.New("the top level must be a mapping, e.g. `roles:`")
	}
	if len(data) == 0 {
		return nil, errEmpty
	}
	for _, key := range slices.Backward(f.prefix) {
		data = map[string]any{key: data}
	}
	return data, nil
}

// locate records the line of every key and list item.
func locate(node *yaml.Node, key, file string, where map[string]position) {
	if node.Kind == yaml.AliasNode {
		return // its line is where the anchor is
	}
	for i, child := range node.Content {
		name, line := strconv.Itoa(i), child.Line
		if node.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			name, line = node.Content[i-1].Value, node.Content[i-1].Line // a mapping begins below its key
		}
		below := join(key, name)
		where[below] = position{file, line}
		locate(child, below, file, where)
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// jsonValue turns what YAML decodes to into JSON values.
func jsonValue(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case int:
		return json.Number(strconv.Itoa(v)), nil
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), nil
	case uint64:
		return json.Number(strconv.FormatUint(v, 10)), nil
	case float64:
		b, err := json.Marshal(v) // fails for .inf and .nan
		return json.Number(b), err
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case []any:
		for i := range v {
			e, err := jsonValue(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = e
		}
		return v, nil
	case map[string]any:
		for k := range v {
			e, err := jsonValue(v[k])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			v[k] = e
		}
		return v, nil
	case map[any]any:
		return nil, fmt.Errorf("keys must be strings: quote the numbers and booleans in %v", v)
	default:
		return nil, fmt.Errorf("a %T is no JSON value", v)
	}
}

// unite adds src to dst; both saying the same is an error.
func unite(dst, src map[string]any, key string) error {
	for k, v := range src {
		old, exists := dst[k]
		if !exists {
			dst[k] = v
			continue
		}
		a, okA := old.(map[string]any)
		b, okB := v.(map[string]any)
		if !okA || !okB {
			return fmt.Errorf("%s is set in another file too", join(key, k))
		}
		if err := unite(a, b, join(key, k)); err != nil {
			return err
		}
	}
	return nil
}

// override replaces in dst what src has, at the second level.
func override(dst, src map[string]any) {
	for k, v := range src {
		a, okA := dst[k].(map[string]any)
		b, okB := v.(map[string]any)
		if okA && okB {
			maps.Copy(a, b)
			continue
		}
		dst[k] = v
	}
}
