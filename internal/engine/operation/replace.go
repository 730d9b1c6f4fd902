package operation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/engine/imagename"
)

// Old is a container in whose place another one of its name is made, as the daemon showed it. All of it is the daemon's own word
// of what the container has; who made the container chose it, and was asked then.
type Old struct {
	Name   string          // without the slash
	Config json.RawMessage // of inspect, and the next two
	Host   json.RawMessage
	// Networks are the endpoints, by the networks' names.
	Networks json.RawMessage
	// Image is the configuration of the image that it runs; without it everything in Config counts as chosen.
	Image json.RawMessage
}

// Size is how much there is of it, in bytes.
func (old *Old) Size() int {
	return len(old.Name) + len(old.Config) + len(old.Host) + len(old.Networks) + len(old.Image)
}

// replacement is what a request may have because the container before it had the same.
type replacement struct {
	fields []string        // "HostConfig", "{id}": they, and what is below them
	spared map[string]bool // those of which a hazard or a path does not count
}

// Replacing is the operation in the place of another container: what that had in the same words, and nothing else, is
// no hazard, and no path of the host that is asked for. All else is judged as ever: whose principals it mints, and which
// containers it enters. networks are the ids of those that it names, as it names them: a name may be that of another one by now.
// The error says in what it is another container; a program, its user and its confinement that
// differ leave nothing. The operation itself is not changed.
func (o *Operation) Replacing(old *Old, networks map[string]string) (*Operation, error) {
	config, err := old.read()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if was, has := config.networks[name].(map[string]any); has && text(was, "NetworkID") != networks[name] {
			return nil, fmt.Errorf("network %q is another one, or nobody can say which", name)
		}
	}
	var fields []string
	switch o.ID {
	case "ContainerCreate":
		if err := cmp.Or(config.otherProgram(o.body()), config.otherHost(object(o.body(), "HostConfig")), config.otherByVersion(o)); err != nil {
			return nil, err
		}
		fields = config.inCreate(o.body())
	case "NetworkConnect":
		fields = config.inConnect(o.Target, object(o.body(), "EndpointConfig"))
	}
	return o.ReplacingIn(fields), nil
}

// ReplacingIn is the operation of which these fields are those of another container, as [Operation.Replacing] says.
func (o *Operation) ReplacingIn(fields []string) *Operation {
	if len(fields) == 0 {
		return o
	}
	r := *o
	r.replacement = &replacement{fields: fields, spared: map[string]bool{}}
	r.judge()
	r.Replaced = slices.Sorted(maps.Keys(r.replacement.spared))
	return &r
}

// ReplacedFields are those of which the operation may have what another container had.
func (o *Operation) ReplacedFields() []string {
	if o.replacement == nil {
		return nil
	}
	return o.replacement.fields
}

// spares says that what is being judged is as in another container, so that it does not count.
func (o *Operation) spares() bool {
	if o.replacement == nil || len(o.at) == 0 || slices.Contains(o.at, "Links") { // whose a container's name is by now the daemon says when it makes the link
		return false
	}
	return o.replacement.has(o.field(), true)
}

// has says whether a field is one of those that another container had, and notes it.
func (r *replacement) has(field string, note bool) bool {
	if r == nil {
		return false
	}
	is := slices.ContainsFunc(r.fields, func(of string) bool {
		rest, below := strings.CutPrefix(field, of)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
	if is && note {
		r.spared[field] = true
	}
	return is
}

// before is an Old that was read.
type before struct{ config, host, networks, image map[string]any }

func (old *Old) read() (b before, err error) {
	for text, to := range map[*json.RawMessage]*map[string]any{&old.Config: &b.config, &old.Host: &b.host, &old.Networks: &b.networks, &old.Image: &b.image} {
		if len(*text) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(*text))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			return before{}, fmt.Errorf("what container %q had cannot be read: %w", old.Name, err)
		}
	}
	return b, nil
}

// Runs says why a create would run another program than the container before it, whatever hazards it has.
func (o *Operation) Runs(old *Old) error {
	config, err := old.read()
	if err != nil {
		return err
	}
	return config.otherProgram(o.body())
}

// program are keys that say what runs, as whom, and what reaches it, beside the command.
var program = []string{"Healthcheck", "NetworkDisabled", "OpenStdin", "Shell", "StdinOnce", "Tty", "User", "WorkingDir"}

