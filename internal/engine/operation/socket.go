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
	// Lifts says that what the policy denies to who comes by it is let through (audit mode): such a socket is given to
	// nobody who did not come by it.
	Lifts bool
}

// Sockets are those that give power over the Engine: the gateway's, and the Engine's own.
type Sockets struct {
	Gateway []Socket
	// Engine are the canonical paths under which clients know the Engine's.
	Engine []string
	// Own are canonical paths of ours: who writes there decides.
	Own []string
}

// engines and own are those of no Sockets, too, with /run in place of /var/run.
func (s *Sockets) engines() []string { return s.onRun(func(s *Sockets) []string { return s.Engine }) }
func (s *Sockets) own() []string     { return s.onRun(func(s *Sockets) []string { return s.Own }) }

func (s *Sockets) onRun(of func(*Sockets) []string) (paths []string) {
	if s == nil {
		return nil
	}
	for _, p := range of(s) {
		paths = append(paths, onRun(p))
	}
	return paths
}

// For is the socket that a caller's containers are given: of the listener by which it came itself, or the first
// one that lifts nothing. It is not ok if there is none.
func (s *Sockets) For(listener string) (socket Socket, ok bool) {
	if s == nil {
		return Socket{}, false
	}
	i := slices.IndexFunc(s.Gateway, func(g Socket) bool { return g.Listener == listener })
	if i < 0 {
		i = slices.IndexFunc(s.Gateway, func(g Socket) bool { return !g.Lifts })
	}
	if i < 0 {
		return Socket{}, false
	}
	return s.Gateway[i], true
}

// Listeners are those whose socket a path of the host is, or holds: whoever has it mounted can connect there. A volume's
// folder is told by its place below Docker's own.
func (s *Sockets) Listeners(p string) (names []string) {
	for _, g := range s.below(p) {
		names = append(names, g.Listener)
	}
	return names
}

// below are the sockets that a path of the host is, or holds.
func (s *Sockets) below(p string) []Socket {
	return s.that(func(g Socket) bool { return within(p, "/proc") || within(onRun(g.Path), onRun(p)) })
}

// ofVolume are the sockets in a volume of that name.
func (s *Sockets) ofVolume(name string) []Socket {
	return s.that(func(g Socket) bool { return strings.Contains(g.Path, "/volumes/"+name+"/_data/") })
}

func (s *Sockets) that(is func(Socket) bool) (some []Socket) {
	if s == nil {
		return nil
	}
	for _, g := range s.Gateway {
		if is(g) {
			some = append(some, g)
		}
	}
	return some
}

// onRun is a path with /run in place of /var/run, a link since the FHS 3.0.
func onRun(p string) string {
	if rest, ok := strings.CutPrefix(p, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		return "/run" + rest
	}
	return p
}

// reach notes that a container would have sockets of the gateway's. To be let through what the policy denies is no matter of
// who may be whom.
func (o *Operation) reach(sockets []Socket) {
	for _, s := range sockets {
		o.mint(principal.Listener.With(s.Listener))
		o.hazardIf(HazardVitrineFiles, s.Lifts)
	}
}

// isEngines says that a place is a bind of the Engine's socket, which the gateway's can stand in for. Who writes
// that one, of which he was told, means the same. To label it as one container's alone would take it from all others.
func (o *Operation) isEngines(p place, instead Socket) bool {
	if o.ID != "ContainerCreate" || !p.bind || p.private || climbs(p.path) {
		return false
	}
	clean := onRun(path.Clean(p.path))
	return clean == onRun(instead.Path) ||
		slices.ContainsFunc(o.sockets.Engine, func(engine string) bool { return clean == onRun(engine) })
}

// WithSockets is the operation for which others' sockets are known than when it was parsed.
func (o *Operation) WithSockets(s *Sockets) *Operation {
	r := *o
	r.sockets = s
	return &r
}

// NamesSocket says whether there is something for WithSocket to substitute.
func (o *Operation) NamesSocket(instead Socket) (is bool) {
	if o.sockets == nil {
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
	r.judge()
	return &r, nil
}

// isGiven says that a place is the gateway's socket, which the gateway has put there.
func (o *Operation) isGiven(p place) bool {
	return p.bind && !p.private && p.path == o.given.Path
}
