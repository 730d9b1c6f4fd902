package view

import (
	"net/http"
	"slices"
	"strings"

	"vitrine/internal/authz/object"
	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/operation"
)

// names says whether a name of an image is the caller's own: by its repository, whatever its tag.
func (v *View) names(ref string) bool {
	repository := imagename.Familiar(ref)
	return repository != "" && slices.ContainsFunc(v.ImageNames, func(own string) bool {
		below, all := strings.CutSuffix(own, "*")
		return repository == own || all && strings.HasSuffix(below, "/") && strings.HasPrefix(repository, below)
	})
}

// gives is Names for a name that the request changes, or sends away. What a digest means beside a name the daemon may take from
// whatever image has it.
func (v *View) gives(ref string) bool { return v.names(ref) && !strings.Contains(ref, "@") }

// Has says whether an object is the caller's: by its labels, and of an image by one of the names that it has. (What was
// typed is not asked: a digest behind a name is not the name's.)
func (v *View) Has(o *object.Object) bool {
	return v.has(o.Kind, o.Labels, o.Names) && (v.Network == "" || !inNetworks(o.Kind) || slices.Contains(o.Networks, v.Network))
}

func (v *View) has(kind operation.Kind, labels map[string]string, names []string) bool {
	return v.owns(kind, labels) || kind == operation.KindImage && slices.ContainsFunc(names, v.names)
}

// all is the pattern by which everything of a kind is shared.
const all = "*"

// imaged denies what would move or send away a name of an image that is not the caller's own. There is one space of names in an
// Engine, and who gives one that others use has them run it.
func (v *View) imaged(op *operation.Operation) *Denial {
	switch op.ID {
	case "ImageCreate":
		if op.Query.Get("fromSrc") == "" && v.pulls(op) || op.Query.Get("fromImage") == "" && v.gives(op.Query.Get("repo")) {
			return nil
		}
		return denied(http.StatusForbidden, "it may pull only images that are shared with it, or have one of its own names%s, and import only under such a name: others' names it could not use", v.which())
	case "ImageTag", "ImageCommit":
		if !v.gives(op.Query.Get("repo")) {
			return denied(http.StatusForbidden, "the name %q is not its own to give%s", op.Query.Get("repo"), v.which())
		}
	case "ImagePush":
		if !v.gives(op.Target) {
			return denied(http.StatusForbidden, "the name %q is not its own to push%s: tag the image", op.Target, v.which())
		}
	case "ImageBuild":
		return v.builds(op)
	}
	return nil
}

// builds: what a build reads stands in its context, which streams past. It may be any image, so that only who may use all may build.
func (v *View) builds(op *operation.Operation) *Denial {
	names := op.Query["t"]
	foreign := slices.IndexFunc(names, func(name string) bool { return !v.gives(name) })
	switch {
	case !slices.Contains(v.Shared[operation.KindImage], all):
		return denied(http.StatusForbidden, `a Dockerfile can begin with any image that the host has, so that only who may use all builds: the role needs shared: {images: ["*"]}`)
	case len(names) == 0:
		return denied(http.StatusForbidden, "an image belongs to who has its name: build with -t%s", v.which())
	case foreign >= 0:
		return denied(http.StatusForbidden, "the name %q is not its own to give%s", names[foreign], v.which())
	case op.Query.Get("outputs") != "":
		return denied(http.StatusForbidden, "outputs name images beside -t: leave them out")
	case !op.Asks("nocache") && !slices.Contains([]string{"", "1"}, op.Query.Get("version")): // cache-from adds a cache to BuildKit's own, and takes none away
		return denied(http.StatusForbidden, "what a step of a build takes from BuildKit's cache anybody on the host may have put there: build with --no-cache")
	case !op.Asks("nocache") && !v.caches(op):
		return denied(http.StatusForbidden, "what a step of a build takes from the cache anybody on the host may have put there: build with --no-cache, or with --cache-from names of its own alone%s", v.which())
	}
	return nil
}

// caches says whether a build takes from the cache only what led to images of the caller's own. Without that a step is
// taken from whoever ran one of the same words on the same layers; through which proxy and with which hosts is no part of those.
func (v *View) caches(op *operation.Operation) bool {
	from, _ := op.Params["cachefrom"].([]any)
	return len(from) > 0 && !slices.ContainsFunc(from, func(ref any) bool { name, _ := ref.(string); return !v.gives(name) })
}

// which says which names are the caller's own.
func (v *View) which() string {
	if len(v.ImageNames) == 0 {
		return " (its role has no image_names)"
	}
	return " (" + strings.Join(v.ImageNames, ", ") + ")"
}
