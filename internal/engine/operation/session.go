package operation

import (
	"errors"
	"maps"
	"strings"
)

// The headers by which a client says what its session with BuildKit is: other than a build's parameters they are no part of the
// request that the plugin's door compares.
const (
	sessionHeader    = "X-Docker-Expose-Session-"
	sessionID        = sessionHeader + "Uuid"
	sessionSharedKey = sessionHeader + "Sharedkey"
)

// upload is before the id of a build in the request that sends its context.
const upload = "upload-request:"

// NamesSession says that the operation opens a session with BuildKit, or is about a session or a build by an id that its caller chose.
func (o *Operation) NamesSession() bool {
	return o.ID == "Session" || o.ID == "ImageBuild" && (o.Query.Get("session") != "" || o.Query.Get("buildid") != "")
}

// WithSession is the operation with other names in the place of those that its caller chose: the daemon knows sessions, and builds that a
// context is sent to, by nothing else, and whoever gives a session's name has it asked for files and secrets. The shared key is a
// name, too: of files that BuildKit has kept, and compares by size and time with those of the next session that has the key. own is
// given what is named, and the name. An operation without is returned as it is.
func (o *Operation) WithSession(own func(kind, name string) string) (*Operation, error) {
	if !o.NamesSession() {
		return o, nil
	}
	r := *o
	if o.ID == "Session" {
		id := o.Headers[sessionID]
		if len(id) != 1 || id[0] == "" {
			return nil, errors.New("a session has one " + sessionID)
		}
		r.session = map[string]string{ // with no word of how they are written, or for people
			sessionID: own("session", id[0]), sessionSharedKey: own("key", o.Headers.Get(sessionSharedKey)),
			sessionSharedKey + "-Encoded": "", sessionHeader + "Name": "", sessionHeader + "Name-Encoded": "",
		}
		return &r, nil
	}
	r.Query = maps.Clone(o.Query)
	if id := o.Query.Get("session"); id != "" {
		r.Query.Set("session", own("session", id))
	}
	if id, uploads := strings.CutPrefix(o.Query.Get("buildid"), upload); id != "" || uploads {
		id = own("build", id)
		if uploads {
			id = upload + id
		}
		r.Query.Set("buildid", id)
	}
	r.URI = (&target{path: r.Path, version: o.Version}).canonicalURI(r.Query)
	return &r, nil
}