// otherProgram says why a body of a create is that of another container; nil if it is not: then it has the same image, whatever its tag, and runs the
// same in it. What was the image's own may be left to the image again.
func (b *before) otherProgram(is map[string]any) error {
	if !sameImage(text(is, "Image"), text(b.config, "Image")) {
		return fmt.Errorf("its image is %q, and was %q", text(is, "Image"), text(b.config, "Image"))
	}
	entrypoint, cmd := command(is, b.image)
	switch {
	case !same(entrypoint, b.config["Entrypoint"]):
		return errors.New("its Entrypoint is another")
	case !same(cmd, b.config["Cmd"]):
		return errors.New("its Cmd is another")
	}
	for _, key := range program {
		if was := b.config[key]; !same(is[key], was) && (isSet(is[key]) || !same(was, b.image[key])) {
			return fmt.Errorf("%s is another", key)
		}
	}
	if isSet(b.host["PublishAllPorts"]) && !subset(is["ExposedPorts"], object(b.config, "ExposedPorts")) {
		return errors.New("its ExposedPorts has more, and all of them are published")
	}
	env, envBefore := texts(is["Env"]), texts(b.config["Env"])
	for _, v := range env {
		if !slices.Contains(envBefore, v) {
			return errors.New("its Env has more")
		}
	}
	for _, v := range envBefore {
		if !slices.Contains(env, v) && !slices.Contains(texts(b.image["Env"]), v) {
			return errors.New("its Env has less")
		}
	}
	return nil
}

// command is what the daemon makes of a create's command and an image's: an entry point of its own drops the image's command, an empty
// one the image's entry point.
func command(body, image map[string]any) (entrypoint, cmd any) {
	entrypoint, cmd = body["Entrypoint"], body["Cmd"]
	given := texts(entrypoint)
	if len(given) == 0 && len(texts(cmd)) == 0 {
		cmd = image["Cmd"]
	}
	switch {
	case entrypoint == nil:
		return image["Entrypoint"], cmd
	case len(given) == 1 && given[0] == "":
		return nil, cmd
	}
	return entrypoint, cmd
}

// otherHost says why all of a HostConfig is not the same, nil if it is. What another container has to give is not the same in the same words: its
// name may be another one's by now.
func (b *before) otherHost(host map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(merged(host, b.host))) {
		if !sameIn(key, host[key], b.host[key]) {
			return fmt.Errorf("HostConfig.%s is another", key)
		}
		if mode, _ := host[key].(string); key == "VolumesFrom" && isSet(host[key]) || strings.HasPrefix(mode, "container:") {
			return fmt.Errorf("HostConfig.%s may be another container's by now", key)
		}
	}
	return nil
}

// otherByVersion says why a daemon that is asked by an older version of its API would make more of the same mounts, nil if it would not: it takes what
// that version does not know from a request without a word.
func (b *before) otherByVersion(o *Operation) error {
	if o.Version == "" { // the daemon's own newest
		return nil
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(o.Version, "1."))
	if err != nil {
		return fmt.Errorf("nobody knows what API %s can say: %w", o.Version, err)
	}
	for i, m := range list(b.host, "Mounts") {
		mount, _ := m.(map[string]any)
		options := object(mount, "BindOptions")
		readOnly := text(mount, "Type") == "bind" && isSet(mount["ReadOnly"])
		switch {
		case minor < 40 && isSet(options["NonRecursive"]):
			return fmt.Errorf("HostConfig.Mounts[%d] is without what is mounted below it, which API %s cannot say: ask by 1.40 or newer", i, o.Version)
		case minor < 44 && readOnly && !isSet(options["ReadOnlyNonRecursive"]) && o.engine.recursesReadOnly():
			return fmt.Errorf("HostConfig.Mounts[%d] is read-only with what is mounted below it, which API %s cannot say: ask by 1.44 or newer", i, o.Version)
		}
	}
	return nil
}

// recursesReadOnly says that a read-only mount is one with all below it: from version 25 on. Of an engine of which nothing is known it may be.
func (e *Engine) recursesReadOnly() bool {
	if e == nil {
		return true
	}
	major, _, _ := strings.Cut(e.Version, ".")
	n, err := strconv.Atoi(major)
	return err != nil || n >= 25
}

func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(b)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, a)
	return all
}

// sameIn compares a key of HostConfig. To the daemon no list of masked paths is its own, and an empty one none. What inspect
// shows of a link is written otherwise when it is asked for.
func sameIn(key string, a, b any) bool {
	switch key {
	case "MaskedPaths", "ReadonlyPaths":
		return reflect.DeepEqual(a, b)
	case "Links":
		return slices.Equal(linkPairs(a), linkPairs(b))
	case "NetworkMode": // newer daemons write the default's name
		return same(a, b) || ownBridge(a) && ownBridge(b)
	}
	return same(a, b)
}

