package importer

import (
	"maps"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"vitrine/internal/engine/imagename"
	"vitrine/internal/engine/operation"
)

// commands are the operations of each command that ECI's list may name: those that it is for. What it asks beside, to look, comes by
// inspect and the like.
var commands = map[string][]string{
	"attach": {"ContainerAttach"}, "build": {"ImageBuild"}, "commit": {"ImageCommit"},
	"cp": {"ContainerArchive", "ContainerArchiveInfo", "PutContainerArchive"}, "create": {"ContainerCreate"}, "diff": {"ContainerChanges"},
	"events": {"SystemEvents"}, "exec": {"ContainerExec", "ExecStart", "ExecResize", "ExecInspect"}, "export": {"ContainerExport"}, "history": {"ImageHistory"},
	"images": {"ImageList"}, "import": {"ImageCreate"}, "info": {"SystemInfo"}, "inspect": {"ContainerInspect"}, "kill": {"ContainerKill"}, "load": {"ImageLoad"},
	"login": {"SystemAuth"}, "logs": {"ContainerLogs"}, "pause": {"ContainerPause"}, "port": {"ContainerInspect"}, "ps": {"ContainerList"}, "pull": {"ImageCreate"}, "push": {"ImagePush"},
	"rename": {"ContainerRename"}, "restart": {"ContainerRestart"}, "rm": {"ContainerDelete"}, "rmi": {"ImageDelete"}, "run": {"ContainerCreate", "ContainerStart", "ContainerAttach", "ContainerWait", "ImageCreate"},
	"save": {"ImageGet", "ImageGetAll"}, "search": {"ImageSearch"}, "start": {"ContainerStart"}, "stats": {"ContainerStats"}, "stop": {"ContainerStop"}, "tag": {"ImageTag"}, "top": {"ContainerTop"},
	"unpause": {"ContainerUnpause"}, "update": {"ContainerUpdate"}, "version": {"SystemVersion"}, "wait": {"ContainerWait"},
	"container": nil, "image": nil, "network": nil, "volume": nil, "plugin": nil, "swarm": nil, "node": nil, "service": nil, "secret": nil, "config": nil, "system": nil, "task": nil,
}

// resources of the commands that stand for all of a kind.
var resources = map[string]string{
	"container": "containers", "image": "images", "network": "networks", "volume": "volumes", "plugin": "plugins", "swarm": "swarm", "node": "nodes", "service": "services",
	"secret": "secrets", "config": "configs", "system": "system", "task": "tasks",
}

// eci reads Docker Desktop's admin-settings.json.
func eci(s *source) ([]*grant, error) {
	doc, err := s.document()
	if err != nil {
		return nil, err
	}
	mount := at(at(doc, "enhancedContainerIsolation"), "dockerSocketMount")
	if mount == nil {
		return nil, s.problem(0, "has no enhancedContainerIsolation.dockerSocketMount")
	}
	g := &grant{role: s.format, secretsShown: true}
	if g.as, err = s.images(at(at(mount, "imageList"), "images")); err != nil {
		return nil, err
	}
	if s.as != "" {
		g.as = []string{s.as}
	}
	if len(g.as) == 0 {
		return nil, s.problem(lineOf(mount), "imageList names no image that could be bound: give a principal")
	}
	if text(at(at(mount, "imageList"), "allowDerivedImages")) == "true" {
		s.note(0, "allowDerivedImages is not carried over: bind the images that are built on these, or the containers")
	}
	asked, deny, err := s.commands(at(mount, "commandList"))
	if err != nil {
		return nil, err
	}
	byPath := map[string]operation.Info{}
	for _, op := range operation.Operations() {
		for _, p := range paths(op) {
			byPath[op.Method+" "+p] = op
		}
	}
	speaks := func(op operation.Info) bool { return asked[op.ID] || asked[op.Resource] }
	g.allows = func(method, path string) bool {
		op, known := byPath[method+" "+path]
		ping := op.ID == "SystemPing" || op.ID == "SystemPingHead"
		return known && (ping || speaks(op) != deny)
	}
	g.names = func(op operation.Info) bool { return !deny && speaks(op) }
	s.note(0, "Docker Desktop refuses a socket to all other containers; here whoever may create containers is refused it by the hazard engine-socket, and the images ask the gateway's socket")
	return []*grant{g}, nil
}

// images are principals of an imageList. A tag is not proven by a container, a repository is as much as who may give names to images.
func (s *source) images(list *yaml.Node) (as []string, err error) {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, s.problem(lineOf(list), "imageList.images is no list")
	}
	for _, n := range list.Content {
		name := strings.TrimPrefix(strings.TrimPrefix(text(followed(n)), "docker.io/"), "library/")
		repository, tag, digest := imagename.Split(name)
		switch {
		case repository == "" || strings.ContainsAny(repository, "* \t\n"):
			s.note(n.Line, "%q is no name of an image to bind a role to: not carried over", name)
			continue
		case digest != "" || tag != "" && tag != "*":
			s.note(n.Line, "%q: a role is bound to the repository, whatever its tag or digest; image-id: is one image alone", name)
		}
		if p := "image:" + repository; !slices.Contains(as, p) {
			as = append(as, p)
		}
	}
	return as, nil
}

// commands are the operations and resources that a commandList names, and whether they are all that is refused.
func (s *source) commands(list *yaml.Node) (named map[string]bool, deny bool, err error) {
	named = map[string]bool{}
	if list == nil { // no list refuses nothing
		return named, true, nil
	}
	kind := text(at(list, "type"))
	if kind != "allow" && kind != "deny" {
		return nil, false, s.problem(lineOf(list), "commandList.type is allow or deny, not %.40q", kind)
	}
	of := at(list, "commands")
	if of == nil || of.Kind != yaml.SequenceNode {
		return nil, false, s.problem(lineOf(list), "commandList.commands is no list")
	}
	for _, n := range of.Content {
		name := text(followed(n))
		ops, known := commands[name]
		if !known {
			return nil, false, s.problem(n.Line, "there is no command %.40q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
		}
		for _, id := range ops {
			named[id] = true
		}
		if r := resources[name]; r != "" {
			named[r] = true
		}
	}
	return named, kind == "deny", nil
}
