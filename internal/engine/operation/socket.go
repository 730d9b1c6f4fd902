package operation

import (
	"path"
	"slices"
	"strings"

	"vitrine/internal/engine/principal"
)

// Socket is where the host has the socket of one of the gateway's listeners.
type Socket struct {
	Listener string
	Path     string // canonical
}

// Sockets are those that give power over the Engine: the gateway's, and the Engine's own.
type Sockets struct {
	Gateway []Socket
	// Engine are the canonical paths under which clients know the Engine's.
	Engine []string
}

// For is the socket that a caller's containers are given: of the listener by which it came itself, or the first
// one. It is not ok if there is none.
func (s *Sockets) For(listener string) (socket Socket, ok bool) {
	if s == nil || len(s.Gateway) == 0 {
		return Socket{}, false
	}
	if i := slices.IndexFunc(s.Gateway, func(g Socket) bool { return g.Listener == listener }); i >= 0 {
		return s.Gateway[i], true
	}
	return s.Gateway[0], true
}

// Listeners are those whose socket a path of the host is, or holds: whoever has it mounted can connect there. A volume's
// folder is told by its place below Docker's own.
func (s *Sockets) Listeners(p string) (names []string) {
	if s == nil {
		return nil
	}
	for _, g := range s.Gateway {
		if within(p, "/proc") || within(onRun(g.Path), onRun(p)) {
			names = append(names, g.Listener)
		}
	}
	return names
}

// ofVolume are the listeners whose socket is in a volume of that name.
func (s *Sockets) ofVolume(name string) (names []string) {
	if s == nil {
		return nil
	}
	for _, g := range s.Gateway {
		if strings.Contains(g.Path, "/volumes/"+name+"/_data/") {
			names = append(names, g.Listener)
		}
	}
	return names
}

// onRun is a path with /run in place of /var/run, a link since the FHS 3.0.
func onRun(p string) string {
	if rest, ok := strings.CutPrefix(p, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		return "/run" + rest
	}
	return p
}

func (o *Operation) mintListeners(names []string) {
	for _, name := range names {
		o.mint(principal.Listener.With(name))
	}
}

// isEngines says that a place is a bind of the Engine's socket, which the gateway's can stand in for. Who writes
// that one, of which he was told, means the same. To label it as one container's alone would take it from all others.
func (o *Operation) isEngines(p place, instead Socket) bool {
	if o.ID != "ContainerCreate" || !p.bind || p.private || p.set == nil || !isAbsolute(p.path) || climbs(p.path) {
		return false
	}
	clean := onRun(path.Clean(p.path))
	return clean == onRun(instead.Path) ||
		slices.ContainsFunc(o.sockets.Engine, func(engine string) bool { return clean == onRun(engine) })
}

// NamesSocket says whether there is something for WithSocket to substitute.
func (o *Operation) NamesSocket(instead Socket) (is bool) {
	if o.sockets == nil || len(o.Substituted) > 0 {
		return false
	}
	o.places(func(p place) { is = is || o.isEngines(p, instead) })
	return is
}

// WithSocket is the operation with the gateway's own socket where it would mount the Engine's; all else of such a
// mount stays as it was. The new one is judged by what it mounts then: that socket is no path of the host for which a
// role must be asked, but whoever has it can connect to its listener. The operation itself is not changed.
func (o *Operation) WithSocket(instead Socket) (*Operation, error) {
	r := *o
	r.Body, r.Substituted = clone(o.Body), nil
	r.places(func(p place) {
		if !o.isEngines(p, instead) {
			return
		}
		p.set(instead.Path)
		if sub := (ResolvedPath{p.path, instead.Path}); !slices.Contains(r.Substituted, sub) {
			r.Substituted = append(r.Substituted, sub)
		}
		if !slices.Contains(r.SubstitutedIn, p.field) {
			r.SubstitutedIn = append(slices.Clip(r.SubstitutedIn), p.field)
		}
	})
	var err error
	if r.Canonical, err = encode(r.Body); err != nil {
		return nil, err
	}
	r.given = instead
	r.Unknown = slices.Clone(o.Unknown) // judge sorts it
	r.judge()
	return &r, nil
}

// isGiven says that a place is the gateway's socket, which the gateway has put there.
func (o *Operation) isGiven(p place) bool {
	return len(o.Substituted) > 0 && p.bind && !p.private && p.path == o.given.Path
}
