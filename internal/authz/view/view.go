// Package view limits a request to the objects that its caller may see. What is
// outside a caller's view does not exist for that caller: lists and events leave it out, and where a request names it the
// answer is the daemon's own to something that is not there.
//
// An object is in a view if it has all of the view's labels, or if the view shares it. What is shared may be looked
// at and used, and not changed. A container's labels are those that it was given when it was made: those of its image
// are its publisher's word, though the daemon counts them. In a view of a network are the containers that are in it, and it is shared itself.
//
// The daemon is asked to leave out what it can by a label filter; what it cannot tell apart is left out of its answer.
// An operation of which the table does not say how it can be limited is refused, and so is one that names an object
// of which it cannot be told whether it is in the view.
//
// Who controls what is read here: labels are given by whoever makes an object, so a view is worth as much as the
// rule that says who may give its labels (a role's stamp, and the gateway's refusal of keys that are its own). Names, ids and
// answers are the daemon's.
package view

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/operation"
)

// View is what a caller may see. The zero value is of no labels, and so of everything.
type View struct {
	Labels map[string]string
	// Network is the name of a network that containers must be in, "" for any. Nothing else is in one.
	Network string
	// Shared are names of objects that are everybody's, by kind. One that ends in "*" stands for all that begin so.
	Shared map[operation.Kind][]string
	// ImageNames are repositories whose names are the caller's own, "NAME/*" for all below one: an image belongs to who has
	// its name. Nobody else gives such a name but an admin, so that what one means changes by its owner alone.
	ImageNames []string
}

// Kinds are the kinds that can be shared, as policies call them.
func Kinds() map[string]operation.Kind {
	return map[string]operation.Kind{
		"containers": operation.KindContainer, "images": operation.KindImage, "networks": operation.KindNetwork, "volumes": operation.KindVolume,
	}
}

// New makes a view of what a policy says; kinds that are not known share nothing.
func New(labels map[string]string, shared map[string][]string, imageNames []string) View {
	v := View{Labels: labels, ImageNames: imageNames}
	if network, limited := labels[operation.NetworkLabel]; limited {
		v.Labels, v.Network = maps.Clone(labels), network
		delete(v.Labels, operation.NetworkLabel)
	}
	for kind, names := range shared {
		if k, known := Kinds()[kind]; known {
			if v.Shared == nil {
				v.Shared = map[operation.Kind][]string{}
			}
			v.Shared[k] = names
		}
	}
	return v
}

