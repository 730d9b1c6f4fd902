package usecases

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"vitrine/test/vitrine"
)

// runner is a user to whom the page's role of runner-a is bound, and neighbour the one of runner-b's.
type runner struct {
	*testing.T
	w         *world
	as        *vitrine.User
	c         net.Conn
	neighbour string
	api       string // what it writes in front of its paths
}

// runners begins with the page's role for CI runners, which hold it as users.
func runners(t *testing.T) *runner {
	t.Helper()
	e := shared.For(t)
	for _, image := range append(slices.Clone(images), helperImage) {
		e.Docker("tag", "bb:1", image)
	}
	c := *useCases(t)["runners"]
	c.files = maps.Clone(c.files)
	for file, text := range c.files {
		c.files[file] = strings.NewReplacer("container:runner-a", "uid:4301", "container:runner-b", "uid:4302").Replace(text)
	}
	w := begin(t, e.For(t), &c)
	r := &runner{T: t, w: w, as: vitrine.As(t, users["ann"]), neighbour: "ben"}
	r.c = r.dial()
	return r
}

func (r *runner) dial() net.Conn {
	r.Helper()
	c, err := r.as.Dial(r.w.p.Socket)
	must(r, err)
	r.Cleanup(func() { _ = c.Close() })
	return c
}

// ask asks, and reads the answer into to. A body that is no text is written as JSON.
func (r *runner) ask(status int, method, path string, body, to any) {
	r.Helper()
	text, is := body.(string)
	if !is && body != nil {
		b, err := json.Marshal(body)
		must(r, err)
		text = string(b)
	}
	got, err := vitrine.Ask(r.c, method, r.api+path, text)
	must(r, err)
	if got.Status != status {
		r.Fatalf("%s %s %s\nwas answered %s", method, path, text, got)
	}
	if to != nil {
		must(r, json.Unmarshal([]byte(got.Body), to))
	}
}

type made struct{ ID, Id, ApiVersion string }

func (r *runner) create(name string, body any) string {
	r.Helper()
	var m made
	path := "/containers/create"
	if name != "" {
		path += "?name=" + name
	}
	r.ask(http.StatusCreated, "POST", path, body, &m)
	return max(m.Id, m.ID)
}

// stream sends a head as it is written, and then input, and gives all of the answer: the Engine ends it.
func (r *runner) stream(head, input string) string {
	r.Helper()
	c := r.dial()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, err := io.WriteString(c, head)
	must(r, err)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	must(r, err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(resp.Body)
		r.Fatalf("%s\nwas answered %s %s", head, resp.Status, text)
	}
	if input != "" {
		go func() {
			_, _ = io.WriteString(c, input)
			_ = c.(*net.UnixConn).CloseWrite()
		}()
	}
	out, err := io.ReadAll(in)
	must(r, err)
	return string(out)
}

// helperImage is the image with git and the runner's own program, which it starts beside each job.
const helperImage = "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v19.4.0"

// TestGitLabJob asks, under the page's role, for all that GitLab Runner 19.4.0 (its docker executor, executors/docker at d79f3e7b) asks for
// one job with a service, in its order and in the types in which it writes it: the job's own network, which the feature flag FF_NETWORK_PER_BUILD gives, and the default one.
// Programs of the images are others, as there are none of GitLab's here.
func TestGitLabJob(t *testing.T) {
	for name, perBuild := range map[string]bool{"default network": false, "network of the job": true} {
		t.Run(name, func(t *testing.T) { runners(t).gitlabJob(perBuild) })
	}
}

