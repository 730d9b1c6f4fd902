package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"vitrine/internal/engine/operation"
)

// expressions are regular expressions by method, as github.com/wollomatic/socket-proxy has them: anchored at both ends.
type expressions map[string][]*regexp.Regexp

func (e expressions) allow(method, path string) bool {
	return slices.ContainsFunc(e[method], func(re *regexp.Regexp) bool { return re.MatchString(path) })
}

func (e expressions) speakOf(op operation.Info) bool {
	return slices.ContainsFunc(e[op.Method], func(re *regexp.Regexp) bool {
		return speaksOf(re.String(), op) && slices.ContainsFunc(paths(op), re.MatchString)
	})
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "OPTIONS"}

// allowlist is what one caller may.
type allowlist struct {
	expressions
	mounts []string
}

// wollomatic reads flags, SP_ variables and labels: one in a line, or those of a compose file, where each labelled service is another caller.
func wollomatic(s *source) ([]*grant, error) {
	all, named := []setting{}, []service{}
	doc, err := s.document()
	if err == nil && services(doc) != nil {
		for _, one := range services(doc) {
			if strings.Contains(one.image, "socket-proxy") {
				all = append(append(all, one.environment...), one.command...)
			}
			if slices.ContainsFunc(one.labels, func(l setting) bool { return strings.HasPrefix(l.key, labelPrefix) }) {
				named = append(named, one)
			}
		}
	} else if err != nil && composed.Match(s.text) {
		return nil, err
	} else if all, err = s.lines(); err != nil {
		return nil, err
	}
	var grants []*grant
	list, err := s.allowlist(all)
	if err != nil {
		return nil, err
	}
	if len(list.expressions) > 0 {
		grants = append(grants, list.grant(s.format, s.as))
	}
	for _, one := range named {
		list, err := s.allowlist(one.labels)
		if err != nil {
			return nil, err
		}
		as := "label:com.docker.compose.service=" + one.name
		if one.container != "" {
			as = "container:" + one.container
		}
		grants = append(grants, list.grant(s.format+"-"+one.name, as))
	}
	if len(grants) == 0 {
		return nil, s.problem(0, "has no -allowMETHOD, SP_ALLOW_METHOD or %smethod", labelPrefix)
	}
	s.note(0, "callers were known by their address or a label of whoever had it (allowfrom, allow. labels): they are principals here, which the kernel proves")
	return grants, nil
}

const labelPrefix = "socket-proxy.allow."

func (l *allowlist) grant(role, as string) *grant {
	return &grant{role: role, as: []string{as}, secretsShown: true, hostPaths: l.mounts, allows: l.allow, names: l.speakOf}
}

// allowlist reads settings in any of the three spellings.
func (s *source) allowlist(all []setting) (*allowlist, error) {
	list := &allowlist{expressions: expressions{}}
	for _, one := range all {
		what := strings.ToUpper(strings.TrimLeft(one.key, "-"))
		for _, prefix := range []string{strings.ToUpper(labelPrefix), "SP_ALLOW_", "SP_ALLOW", "ALLOW"} {
			if rest, is := strings.CutPrefix(what, prefix); is {
				what = "allow " + rest
				break
			}
		}
		what, is := strings.CutPrefix(what, "allow ")
		method, _, _ := strings.Cut(what, ".")
		switch {
		case !is || one.value == "":
		case slices.Contains(methods, method):
			re, err := regexp.Compile("^" + one.value + "$")
			if err != nil {
				return nil, s.problem(one.line, "the expression for %s: %v", method, err)
			}
			list.expressions[method] = append(list.expressions[method], re)
			s.besides(one, method, re)
		case what == "BINDMOUNTFROM":
			for dir := range strings.SplitSeq(one.value, ",") {
				if !strings.HasPrefix(dir, "/") || strings.ContainsAny(dir, "\x00\n") {
					return nil, s.problem(one.line, "a folder to mount from must begin with /, not %.40q", dir)
				}
				list.mounts = append(list.mounts, path.Clean(dir))
			}
		case what == "FROM" || what == "HEALTHCHECK":
		default:
			s.note(one.line, "%q is not known: not carried over", one.key)
		}
	}
	return list, nil
}

// besides says what an expression lets through besides operations, or that it has none.
func (s *source) besides(at setting, method string, re *regexp.Regexp) {
	some := false
	for _, op := range operation.Operations() {
		some = some || op.Method == method && op.ID != "Options" && slices.ContainsFunc(paths(op), re.MatchString)
	}
	switch {
	case !some:
		s.note(at.line, "%s %q fits no operation with any name: one for certain names cannot be carried over; limit the role by where or own", method, at.value)
	case re.MatchString("/v1.41/unheard/of") || re.MatchString("/v1.41/containers/sample/unheard/of") || re.MatchString("/unheard"):
		s.note(at.line, "%s %q is wider than the operations of today: what Docker adds later would have passed", method, fmt.Sprintf("%.120s", at.value))
	}
}