// owns says whether an object has the labels. An image is nobody's own by the label that the gateway gives: whoever
// publishes one can label it so, and what is built is not labelled where views are. Of containers [View.Has] knows more.
func (v *View) owns(kind operation.Kind, labels map[string]string) bool {
	if _, own := v.Labels[operation.OwnerLabel]; own && kind == operation.KindImage || v.Network != "" && !inNetworks(kind) {
		return false
	}
	for key, value := range v.Labels {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// inNetworks says that what is of a kind can be in a network: an exec is where its container is.
func inNetworks(kind operation.Kind) bool {
	return kind == operation.KindContainer || kind == operation.KindExec
}

// shares says whether an object of a kind is everybody's by one of its names.
func (v *View) shares(kind operation.Kind, names ...string) bool {
	if kind == operation.KindNetwork && v.Network != "" && slices.Contains(names, v.Network) {
		return true
	}
	for _, pattern := range v.Shared[kind] {
		prefix, open := strings.CutSuffix(pattern, "*")
		for _, name := range names {
			switch {
			case name == "":
			case open && strings.HasPrefix(name, prefix), name == pattern:
				return true
			case kind == operation.KindImage && ofRepository(name, pattern):
				return true
			}
		}
	}
	return false
}

func ofRepository(name, repository string) bool {
	of, _, _ := imagename.Split(name)
	return of == repository
}

// pulls says whether an image is pulled that is shared, or has a name of the caller's own.
func (v *View) pulls(op *operation.Operation) bool {
	name, tag := op.Query.Get("fromImage"), op.Query.Get("tag")
	for _, registry := range []string{"docker.io/", "index.docker.io/"} {
		if rest, of := strings.CutPrefix(name, registry); of {
			name = strings.TrimPrefix(rest, "library/")
			break
		}
	}
	if tag != "" && !strings.Contains(tag, ":") {
		name += ":" + tag
	}
	return name != "" && op.Query.Get("repo") == "" && (v.shares(operation.KindImage, name) || v.names(name))
}

// Denial is why a request cannot be limited.
type Denial struct {
	Status int
	Code   string // "view", or "object" for what passes
	Reason string
}

func denied(status int, format string, args ...any) *Denial {
	return &Denial{Status: status, Code: "view", Reason: fmt.Sprintf(format, args...)}
}

// Engine says what answers name, and what a request does beside what it names.
type Engine interface {
	// Object is the container, or the service, with a full id. The error says why it cannot be told.
	Object(ctx context.Context, kind operation.Kind, id string) (object.Object, error)
	// JoinedBy are the networks that a container joins when it starts: those that mean others by now have their names.
	JoinedBy(ctx context.Context, id string) ([]object.Object, error)
	// AnyBorrowed gives the image of a container that has such labels by its image, and not of its own; "" if there is none.
	AnyBorrowed(such func(labels map[string]string) bool) (image string, err error)
}

// Plan is how one request is carried within a view.
type Plan struct {
	// Operation is what is forwarded.
	Operation *operation.Operation
	// Hidden are objects outside the view that the request names.
	Hidden []string
	// Nothing says that what is forwarded names something that does not exist, in place of objects that are outside the view, or are not there: so the
	// daemon's answer is the one for what is not there, once Answer has put the names back.
	Nothing bool

	asked    *operation.Operation
	filtered bool           // the daemon is asked to filter
	back     []string       // decoy and name, in turn
	pinned   operation.Pins // ids that the daemon is given in place of names
	view     View
	how      how
	of       Engine
	seen     map[string]bool // containers of a stream of events, or services of a list of tasks
}

// Limit plans how a request is carried within a view, given what it names.
func (v View) Limit(ctx context.Context, op *operation.Operation, named []object.Object, of Engine) (*Plan, *Denial) {
	how := table[op.ID]
	if how.what == refused {
		return nil, &Denial{Status: http.StatusForbidden, Code: "obligation", Reason: Unlimited(op)}
	}
	if denial := v.imaged(op); denial != nil {
		return nil, denial
	}
	p := &Plan{Operation: op, asked: op, view: v, how: how, of: of}
	for i := range named {
		o := &named[i]
		if o.Role == operation.RoleEnters && isTarget(named, o) {
			continue // it is entered by way of the path
		}
		if op.ID == "ImagePush" {
			continue // of its own name (see imaged), which is a tag's only with the parameter
		}
		if denial := p.look(o); denial != nil {
			return nil, denial
		}
	}
	if how.starts {
		if denial := p.starts(ctx, named); denial != nil {
			return nil, denial
		}
	}
	if how.what == pruned && how.kind != "" && v.Network != "" {
		return nil, denied(http.StatusForbidden, "it sees what is in network %q, to which the removal of all at once cannot be held: remove by name", v.Network)
	}
	if how.what == pruned && how.kind == operation.KindContainer {
		if denial := p.prunes(); denial != nil {
			return nil, denial
		}
	}
	if op.ID == "BuildPrune" {
		limited, err := p.Operation.WithFilter("id", nobodys())
		if err != nil {
			return nil, denied(http.StatusForbidden, "it cannot be kept from others' cache: %v", err)
		}
		p.Operation = limited
	}
	if labels := v.filter(how); len(labels) > 0 {
		limited, err := p.Operation.WithLabelFilter(labels)
		if err != nil {
			return nil, denied(http.StatusForbidden, "its list cannot be limited: %v", err)
		}
		p.Operation, p.filtered = limited, true
	} else if how.what == list && limits(op) {
		return nil, denied(http.StatusForbidden, "a limit would count what it does not see, as some containers are shared with it: leave it out")
	}
	return p, nil
}

// filter is the labels by which the daemon is asked to leave out what is outside the view; none where it would leave out more than that.
func (v *View) filter(how how) map[string]string {
	byName := len(v.Shared[how.kind])                          // so many rules put something into the view
	if how.kind == operation.KindImage || how.what == events { // of containers and of images
		byName += len(v.Shared[operation.KindImage]) + len(v.ImageNames)
	}
	if !how.filtered || byName > 0 && how.what != pruned || v.Network != "" && !inNetworks(how.kind) {
		return nil
	}
	labels := v.Labels
	switch _, own := labels[operation.OwnerLabel]; {
	case how.what == events: // in which the daemon writes over two labels
		labels = maps.Clone(labels)
		delete(labels, "name")
		delete(labels, "image")
	case own && how.kind == operation.KindImage && how.what == pruned: // see owns
		labels = maps.Clone(labels)
		labels[nobodys()] = ""
	}
	return labels
}

// limits says whether a list is to have so many elements at most. What is no number is none, and the daemon refuses it.
func limits(op *operation.Operation) bool {
	n, _ := strconv.Atoi(op.Query.Get("limit"))
	return n > 0
}

// Filtered says whether the daemon is asked for the view's objects alone.
func (p *Plan) Filtered() bool { return p.filtered }

// Unlimited says why an operation cannot be limited to a view, and what to do instead.
func Unlimited(op *operation.Operation) string {
	instead := ""
	if op.ID == "ImageLoad" {
		instead = ": the names that it gives are in the archive, which streams past. Import a file system under a name of its own (docker import), build, or push and pull"
	}
	return fmt.Sprintf("it may only see some objects, and %s cannot be limited to them%s", op.ID, instead)
}

// Can says whether the table knows how to limit an operation.
func Can(id string) bool { return table[id].what != refused }

// look holds one object that the request names against the view.
func (p *Plan) look(o *object.Object) *Denial {
	named, owned := p.names(o), p.view.Has(o)
	shared := p.view.shares(o.Kind, o.Names...)
	switch {
	case named && (o.Several || o.Known != nil && *o.Known && !owned):
		return denied(http.StatusConflict, "the name %q is taken", o.Ref)
	case o.Several: // so it means none, and how many there are is not the caller's business
		return p.hide(o)
	case o.Untold:
		return denied(http.StatusForbidden, "it may only see some objects, and it cannot be told which those are: %s", o.Why)
	case o.Known == nil:
		return &Denial{Status: http.StatusServiceUnavailable, Code: "object", Reason: fmt.Sprintf(
			"it may only see some objects, and it cannot be told now whether %s %q is one; try again", o.Kind, o.Ref)}
	case !*o.Known && (named || p.makes(o.Kind)):
		return nil
	case !*o.Known: // the name is not forwarded: it may mean something when the daemon looks
		return p.hide(o)
	case (owned || shared) && p.how.whole && !p.view.shares(o.Kind, o.Ref) && !p.view.names(o.Ref) && bare(o.Ref):
		return denied(http.StatusForbidden, "image %q would be all that have that name: say which tag", o.Ref)
	case shared && (!owned || o.Kind == operation.KindImage && !p.view.names(o.Ref)): // an image's labels are its publisher's
		if o.Role == operation.RoleEnters || p.how.changes {
			return denied(http.StatusForbidden, "%s %q is shared with it: to look at and to use, and not to change or enter", o.Kind, o.Ref)
		}
		return nil
	case owned && o.Kind == operation.KindImage && p.how.changes && !p.view.owns(o.Kind, o.Labels) && !p.view.gives(o.Ref):
		return denied(http.StatusForbidden, "image %q may have names of others: say which of its own it is to lose%s", o.Ref, p.view.which())
	case owned:
		return nil
	}
	p.Hidden = append(p.Hidden, o.Ref)
	return p.hide(o)
}

// names says whether an object is named as what the request makes: the daemon gives what is there already, or makes a second one of that name.
func (p *Plan) names(o *object.Object) bool {
	body, _ := p.asked.Body.(map[string]any)
	return p.asked.ID == "VolumeCreate" || p.asked.ID == "NetworkCreate" && o.Ref == body["Name"]
}

// bare says that a reference of an image is a name alone.
func bare(ref string) bool {
	name, tag, digest := imagename.Split(ref)
	return name != "" && tag == "" && digest == ""
}

// starts holds the networks of a container that is to start against the view. The daemon keeps their names, and looks them up
// at each start: a name may mean another's by now.
func (p *Plan) starts(ctx context.Context, named []object.Object) *Denial {
	if p.Nothing {
		return nil
	}
	for _, o := range named { // the container
		joined, err := p.of.JoinedBy(ctx, o.ID)
		if err != nil {
			return &Denial{Status: http.StatusServiceUnavailable, Code: "object", Reason: "it cannot be told now which networks it would join; try again"}
		}
		for i := range joined {
			n := &joined[i]
			known := n.Known != nil && *n.Known
			if !known || !p.view.owns(n.Kind, n.Labels) && !p.view.shares(n.Kind, n.Name) {
				return absent(n)
			}
		}
	}
	return nil
}

func isTarget(named []object.Object, entered *object.Object) bool {
	return slices.ContainsFunc(named, func(o object.Object) bool {
		return o.Role == operation.RoleTarget && o.Kind == entered.Kind && o.Ref == entered.Ref
	})
}

// prunes denies the removal of containers where the daemon would remove those of others: it takes an image's labels for its
// containers'.
func (p *Plan) prunes() *Denial {
	borrowed, err := p.of.AnyBorrowed(func(labels map[string]string) bool { return p.view.owns(operation.KindContainer, labels) })
	switch {
	case err != nil:
		return &Denial{Status: http.StatusServiceUnavailable, Code: "object", Reason: "it cannot be told now which containers would be removed; try again"}
	case borrowed != "":
		return denied(http.StatusForbidden, "it cannot remove all at once: images give their containers the labels by which its own are told (%s); remove them by name", borrowed)
	}
	return nil
}

// makes: what is not there yet is made by the request itself.
func (p *Plan) makes(kind operation.Kind) bool {
	return p.asked.ID == "ContainerCreate" && kind == operation.KindVolume
}

// hide has the daemon asked for something that does not exist, in place of what is outside the view or is not there.
func (p *Plan) hide(o *object.Object) *Denial {
	if p.how.joins {
		return absent(o)
	}
	ref, back := decoy(o.Kind, o.Ref)
	var limited *operation.Operation
	var ok bool
	if o.Role == operation.RoleTarget {
		limited, ok = p.Operation.WithTargetName(ref)
	} else {
		limited, ok = p.Operation.WithoutNaming(o.Kind, o.Ref, ref)
	}
	if !ok {
		return absent(o)
	}
	p.Operation, p.Nothing, p.back = limited, true, append(p.back, back...)
	return nil
}

// absent is the answer to a request that would use or enter something that is not there, and the same to one that would use something
// that the caller may not see.
func absent(o *object.Object) *Denial {
	return denied(http.StatusNotFound, "there is no %s %q that it may use", o.Kind, o.Ref)
}

// decoy is a reference of the same form that nothing has, and what of it stands for what, for [Plan.Answer].
func decoy(kind operation.Kind, ref string) (as string, back []string) {
	prefix, name, suffix := "", ref, ""
	if kind == operation.KindImage {
		if algorithm, digest, is := strings.Cut(ref, "sha256:"); is {
			prefix, name = algorithm+"sha256:", digest
		} else {
			prefix, name = ref[:strings.LastIndexByte(ref, '/')+1], ref[strings.LastIndexByte(ref, '/')+1:]
			name, suffix = cutTag(name)
		}
	}
	other := nobodys()
	if len(name) >= shortID && isHex(name) {
		sum := sha512.Sum512([]byte(other))
		other = hex.EncodeToString(sum[:])[:min(len(name), 2*len(sum))]
	}
	return prefix + other + suffix, []string{other, name}
}

// nobodys is a name that nothing has.
func nobodys() string { return "vitrine-" + strings.ToLower(rand.Text()) }

// shortID is the length of an id as command lines print it.
const shortID = 12

func cutTag(name string) (bare, tag string) {
	if at := strings.IndexByte(name, ':'); at >= 0 {
		return name[:at], name[at:]
	}
	return name, ""
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// errUnlike is an answer that is not of the shape that the table says.
var errUnlike = errors.New("the answer is not what this operation's is")
