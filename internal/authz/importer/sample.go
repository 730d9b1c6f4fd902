package importer

import (
	"strings"

	"vitrine/internal/engine/operation"
)

// request is one of an operation in its least form.
type request struct{ method, uri, body string }

func (r request) String() string { return strings.TrimSpace(r.method + " " + r.uri + " " + r.body) }

// queries and bodies are what an operation is nothing without.
var (
	queries = map[string]string{
		"ContainerArchive": "?path=/tmp", "ContainerArchiveInfo": "?path=/tmp", "PutContainerArchive": "?path=/tmp",
		"ContainerRename": "?name=other", "ImageCreate": "?fromImage=sample&tag=1", "ImageSearch": "?term=sample",
		"ImageTag": "?repo=other&tag=1", "ImageCommit": "?container=sample", "GetPluginPrivileges": "?remote=sample", "ImageGetAll": "?names=sample",
		"ContainerLogs": "?stdout=1", "ServiceLogs": "?stdout=1", "TaskLogs": "?stdout=1", "ContainerAttach": "?stream=1&stdout=1", "ServiceUpdate": "?version=1",
	}
	bodies = map[string]string{ //nolint:gosec // samples, and no credentials
		"ContainerCreate": `{"Image":"sample"}`, "ContainerExec": `{"Cmd":["true"]}`, "ExecStart": `{}`, "ContainerUpdate": `{"CpuShares":512}`,
		"NetworkCreate": `{"Name":"sample"}`, "NetworkConnect": `{"Container":"sample"}`, "NetworkDisconnect": `{"Container":"sample"}`,
		"VolumeCreate": `{"Name":"sample"}`, "ServiceCreate": `{"Name":"sample","TaskTemplate":{"ContainerSpec":{"Image":"sample"}}}`,
		"ServiceUpdate": `{"Name":"sample","TaskTemplate":{"ContainerSpec":{"Image":"sample"}}}`, "SystemAuth": `{"username":"sample","password":"sample","serveraddress":"sample.example"}`,
		"SecretCreate": `{"Name":"sample","Data":"c2FtcGxl"}`, "ConfigCreate": `{"Name":"sample","Data":"c2FtcGxl"}`,
	}
)

func sample(op operation.Info) request {
	return request{op.Method, filled(op.Path, "sample") + queries[op.ID], bodies[op.ID]}
}

// hazards are those of a request that is made by nobody in particular.
func (r request) hazards() []operation.Hazard {
	op, err := operation.Parse(operation.ExampleRequest(r.method, r.uri, r.body))
	if err != nil {
		return nil // a test holds that there is none
	}
	return op.Hazards
}

// filled is a path's template with a name in each of its places.
func filled(template, name string) string {
	parts := strings.Split(template, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = name
		}
	}
	return strings.Join(parts, "/")
}

// paths are an operation's as clients write them: with and without a version, by name and by id.
func paths(op operation.Info) (all []string) {
	for _, name := range []string{"sample", strings.Repeat("0123456789abcdef", 4)} {
		for _, version := range []string{"", "/v1.24", "/v1.41", "/v1.51"} {
			all = append(all, version+filled(op.Path, name))
		}
	}
	return all
}

// literals are the words of a path's template.
func literals(template string) (words []string) {
	for part := range strings.SplitSeq(template, "/") {
		if part != "" && !strings.HasPrefix(part, "{") {
			words = append(words, part)
		}
	}
	return words
}

// speaksOf says whether a pattern has every word of an operation's path.
func speaksOf(pattern string, op operation.Info) bool {
	for _, word := range literals(op.Path) {
		if !strings.Contains(pattern, word) {
			return false
		}
	}
	return true
}
