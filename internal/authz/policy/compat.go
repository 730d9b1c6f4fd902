package policy

import (
	"path"
	"slices"
	"strings"

	"vitrine/internal/caller/identity"
	"vitrine/internal/engine/operation"
)

// compatFields are the input of policies written for opa-docker-authz, made from the
// Operation that we judge. A field is built only for a policy that refers to it. Two
// fields differ from opa-docker-authz's on purpose: Path is the canonical request
// target, not the bytes of the request line, and a key of a Body is spelled as
// Docker spells it.
func compatFields() []field {
	return []field{
		{"", "Headers", func(in *Input) value { return tree(headers(in)) }},
		{"", "Method", func(in *Input) value { return str(in.Operation.Method) }},
		{"", "Path", func(in *Input) value { return str(in.Operation.URI) }},
		{"", "PathPlain", func(in *Input) value { return str(versionedPath(in)) }},
		{"", "PathArr", func(in *Input) value { return strs(strings.Split(versionedPath(in), "/")) }},
		{"", "Query", func(in *Input) value { return tree(orEmpty(map[string][]string(in.Operation.Query))) }},
		{"", "Body", func(in *Input) value { return tree(in.Operation.Body) }},
		{"", "User", func(in *Input) value { return str(certificateName(in)) }},
		{"", "AuthMethod", func(in *Input) value {
			if in.caller().Kind == identity.TLS {
				return str("TLS")
			}
			return str("")
		}},
		{"", "BindMounts", func(in *Input) value { return tree(bindMounts(in.Operation)) }},
	}
}

// versionedPath is the decoded path with its version, as on the wire.
func versionedPath(in *Input) string {
	if v := in.Operation.Version; v != "" {
		return "/v" + v + in.Operation.Path
	}
	return in.Operation.Path
}

// certificateName is the common name of a client certificate: the only user that
// opa-docker-authz knows. A name of a Unix user is never taken for one.
func certificateName(in *Input) string {
	if c := in.caller(); c.Kind == identity.TLS && c.Certificate != nil {
		return c.Certificate.CommonName
	}
	return ""
}

// bindMounts are the absolute sources in HostConfig.Binds, and HostConfig.Mounts
// of type bind. Source is as typed, Resolved what it is on the host; in canonical
// form alone where the host's files cannot be seen.
func bindMounts(op *operation.Operation) []any {
	typed := op
	if op.Typed != nil {
		typed = op.Typed
	}
	resolved := bindSources(op.Body) // the same ones in the same order
	out := []any{}
	for i, b := range bindSources(typed.Body) {
		out = append(out, map[string]any{"Source": b.path, "ReadOnly": b.readOnly, "Resolved": path.Clean(resolved[i].path)})
	}
	return out
}

type bindSource struct {
	path     string
	readOnly bool
}

func bindSources(body any) []bindSource {
	var out []bindSource
	binds, _ := descend(body, []string{"HostConfig", "Binds"})
	list, _ := binds.([]any)
	for _, e := range list {
		bind, _ := e.(string)
		parts := strings.Split(bind, ":")
		if strings.HasPrefix(bind, "/") && len(parts) > 1 {
			options := strings.Split(strings.Join(parts[2:], ":"), ",")
			out = append(out, bindSource{parts[0], slices.Contains(options, "ro")})
		}
	}
	mounts, _ := descend(body, []string{"HostConfig", "Mounts"})
	list, _ = mounts.([]any)
	for _, e := range list {
		mount, _ := e.(map[string]any)
		if mount["Type"] == "bind" {
			source, _ := mount["Source"].(string)
			readOnly, _ := mount["ReadOnly"].(bool)
			out = append(out, bindSource{source, readOnly})
		}
	}
	return out
}
