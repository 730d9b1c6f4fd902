package importer

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/engine/operation"
)

// sections are the variables that open a path and what is below it, and all that begins like it: the rules of
// github.com/Tecnativa/docker-socket-proxy, haproxy.cfg.
var sections = []string{
	"AUTH", "BUILD", "COMMIT", "CONFIGS", "CONTAINERS", "DISTRIBUTION", "EVENTS", "EXEC", "GRPC", "IMAGES", "INFO", "NETWORKS", "NODES", "PING", "PLUGINS",
	"SECRETS", "SERVICES", "SESSION", "SWARM", "SYSTEM", "TASKS", "VERSION", "VOLUMES",
}

// actions are the variables that open single actions on containers; LinuxServer's image has more of them.
var actions = map[string][]string{
	"ALLOW_START": {"start"}, "ALLOW_STOP": {"stop"}, "ALLOW_RESTARTS": {"stop", "restart", "kill"}, "ALLOW_PAUSE": {"pause"}, "ALLOW_UNPAUSE": {"unpause"},
}

// about are variables that say nothing of what is allowed.
var about = []string{"LOG_LEVEL", "DISABLE_IPV6", "BIND_CONFIG", "SOCKET_PATH", "TZ", "PUID", "PGID"}

const prefix = `(?i)^(/v[\d.]+)?(/\w+)?`

// tecnativa reads an env file, or the environment of a service of a compose file.
func tecnativa(s *source) ([]*grant, error) {
	env, err := s.environment("docker-socket-proxy", "socket-proxy")
	if err != nil {
		return nil, err
	}
	on := map[string]bool{"EVENTS": true, "PING": true, "VERSION": true}
	for _, e := range env {
		_, action := actions[e.key]
		switch {
		case slices.Contains(about, e.key):
			continue
		case !action && e.key != "POST" && !slices.Contains(sections, e.key):
			s.note(e.line, "%q is no variable that is known: not carried over", e.key)
			continue
		}
		n, err := strconv.Atoi(e.value)
		if on[e.key] = err == nil && n != 0; err != nil {
			s.note(e.line, "%s=%q is no number, which is off for HAProxy: not carried over", e.key, e.value)
		}
	}
	s.note(0, "its port was open to whoever reached it; the role is bound to %s, who asks the gateway's Unix socket (docs/tools.md)", s.as)
	var open []*regexp.Regexp
	for _, name := range sections {
		if on[name] {
			path := cmp.Or(map[string]string{"PING": "_ping"}[name], strings.ToLower(name))
			open = append(open, regexp.MustCompile(prefix+"/"+path))
		}
	}
	for name, verbs := range actions {
		if on[name] {
			open = append(open, regexp.MustCompile(prefix+`/containers/[a-zA-Z0-9_.-]+/(`+strings.Join(verbs, "|")+`)`))
		}
	}
	execs := on["EXEC"] && on["CONTAINERS"]
	return []*grant{{
		role: s.format, as: []string{s.as}, secretsShown: true,
		allows: func(method, path string) bool {
			if method != "GET" && method != "HEAD" && !on["POST"] {
				return false
			}
			return slices.ContainsFunc(open, func(re *regexp.Regexp) bool { return re.MatchString(path) })
		},
		names: func(op operation.Info) bool { // EXEC=1 speaks of execs; SWARM=1 of keys, and CONTAINERS=1 not of files
			return execs && (op.Resource == "exec" || op.ID == "ContainerExec")
		},
	}}, nil
}

var composed = regexp.MustCompile(`(?m)^services:`)

// environment is that of the source: an env file, or of the one service of a compose file with such an image.
func (s *source) environment(images ...string) ([]setting, error) {
	doc, err := s.document()
	if err != nil || services(doc) == nil {
		if err != nil && composed.Match(s.text) {
			return nil, err
		}
		return s.lines()
	}
	var found []service
	for _, one := range services(doc) {
		if slices.ContainsFunc(images, func(image string) bool { return strings.Contains(one.image, image) }) {
			found = append(found, one)
		}
	}
	if len(found) != 1 {
		return nil, s.problem(0, "has %d services with an image of a %s: give a file with one", len(found), images[0])
	}
	return found[0].environment, nil
}
