package importer

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"vitrine/internal/engine/operation"
)

// rule is one of github.com/CodesWhat/sockguard: the first that matches decides. In a path * is within a segment, ** anything.
type rule struct {
	methods []string // none: all
	glob    string
	re      *regexp.Regexp
	allow   bool
}

func (r *rule) matches(method, path string) bool {
	return (len(r.methods) == 0 || slices.Contains(r.methods, method)) && r.re.MatchString(path)
}

var version = regexp.MustCompile(`^/v\d+\.\d+(/|$)`)

// sockguard reads a configuration of rules.
func sockguard(s *source) ([]*grant, error) {
	doc, err := s.document()
	if err != nil {
		return nil, err
	}
	list := at(doc, "rules")
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil, s.problem(0, "has no rules")
	}
	var rules []*rule
	for _, n := range list.Content {
		r, err := s.rule(followed(n))
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	first := func(method, path string) *rule {
		path = strings.TrimPrefix(path, strings.TrimSuffix(version.FindString(path), "/"))
		for _, r := range rules {
			if r.matches(method, path) {
				return r
			}
		}
		return nil
	}
	g := &grant{
		role: s.format, as: []string{s.as},
		allows: func(method, path string) bool { r := first(method, path); return r != nil && r.allow },
		names: func(op operation.Info) bool {
			r := first(op.Method, filled(op.Path, "sample"))
			return r != nil && speaksOf(r.glob, op)
		},
	}
	g.hostPaths, err = s.bodies(at(doc, "request_body"))
	s.others(doc)
	return []*grant{g}, err
}

func (s *source) rule(n *yaml.Node) (*rule, error) {
	match, action := at(n, "match"), at(n, "action")
	glob := text(at(match, "path"))
	if glob == "" || action == nil || text(action) != "allow" && text(action) != "deny" {
		return nil, s.problem(lineOf(n), "a rule has match: {method, path} and action: allow or deny")
	}
	r := &rule{glob: glob, allow: text(action) == "allow"}
	for m := range strings.SplitSeq(text(at(match, "method")), ",") {
		m = strings.ToUpper(strings.TrimSpace(m))
		switch {
		case m == "*" || m == "":
		case slices.Contains(methods, m):
			r.methods = append(r.methods, m)
		default:
			return nil, s.problem(lineOf(match), "there is no method %.40q", m)
		}
	}
	pattern := regexp.QuoteMeta(glob)
	pattern = strings.ReplaceAll(pattern, `/\*\*`, `(/.*)?`)
	pattern = strings.ReplaceAll(pattern, `\*\*`, `.*`)
	pattern = strings.ReplaceAll(pattern, `\*`, `[^/]*`)
	re, err := regexp.Compile("^" + pattern + "$")
	if err != nil {
		return nil, s.problem(lineOf(match), "the path: %v", err)
	}
	r.re = re
	for _, key := range keys(match) {
		if key != "method" && key != "path" {
			s.note(lineOf(match), "a rule has the condition %q, which is not known: the rule grants nothing here", key)
			r.allow = false // whoever it was for
		}
	}
	return r, nil
}

// bodies reads what bodies may ask for, as far as it can be said here.
func (s *source) bodies(of *yaml.Node) (mounts []string, err error) {
	create := at(of, "container_create")
	for _, key := range keys(create) {
		v := at(create, key)
		switch {
		case key == "allowed_bind_mounts" && v.Kind == yaml.SequenceNode:
			for _, item := range v.Content {
				dir := text(followed(item))
				if !strings.HasPrefix(dir, "/") || strings.ContainsAny(dir, "\x00\n*") {
					return nil, s.problem(item.Line, "a folder to mount must begin with / and have no wildcard, not %.40q", dir)
				}
				mounts = append(mounts, path.Clean(dir))
			}
		case text(v) == "true" || v.Kind == yaml.SequenceNode && len(v.Content) > 0:
			s.note(v.Line, "container_create.%s is not carried over: docs/hazards.md has the hazard for it", key)
		}
	}
	for _, key := range keys(of) {
		if key != "container_create" {
			s.note(lineOf(at(of, key)), "request_body.%s is not carried over: bodies are judged by hazards", key)
		}
	}
	return mounts, nil
}

// others says what else there is, and what stands for it.
func (s *source) others(doc *yaml.Node) {
	instead := map[string]string{
		"clients": "bind the role to who they are, one role for each profile", "response": "secrets are blanked by redact", "ownership": "own: true does it, for each entry of a binding",
		"upstream": "", "log": "", "health": "", "listen": "a listener of serve", "metrics": "docs/audit.md", "rules": "", "request_body": "",
		"insecure_allow_body_blind_writes": "bodies are always judged", "insecure_allow_read_exfiltration": "archive, export and logs are operations: see what was left out",
	}
	for _, key := range keys(doc) {
		if hint, known := instead[key]; !known || hint != "" {
			s.note(lineOf(at(doc, key)), "%s is not carried over%s", key, strings.TrimSuffix(": "+cmp.Or(hint, ""), ": "))
		}
	}
}

func keys(n *yaml.Node) (all []string) {
	for key := range pairs(n) {
		all = append(all, key.Value)
	}
	return all
}

func lineOf(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	return n.Line
}
