package operation

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// target is a request target, taken apart.
type target struct {
	version string // "1.41", "" where the path has none
	minor   int    // of the version; -1 where the path has none
	path    string // without the version, decoded
	query   string // undecoded
	raw     string // the path with its version, if that is how it was sent
}

// parseTarget reads the request target of a request line. It accepts exactly
// one spelling of a path's segments and refuses what two readers could read
// differently: the daemon, its mux, and the policy's author.
func parseTarget(uri string) (target, *Refusal) {
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c == 0x7f || c == '#' {
			return target{}, refuse("uri-bytes", "the request target holds a space, a control character or #; percent-encode it")
		}
	}
	raw, query, _ := strings.Cut(uri, "?")
	asSent := raw
	if !strings.HasPrefix(raw, "/") {
		var r *Refusal
		if raw, r = absoluteForm(raw); r != nil {
			return target{}, r
		}
	}
	path, r := decodePath(raw)
	if r != nil {
		return target{}, r
	}
	t := target{path: path, query: query, minor: -1}
	if asSent == path {
		t.raw = asSent
	}
	r = t.cutVersion()
	return t, r
}

// absoluteForm gives the path of http://host/path. Who the host is does not
// matter: the daemon ignores it, and we don't forward it.
func absoluteForm(raw string) (string, *Refusal) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", refuse("uri-form", "the request target is neither a path nor an http URL")
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return "/", nil
	}
	return rest[i:], nil
}

func decodePath(raw string) (string, *Refusal) {
	path := raw
	if strings.Contains(raw, "%") {
		var err error
		if path, err = url.PathUnescape(raw); err != nil {
			return "", refuse("path-encoding", "the path is not percent-encoded correctly")
		}
		if strings.Contains(path, "%") {
			return "", refuse("path-encoding", "the path is percent-encoded twice; no name in Docker holds a %%")
		}
	}
	if !utf8.ValidString(path) {
		return "", refuse("path-encoding", "the path is not valid UTF-8")
	}
	if strings.ContainsFunc(path, hiddenRune) {
		return "", refuse("path-not-canonical", "the path holds a control character")
	}
	return path, checkPath(path)
}

// hiddenRune says that a reader of a log would not see a character: controls,
// and those that change the direction of writing.
func hiddenRune(r rune) bool {
	return !unicode.IsGraphic(r)
}

// checkPath refuses what path.Clean would change. (A slash at the end is left
// to the routes: two have one.)
func checkPath(path string) *Refusal {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return nil // as most
	}
	segment := 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		switch path[segment:i] {
		case ".", "..":
			return refuse("path-not-canonical", "the path holds a . or .. segment; write it without")
		case "":
			if i < len(path) {
				return refuse("path-not-canonical", "the path holds //; write it with one slash")
			}
		}
		segment = i + 1
	}
	return nil
}

// cutVersion takes /v1.41 off the path. The daemon accepts more (v01.41,
// v1.41.0, v1.41.); no client sends it.
func (t *target) cutVersion() *Refusal {
	rest, _ := strings.CutPrefix(t.path, "/v")
	if rest == "" || rest[0] != '.' && (rest[0] < '0' || rest[0] > '9') {
		return nil
	}
	version, path, ok := strings.Cut(rest, "/")
	minor, isOne := strings.CutPrefix(version, "1.")
	if !ok || !isOne || len(minor) < 1 || len(minor) > 3 || len(minor) > 1 && minor[0] == '0' {
		return refuse("path-version", "the API version of the path is not of the form v1.41")
	}
	n := 0
	for _, c := range []byte(minor) {
		if c < '0' || c > '9' {
			return refuse("path-version", "the API version of the path is not of the form v1.41")
		}
		n = n*10 + int(c-'0')
	}
	t.version, t.minor, t.path = version, n, t.path[len(t.path)-len(path)-1:]
	return nil
}

// parseQuery decodes the query. Of a parameter that is no list every engine
// takes the first value, python3-docker's build(dockerfile=…) counts on it; the
// others are left out, so that nobody can take them for what is asked. One that
// nobody knows may be a list to some engine, so it may come once. Nor does any
// engine ask for a parameter without a name.
func parseQuery(raw string, e *entry) (url.Values, []string, *Refusal) {
	if raw == "" {
		return url.Values{}, nil, nil
	}
	if strings.Contains(raw, ";") {
		return nil, nil, refuse("query-semicolon", "the query holds a ; which engines read differently; percent-encode it")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, refuse("query-encoding", "the query is not percent-encoded correctly")
	}
	var unknown []string
	delete(values, "")
	for name, list := range values {
		if !utf8.ValidString(name) {
			return nil, nil, refuse("query-encoding", "the query is not valid UTF-8")
		}
		switch p := e.param(name); {
		case (p == nil || p.class == unclassified) && len(list) > 1:
			return nil, nil, refuse("query-repeated", "the query parameter %q is not known, and may be given once", name)
		case p == nil || p.class == unclassified:
			unknown = append(unknown, "?"+name)
		case !p.list:
			list = list[:1]
			values[name] = list
		}
		for _, v := range list {
			if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
				return nil, nil, refuse("query-encoding", "the value of %q is not valid UTF-8", name)
			}
		}
	}
	return values, unknown, nil
}

// queryJSON parses the parameters that hold JSON.
func queryJSON(values url.Values, e *entry) (params map[string]any, unknown []string, r *Refusal) {
	for name, list := range values {
		p := e.param(name)
		if p == nil || p.json == 0 {
			continue
		}
		parsed := make([]any, 0, len(list))
		for _, text := range list {
			v, more, r := jsonValue(name, text, p)
			if r != nil {
				return nil, nil, r
			}
			parsed, unknown = append(parsed, v), append(unknown, more...)
		}
		if params == nil {
			params = map[string]any{}
		}
		if p.list {
			params[name] = parsed
		} else if parsed[0] != nil {
			params[name] = parsed[0]
		}
	}
	return params, unknown, nil
}

// jsonValue parses one value; an empty one is as if it were absent.
func jsonValue(name, text string, p *param) (any, []string, *Refusal) {
	if text == "" {
		return nil, nil, nil
	}
	if nodeTable[p.json].kind == kindObject && !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return text, nil, nil // a platform as older engines take it: linux/amd64
	}
	v, _, unknown, err := decodeJSON(text, p.json, nil)
	if err != nil {
		return nil, nil, refuse("query-json", "the query parameter %q: %v", name, err)
	}
	for i := range unknown {
		unknown[i] = "?" + name + unknown[i]
	}
	return v, unknown, nil
}

// canonicalURI builds the target that the gateway forwards.
func (t *target) canonicalURI(values url.Values) string {
	path := t.raw
	if path == "" {
		path = t.path
		if t.version != "" {
			path = "/v" + t.version + path
		}
	}
	path = (&url.URL{Path: path}).EscapedPath()
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}
