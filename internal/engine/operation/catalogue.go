package operation

import (
	"slices"
	"strconv"
	"strings"
)

//go:generate go run ./gen

// entry is one operation of the catalogue.
type entry struct {
	id, method, path, resource string
	access                     Access
	body                       bodyKind
	schema                     uint16 // of the body, in nodeTable
	params                     span   // in paramTable
	carry                      Carry
	traits                     Trait
	rail                       string
	since, until               uint8 // minor API versions; 0: undocumented
}

// bodyKind is what body an operation takes.
type bodyKind uint8

const (
	bodyNone     bodyKind = iota
	bodyOptional          // JSON, or nothing
	bodyRequired          // JSON
	bodyOpaque            // a stream that is not judged
)

// span is a part of a table: from lo to before hi.
type span struct{ lo, hi uint16 }

// param is a query parameter.
type param struct {
	name  string
	list  bool   // may be repeated
	json  uint16 // schema of its value, in nodeTable; 0: not JSON
	class class
}

// route is the pattern of the entry with the same index: prefix, then, if
// variable, a name and the suffix.
type route struct {
	prefix, middle, suffix string
	variable, segment      bool // segment: the name holds no "/"
}

// match gives the name that the path holds. It reads paths as the daemon's
// router does, but for an empty name, which names nothing.
func (r *route) match(path string) (name string, ok bool) {
	if !r.variable {
		return "", path == r.prefix
	}
	if name, ok = strings.CutSuffix(path, r.suffix); !ok { // in which most differ
		return "", false
	}
	if name, ok = strings.CutPrefix(name, r.prefix); !ok {
		return "", false
	}
	if r.middle != "" {
		var second string
		name, second, _ = strings.Cut(name, r.middle)
		if second == "" || strings.Contains(second, "/") {
			return "", false
		}
	}
	if name == "" || r.segment && strings.Contains(name, "/") {
		return "", false
	}
	return name, true
}

// find gives the entry for a method and a canonical path, nil if there is
// none. Methods are matched exactly, as the router does.
func find(method, path string) (e *entry, target string) {
	first, _, _ := strings.Cut(path[1:], "/")
	in := routesOf(method, first)
	for i := in.lo; i < in.hi; i++ {
		if name, ok := routes[i].match(path); ok {
			return &catalogue[i], name
		}
	}
	return nil, ""
}

// param finds a query parameter. Names are matched exactly, as the daemon does.
func (e *entry) param(name string) *param {
	for i := e.params.lo; i < e.params.hi; i++ {
		if paramTable[i].name == name {
			return &paramTable[i]
		}
	}
	return nil
}

// Info describes one operation of the catalogue.
type Info struct {
	ID         string   `json:"id"`
	Method     string   `json:"method"`
	Path       string   `json:"path"` // template, e.g. "/containers/{id}/json"
	Resource   string   `json:"resource"`
	Access     Access   `json:"access"` // parameters can raise it: ContainerStats, ContainerTop
	Params     []string `json:"params,omitempty"`
	Documented bool     `json:"documented"`
	Since      string   `json:"since,omitempty"` // API versions that describe it
	Until      string   `json:"until,omitempty"`
	Rail       string   `json:"rail,omitempty"`
}

// Operations gives the whole catalogue, sorted by id.
func Operations() []Info {
	infos := make([]Info, 0, len(catalogue))
	for i := range catalogue {
		e := &catalogue[i]
		info := Info{
			ID: e.id, Method: e.method, Path: e.path, Resource: e.resource,
			Access: e.access, Documented: e.since > 0, Rail: e.rail,
		}
		for _, p := range paramTable[e.params.lo:e.params.hi] {
			info.Params = append(info.Params, p.name)
		}
		if info.Documented {
			info.Since, info.Until = version(e.since), version(e.until)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.ID, b.ID) })
	return infos
}

func version(minor uint8) string { return "1." + strconv.Itoa(int(minor)) }
