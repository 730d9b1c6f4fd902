package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// failure passes an answer that says that something went wrong, where the caller
// is not shown all of the answer that would have been: the Engine's text may
// quote what is blanked there, such as a mount's options.
func (t *task) failure(ex exchange) {
	res := ex.base().res
	if res.Body == http.NoBody { // an answer to HEAD, 304
		t.head(res, false)
		return
	}
	doc, withheld := t.errorText(ex)
	res.Header.Set("Content-Type", "application/json")
	res.Header.Set("Content-Length", strconv.Itoa(len(doc)))
	res.Header.Del("Content-Encoding")
	t.head(res, withheld)
	_, _ = t.w.Write(doc) // a client that has gone needs no answer
}

// maxErrorText is how much of an error answer is looked at; one that is longer is
// no JSON by then.
const maxErrorText = 4 << 10

// maxErrorWord is the longest word of a text that tells nothing: a name of 256, and what stands around it. The patterns do not say so, as to
// count in them takes megabytes.
const maxErrorWord = 264

// errorText is the body of an error answer as the caller may see it: the
// Engine's text if it is one of those that tell nothing, else what takes its place.
func (t *task) errorText(ex exchange) (doc []byte, withheld bool) {
	if opaque(ex.base().res) == "" {
		body, err := io.ReadAll(io.LimitReader(ex, maxErrorText))
		var said struct{ Message string }
		if err == nil && json.Unmarshal(body, &said) == nil && tellsNothing(t.v.Operation.Resource, said.Message) {
			return errorBody(t.v.View.Answer(said.Message)), false
		}
	}
	where := "the text is in the Engine's log"
	if ex.base().res.StatusCode < http.StatusInternalServerError { // it logs others where it asks plugins
		where = "an admin who asks the same is shown it, and the Engine's log has the text if a plugin is asked"
	}
	return errorBody("vitrine: the Docker Engine answered with an error whose text may quote what this caller is not shown; " +
		where + " (request " + t.v.ID() + ")"), true
}

// tellsNothing reports whether an error's text is one that names no more than
// the request did, or what lists of objects show: names, ids, ports.
func tellsNothing(resource, message string) bool {
	for word := range strings.FieldsSeq(message) {
		if len(word) > maxErrorWord {
			return false
		}
	}
	return harmless[""].MatchString(message) || harmless[resource] != nil && harmless[resource].MatchString(message)
}

// harmless are those texts, by the resource of the operation; "" is any. What is
// not among them is withheld, whatever its status.
var harmless = map[string]*regexp.Regexp{
	"": texts(
		`page not found`,
		`client version VERSION is too (old|new)\. (Minimum|Maximum) supported API version is VERSION(, please upgrade your client to a newer version)?`,
		`[Ii]nvalid filter( '?NAME'?)?`,
		`This node is not a swarm manager\. (Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again|`+
			`Worker nodes can't be used to view or modify cluster state\. Please run this command on a manager node or promote the current node to a manager)\.`,
		`(no such image: NAME: )?[Nn]o such (container|image|volume|network|plugin|service|task|node|secret|config|exec instance): NAME`,
	),
	"containers": texts(
		`[Cc]ontainer NAME is (not running|already paused|not paused|restarting, wait until the container is running|`+
			`paused, unpause the container before (exec|attach|copying))`,
		`container is marked for removal and cannot be started`,
		`cannot join network of a non running container: NAME`,
		`Conflict\. The container name "NAME" is already in use by container "?HEX"?\. You have to (remove|delete) \(or rename\) that container to be able to reuse that name\.`,
		`You cannot remove a (running|paused|restarting) container NAME\. (Stop|Unpause) the container before attempting removal or force remove`,
		`cannot remove container "NAME": container is (running|paused|restarting): (stop|unpause) the container before removing or force remove`,
		`removal of container NAME is already in progress`,
		`(failed to set up container networking: )?driver failed programming external connectivity on endpoint NAME( \(HEX\))?: `+
			`Bind for ADDRESS failed: port is already allocated`,
	),
	"exec":     texts(`No such exec instance '?HEX'?( found in daemon)?`),
	"images":   texts(`invalid reference format(: repository name (\(NAME\) )?must be lowercase)?`, `reference does not exist`),
	"volumes":  texts(`(get|remove) NAME: no such volume`, `volume NAME not found`, `remove NAME: volume is in use - \[HEX(, HEX)*\]`),
	"networks": texts(`network NAME not found`),
	"services": texts(`service NAME not found`), "tasks": texts(`task NAME not found`), "nodes": texts(`node NAME not found`),
	"secrets": texts(`secret NAME not found`), "configs": texts(`config NAME not found`), "plugins": texts(`plugin "?NAME"? not found`),
}

// texts matches any of the texts, whole.
func texts(list ...string) *regexp.Regexp {
	all := "^(?:" + strings.Join(list, "|") + ")$"
	return regexp.MustCompile(strings.NewReplacer(
		"NAME", `/?[A-Za-z0-9][A-Za-z0-9_.:/@-]*`, "HEX", "[0-9a-f]{12,64}", "VERSION", `[0-9]{1,3}\.[0-9]{1,3}`,
		"ADDRESS", `[0-9a-f.:\[\]]{1,64}`).Replace(all))
}

// withholds reports whether the text of an error is looked at before it is passed on.
func (t *task) withholds(res *http.Response) bool { return t.quiet && res.StatusCode/100 != 2 }
