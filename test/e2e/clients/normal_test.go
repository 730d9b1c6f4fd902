package clients

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// What differs each time: ids, times, addresses, sizes of what has times in it. Two answers are the
// same if they are so without these.
var changing = []struct {
	what *regexp.Regexp
	is   string
}{
	{regexp.MustCompile(`(sha256(:|%3A))?\b[0-9a-f]{64}\b`), "ID"},
	{regexp.MustCompile(`\bsha256:[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{12}_`), "ID_"}, // a container that compose replaces
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.]\d+)?( ?(Z|[+-]\d\d:?\d\d))?( UTC)?`), "TIME"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "MAC"},
	{regexp.MustCompile(`\b(127[.]0[.]0[.]1|0[.]0[.]0[.]0):3\d{4}\b`), "$1:PORT"},
	{regexp.MustCompile(`(-> |:)3\d{4}(->|\b)`), "${1}PORT$2"},
	{regexp.MustCompile(`\b\d\d:\d\d(:\d\d)?\b`), "CLOCK"},
	{regexp.MustCompile(`\b172[.]\d+[.]\d+[.]\d+\b`), "IP"},
	{regexp.MustCompile(`/proc/\d+/`), "/proc/N/"},
	{regexp.MustCompile(`([?&](since|until|t)=)[0-9.]{9,}`), "${1}TIME"},
	{regexp.MustCompile(`/tmp/\S*\d{6,}\S*`), "/tmp/X"},
	{regexp.MustCompile(`[.]dockerfile[.][0-9a-f]+`), ".dockerfile.X"},
	{regexp.MustCompile(`\b(\d+|About an?|Less than a) (seconds?|minutes?)\b`), "N seconds"},
	{regexp.MustCompile(`(^|[^%\w.])\d+([.]\d+)? ?([kMG]?B|[KMG]iB|kiB)\b`), "${1}N $3"},
}

func normal(s string) string {
	for _, c := range changing {
		s = c.what.ReplaceAllString(s, c.is)
	}
	return s
}

var gap = regexp.MustCompile(`[ \t]+`)

// normalOutput is for what a command line prints: columns are as wide as what is in them.
func normalOutput(s string) string {
	s = cancelled.ReplaceAllString(s, "")
	s = numbers.ReplaceAllString(gap.ReplaceAllString(normal(s), " "), "N")
	s = counts.ReplaceAllString(s, "${1}N") // a PID may have one digit, and the size of a compressed description varies
	s = runtimes.ReplaceAllString(s, "Runtimes")
	return process.ReplaceAllString(s, "N N N CLOCK")
}

var (
	// Of a container that does not start, the command line gives its wait up, and ends: at times it says the former before the latter.
	cancelled = regexp.MustCompile(`(?m)^time="[^"]*" level=error msg="error waiting for container: context canceled" ?\n?`)
	numbers   = regexp.MustCompile(`\b\d{4,}\b`)
	counts    = regexp.MustCompile(`("(?:Pid|size)": )\d+`)
	runtimes  = regexp.MustCompile(`Runtimes: .*`)                // in any order
	process   = regexp.MustCompile(`\b(N|\d+) (N|\d+) \d+ CLOCK`) // its PID, its parent's, and its load
)

// numbersThatChange are keys of answers.
var numbersThatChange = []string{"time", "timenano", "created", "pid", "size", "virtualsize", "sharedsize", "sizerw", "sizerootfs", "current", "total", "spacereclaimed", "layerssize", "publicport"}

// varies: answers of which only the shape can be compared.
func varies(path string) bool {
	for _, end := range []string{"/info", "/stats", "/system/df", "/top", "/events", "/images/create"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

// unsorted: lists that the daemon gives in any order.
func unsorted(path string) bool {
	for _, end := range []string{"/changes", "/networks", "/images/json", "/volumes"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

// plain gives a JSON value without what differs each time; with shape, what kinds of values it has.
func plain(key string, v any, shape bool) any {
	switch v := v.(type) {
	case map[string]any:
		shape = shape || key == "State" || key == "NetworkSettings" // of a container that may just have ended
		same := map[string][]any{}                                  // several ids are one key
		for k, e := range v {
			same[normal(k)] = append(same[normal(k)], plain(k, e, shape))
		}
		out := map[string]any{}
		for k, all := range same {
			if out[k] = all[0]; len(all) > 1 {
				out[k] = sorted(all)
			}
		}
		return out
	case bool:
		if shape {
			return "truth"
		}
	case []any:
		if key == "ExecIDs" { // those that have not been cleaned up yet
			return []any{}
		}
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, plain(key, e, shape))
		}
		if shape { // one of each kind
			return slices.Compact(sorted(out))
		}
		if key == "Mounts" { // in any order
			return sorted(out)
		}
		return out
	case nil:
		if key == "ExecIDs" {
			return []any{}
		}
	case string:
		if key == "HostPort" && v != "" {
			return "PORT"
		}
		if shape && key != "status" && key != "Action" {
			return "text"
		}
		return normal(v)
	case json.Number:
		if shape || slices.Contains(numbersThatChange, strings.ToLower(key)) {
			return "N"
		}
		return v
	}
	return v
}

// sorted are values as texts, in order.
func sorted(values []any) []string {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		b, _ := json.Marshal(v)
		texts = append(texts, string(b))
	}
	slices.Sort(texts)
	return texts
}