func (r *runner) gitlabJob(perBuild bool) {
	const job = "runner-t1-project-7-concurrent-0-0a1b2c3d"
	labels := func(more ...string) map[string]string {
		all := map[string]string{}
		for _, key := range []string{
			"job.id", "job.url", "job.sha", "job.before_sha", "job.ref", "job.timeout", "project.id", "project.runner_id", "pipeline.id", "runner.id", "runner.local_id", "runner.system_id", "managed",
		} {
			all["com.gitlab.gitlab-runner."+key] = "1"
		}
		for i := 0; i < len(more); i += 2 {
			all["com.gitlab.gitlab-runner."+more[i]] = more[i+1]
		}
		return all
	}
	// connectDocker
	var version made
	r.ask(http.StatusOK, "HEAD", "/_ping", nil, nil)
	r.ask(http.StatusOK, "GET", "/version", nil, &version)
	r.api = "/v" + version.ApiVersion
	r.ask(http.StatusOK, "GET", "/info", nil, nil)

	var mode container.NetworkMode
	var jobNetwork made
	if perBuild {
		mode = job + "-net"
		ipv6 := false
		r.ask(http.StatusCreated, "POST", "/networks/create", map[string]any{"Name": string(mode), "EnableIPv6": &ipv6, "Labels": labels(), "Options": map[string]string{}, "Driver": "", "Scope": "", "IPAM": nil, "Internal": false, "Attachable": false, "Ingress": false, "ConfigOnly": false, "ConfigFrom": nil}, &jobNetwork)
		jobNetwork.Id = max(jobNetwork.ID, jobNetwork.Id)
		r.ask(http.StatusOK, "GET", "/networks/"+jobNetwork.Id, nil, nil)
	}
	// An image is made of its digest, where it has one, and of its id.
	image := func(name string) (ref, id string) {
		var i struct {
			ID          string `json:"Id"`
			RepoDigests []string
		}
		r.ask(http.StatusOK, "GET", "/images/"+name+"/json", nil, &i)
		if len(i.RepoDigests) > 0 {
			return i.RepoDigests[0], i.ID
		}
		return i.ID, i.ID
	}
	helper, helperID := image(helperImage)

	r.Cleanup(func() { // of a job that failed
		out, _ := r.w.e.DockerCommand(r.w.e.Socket, "ps", "--all", "--quiet", "--filter", "name="+job).Output()
		for id := range strings.FieldsSeq(string(out)) {
			_ = r.w.e.DockerCommand(r.w.e.Socket, "rm", "--force", id).Run()
		}
	})

	// createVolumes and createBuildVolume, each with a container that opens it to all users
	binds := []string{}
	for at, name := range map[string]string{"/cache": job + "-cache-3c3f060a0374fc8bc39395164f415a70", "/builds": job + "-cache-c33bcaa1fd2c77edfc3893b41966cea8"} {
		r.ask(http.StatusCreated, "POST", "/volumes/create", map[string]any{"Name": name, "Driver": "", "DriverOpts": map[string]string{}, "Labels": labels("destination", at, "protected", "false", "reusable", "false", "type", "cache")}, nil)
		set := r.create(name+"-set-permission-0a1b2c3d", container.CreateRequest{
			Config:     &container.Config{Image: helperID, Cmd: []string{"true"}, Labels: labels("type", "cache-init")},
			HostConfig: &container.HostConfig{LogConfig: container.LogConfig{Type: "json-file"}, Binds: []string{name + ":/gitlab-runner-cache-init"}},
		})
		r.ask(http.StatusNoContent, "POST", "/containers/"+set+"/start", nil, nil)
		r.ask(http.StatusOK, "POST", "/containers/"+set+"/wait?condition=not-running", nil, nil)
		r.ask(http.StatusNoContent, "DELETE", "/containers/"+set+"?force=1", nil, nil)
		binds = append(binds, name+":"+at)
	}

	networking := func(aliases ...string) *network.NetworkingConfig {
		switch {
		case mode != "":
			return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{string(mode): {Aliases: aliases}}}
		case strings.Compare(version.ApiVersion, "1.44") < 0:
			return &network.NetworkingConfig{}
		}
		return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{network.NetworkDefault: {}}}
	}
	host := func(extra ...string) *container.HostConfig {
		return &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "no"}, ExtraHosts: extra, NetworkMode: mode, Binds: binds}
	}
	// remove: of a name, too, before a container of it is made
	remove := func(status int, ref string) {
		var all []made
		r.ask(http.StatusOK, "GET", "/networks", nil, &all)
		for _, n := range all {
			var in struct{ Containers map[string]any }
			r.ask(http.StatusOK, "GET", "/networks/"+n.Id, nil, &in)
			if _, plugged := in.Containers[ref]; plugged {
				r.ask(http.StatusOK, "POST", "/networks/"+n.Id+"/disconnect", map[string]any{"Container": ref, "Force": true}, nil)
			}
		}
		r.ask(status, "DELETE", "/containers/"+ref+"?force=1&v=1", nil, nil)
	}

	// createServices
	service, _ := image("alpine")
	name := job + "-alpine-0"
	remove(http.StatusNotFound, name)
	db := r.create(name, container.CreateRequest{
		Config:     &container.Config{Image: service, Cmd: []string{"sleep", "1000"}, Env: []string{"CI=true"}, Labels: labels("type", "service", "service", "alpine", "service.version", "latest")},
		HostConfig: host(), NetworkingConfig: networking("alpine"),
	})
	r.ask(http.StatusNoContent, "POST", "/containers/"+db+"/start", nil, nil)
	r.ask(http.StatusOK, "GET", "/containers/"+db+"/json", nil, nil)
	wait := r.create(name+"-wait-for-service", container.CreateRequest{
		Config:     &container.Config{Image: helperID, Cmd: []string{"true"}, Env: []string{"WAIT_FOR_SERVICE_TCP_ADDR=" + db[:12]}, Labels: labels("type", "wait", "wait", db)},
		HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "no"}, ExtraHosts: []string{db[:12] + ":172.17.0.2"}, NetworkMode: mode},
	})
	r.ask(http.StatusNoContent, "POST", "/containers/"+wait+"/start", nil, nil)
	r.ask(http.StatusOK, "POST", "/containers/"+wait+"/wait?condition=not-running", nil, nil)
	r.ask(http.StatusOK, "GET", "/containers/"+db+"/logs?stderr=1&stdout=1&timestamps=1", nil, nil)
	remove(http.StatusNoContent, wait)

	// Run, once for each stage: the helper's container, and the job's, are started again each time.
	containers := map[string]string{}
	for _, stage := range []string{"predefined", "predefined", "build", "predefined", "build"} {
		if containers[stage] == "" {
			of, cmd := helper, []string{"sh"}
			if stage == "build" {
				of, _ = image("alpine")
				cmd = []string{"sh", "-c", "if [ -x /usr/local/bin/bash ]; then exec /usr/local/bin/bash; else exec /bin/sh; fi"}
			}
			remove(http.StatusNotFound, job+"-"+stage)
			containers[stage] = r.create(job+"-"+stage, container.CreateRequest{
				Config: &container.Config{
					Image: of, Hostname: "runner-t1-project-7-concurrent-0", Cmd: cmd, Labels: labels("type", stage), Env: []string{"CI=true", "CI_JOB_TOKEN=hunter2"},
					AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true,
				},
				HostConfig: host("alpine:172.17.0.2"), NetworkingConfig: networking("build", job+"-"+stage),
			})
			r.ask(http.StatusOK, "GET", "/containers/"+containers[stage]+"/json", nil, nil)
		}
		id := containers[stage]
		started := make(chan struct{})
		go func() { // what is attached to does not run yet
			defer close(started)
			other := *r
			other.c = r.dial()
			r.w.p.Eventually("the attach to be there", func() error {
				for _, record := range r.w.p.Audit() {
					if strings.Contains(record.URI, id+"/attach") {
						return nil
					}
				}
				return fmt.Errorf("no record of it yet")
			})
			other.ask(http.StatusNoContent, "POST", "/containers/"+id+"/start", nil, nil)
		}()
		out := r.stream("POST "+r.api+"/containers/"+id+"/attach?stderr=1&stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: moby-client\r\nContent-Length: 0\r\nConnection: Upgrade\r\nContent-Type: text/plain\r\nUpgrade: tcp\r\n\r\n", "echo stage-$((1+1))\n")
		<-started
		if !strings.Contains(out, "stage-2") {
			r.Errorf("the script of a stage answers %q", out)
		}
		if stage == "build" { // it has ended by itself, mostly
			got, err := vitrine.Ask(r.c, "POST", r.api+"/containers/"+id+"/exec", `{"AttachStdout":true,"AttachStderr":true,"Cmd":["sh","-c","kill -TERM 1"]}`)
			if must(r, err); got.Status != http.StatusConflict && got.Status != http.StatusCreated {
				r.Errorf("an exec: %s", got)
			}
		}
		got, err := vitrine.Ask(r.c, "POST", r.api+"/containers/"+id+"/stop", "")
		if must(r, err); got.Status != http.StatusNotModified && got.Status != http.StatusNoContent {
			r.Errorf("stop: %s", got)
		}
		r.ask(http.StatusOK, "POST", "/containers/"+id+"/wait?condition=not-running", nil, nil)
	}
	r.alone(containers["build"])

	// Cleanup
	for _, id := range []string{containers["predefined"], containers["build"], db} {
		remove(http.StatusNoContent, id)
	}
	for _, bind := range binds {
		volume, _, _ := strings.Cut(bind, ":")
		r.ask(http.StatusNoContent, "DELETE", "/volumes/"+volume+"?force=1", nil, nil)
	}
	if perBuild {
		r.ask(http.StatusOK, "GET", "/networks/"+jobNetwork.Id, nil, nil)
		r.ask(http.StatusNoContent, "DELETE", "/networks/"+jobNetwork.Id, nil, nil)
	}
}