func ownBridge(mode any) bool { return !isSet(mode) || mode == "default" || mode == "bridge" }

// linkPairs are container and alias of each.
func linkPairs(v any) (out []string) {
	for _, link := range texts(v) {
		name, alias, _ := strings.Cut(link, ":")
		if alias == "" {
			alias = name
		}
		out = append(out, strings.TrimLeft(name, "/")+":"+alias[strings.LastIndexByte(alias, '/')+1:])
	}
	slices.Sort(out)
	return out
}

// same: two values are the same JSON, or neither is set. In their members null is as if there were none.
func same(a, b any) bool {
	return !isSet(a) && !isSet(b) || reflect.DeepEqual(pruned(a), pruned(b))
}

func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			if member != nil {
				out[key] = pruned(member)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = pruned(element)
		}
		return out
	}
	return v
}

// sameImage: they are of one repository. What may be the beginning of an id must be the same.
func sameImage(a, b string) bool {
	name, was := imagename.Repository(a), imagename.Repository(b)
	if isHexName(name) { // as no name is
		return a == b && a != ""
	}
	return slices.Contains(spellings(was), name)
}

func isHexName(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// inCreate are the fields of a create that are as they were.
func (b *before) inCreate(body map[string]any) []string {
	fields := []string{"HostConfig"} // all of it: see otherHost
	for _, key := range slices.Sorted(maps.Keys(body)) {
		switch key {
		case "HostConfig":
		case "NetworkingConfig":
			if endpoints := object(object(body, key), "EndpointsConfig"); len(object(body, key)) == 1 && b.joined(endpoints) {
				fields = append(fields, key)
			}
		case "Env":
			fields = append(fields, key) // see otherProgram
		case "Volumes":
			if subset(body[key], b.config[key]) {
				fields = append(fields, key)
			}
		default:
			if same(body[key], b.config[key]) {
				fields = append(fields, key)
			}
		}
	}
	return fields
}

// subset says that the keys of one free-form object are those of another one, with the same values.
func subset(some, all any) bool {
	of, _ := all.(map[string]any)
	is, isObject := some.(map[string]any)
	for key, v := range is {
		if was, has := of[key]; !has || !same(v, was) {
			return false
		}
	}
	return isObject || some == nil
}

// joined says that the container was in each of these networks already, in the same way.
func (b *before) joined(endpoints map[string]any) bool {
	for name, v := range endpoints {
		was, has := b.networks[name]
		if !has || !sameEndpoint(v, was) {
			return false
		}
	}
	return true
}

// ofRunning are keys of an endpoint that the daemon gives while a container runs, and does not take from a request.
var ofRunning = []string{"EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen", "IPv6Gateway"}

// sameEndpoint: what it says of itself is what was said before, or less. A tool leaves out the names that were made of the old
// container's id. Of a MAC address see judgeMACAddress.
func sameEndpoint(v, was any) bool {
	is, isObject := v.(map[string]any)
	old, _ := was.(map[string]any)
	for key, member := range is {
		switch before := old[key]; {
		case !isSet(member), slices.Contains(ofRunning, key), key == "MacAddress" && text(is, "EndpointID") != "":
		case key == "Aliases" || key == "DNSNames":
			names := texts(before)
			if slices.ContainsFunc(texts(member), func(name string) bool { return !slices.Contains(names, name) }) {
				return false
			}
		case !same(member, before):
			return false
		}
	}
	return isObject || v == nil
}

// inConnect are the fields of a connect by which a container comes into a network as the one before it was.
func (b *before) inConnect(network string, endpoint map[string]any) []string {
	for name, v := range b.networks {
		was, _ := v.(map[string]any)
		if id := text(was, "NetworkID"); (name == network || id == network) && sameEndpoint(endpoint, was) {
			return []string{"{id}", "EndpointConfig"}
		}
	}
	return nil
}

// ChangesContainers says whether the operation changes containers, makes one or enters one, or gives an image a name that
// a container may be made of.
func (o *Operation) ChangesContainers() bool {
	return o.Resource == "containers" && !o.Access.Reads() || len(o.Enters) > 0 || o.NamesImage()
}

// NamesImage says that the operation gives an image whatever name its caller likes. A pull does not.
func (o *Operation) NamesImage() bool {
	switch o.ID {
	case "ImageCreate":
		return o.Query.Get("fromSrc") != "" || o.Query.Get("repo") != "" || o.Query.Get("fromImage") == ""
	case "ImageBuild", "ImageCommit", "ImageLoad", "ImageTag":
		return true
	}
	return false
}