// alone: the other runner neither sees what this one made, nor gets into it.
func (r *runner) alone(id string) {
	r.Helper()
	for _, asked := range []struct{ method, path string }{{"GET", "/json"}, {"GET", "/logs?stdout=1"}, {"POST", "/start"}, {"DELETE", "?force=1"}} {
		if got := r.w.ask("unix:"+r.neighbour, asked.method, "/containers/"+id+asked.path, ""); got.Status != http.StatusNotFound {
			r.Errorf("the other runner: %s %s: %s", asked.method, asked.path, got)
		}
	}
	if got := r.w.ask("unix:"+r.neighbour, "GET", "/containers/json?all=1", ""); strings.Contains(got.Body, id) {
		r.Errorf("the other runner sees %s", got)
	}
}

// TestJenkinsAgent asks, under the page's role, for all that Jenkins' docker-plugin 2fbbdf97 asks for one agent that it attaches to, with
// docker-java 002b6eb7 below it: that writes every field that there is, and null in most. The start of the exec the plugin writes itself, with lines that end without a return.
func TestJenkinsAgent(t *testing.T) {
	r := runners(t)
	var version made
	r.ask(http.StatusOK, "GET", "/version", nil, &version)
	filters := url.QueryEscape(`{"label":["com.nirima.jenkins.plugins.docker.JenkinsId=0a1b","com.nirima.jenkins.plugins.docker.JenkinsTemplateName=agent"]}`)
	r.ask(http.StatusOK, "GET", "/containers/json?filters="+filters, nil, nil)
	r.ask(http.StatusOK, "GET", "/images/alpine:latest/json", nil, nil)
	body, err := os.ReadFile("testdata/docker-java-create.json")
	must(t, err)
	id := r.create("", string(bytes.TrimSpace(body)))
	r.ask(http.StatusNoContent, "POST", "/containers/"+id+"/start", nil, nil)
	r.ask(http.StatusOK, "GET", "/containers/"+id+"/json", nil, nil)
	r.archive(id)
	var exec made
	r.ask(http.StatusCreated, "POST", "/containers/"+id+"/exec", `{"containerId":"`+id+`","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Tty":false,"Privileged":null,"User":"root","Cmd":["cat"],"Env":null,"WorkingDir":null}`, &exec)
	r.ask(http.StatusOK, "GET", "/version", nil, nil)
	const start = `{ "Detach": false, "Tty": false }`
	out := r.stream("POST /v"+version.ApiVersion+"/exec/"+exec.Id+"/start HTTP/1.1\nHost: docker.sock\nContent-Type: application/json\nUpgrade: tcp\nConnection: Upgrade\nContent-Length: "+fmt.Sprint(len(start))+"\n\n"+start+"\n", "remoting\n")
	if !strings.Contains(out, "remoting") {
		t.Errorf("the agent answers %q", out)
	}
	r.alone(id)
	r.ask(http.StatusNoContent, "POST", "/containers/"+id+"/stop?t=0", nil, nil)
	r.ask(http.StatusNoContent, "DELETE", "/containers/"+id+"?v=true&force=false", nil, nil)
}

// archive copies agent.jar into the agent: an empty archive, here.
func (r *runner) archive(id string) {
	r.Helper()
	c := r.dial()
	tar := make([]byte, 1024)
	_, err := fmt.Fprintf(c, "PUT /containers/%s/archive?path=%%2Ftmp&noOverwriteDirNonDir=false&copyUIDGID=false HTTP/1.1\r\nHost: localhost:2375\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", id, len(tar), tar)
	must(r, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(r, err)
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		r.Fatalf("the archive was answered %s %s", resp.Status, text)
	}
}
