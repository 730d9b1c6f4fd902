package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/moby/client"
	"github.com/tonistiigi/fsutil"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const tenantsData = `
roles:
  tenant:
    access: [ping, list, inspect]
    hazards: [env]
    own: true
    shared: {images: [bb]}
    image_names: ["ci/$owner/*"]
  buildkit:
    operations: [ImageBuild, Session]
    hazards: [env, outbound, buildkit]
    own: true
    shared: {images: ["*"]}
    image_names: ["ci/$owner/*"]
  classic: {access: [ping, build], hazards: [env, outbound]}
bindings:
  admin: ["unix:root", "local"]
  tenant: ["uid:4311", "uid:4312"]
  buildkit: ["uid:4311", "uid:4312"]
  classic: ["uid:4313"]
`

// builder is a caller that builds by way of /session.
type builder struct {
	*testing.T
	docker *client.Client
	http   *http.Client
	names  string // of images of its own
}

func builderOf(t *testing.T, p *vitrine.Process, uid int) *builder {
	t.Helper()
	user := vitrine.As(t, uid)
	dial := func(context.Context, string, string) (net.Conn, error) { return user.Dial(p.Socket) }
	docker, err := client.New(client.WithHost("unix://"+p.Socket), client.WithDialContext(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = docker.Close() })
	return &builder{t, docker, &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: wait.Patience(time.Minute)}, fmt.Sprintf("ci/uid_%d/", uid)}
}

// opens opens a session that serves a context with a file, and a secret; id is its own if it is to have no other. It returns when the session is
// open, or is refused.
func (b *builder) opens(id, key, content string) (string, error) {
	b.Helper()
	dir := b.TempDir()
	file := filepath.Join(dir, "file")
	dockerfile := "FROM bb:1\nCOPY file /file\nRUN --mount=type=secret,id=word cat /file /run/secrets/word >/copy\n"
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644),
		os.WriteFile(file, []byte(content), 0o644),
		os.Chtimes(file, time.Unix(1e9, 0), time.Unix(1e9, 0)), // so that only its content tells it from another's
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	s, err := session.NewSession(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	fs, err := fsutil.NewFS(dir)
	if err != nil {
		b.Fatal(err)
	}
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": fs, "dockerfile": fs}))
	s.Allow(secretsprovider.FromMap(map[string][]byte{"word": []byte(" of " + content)}))
	if id == "" {
		id = s.ID()
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	opened, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			meta["X-Docker-Expose-Session-Uuid"] = []string{id}
			conn, err := b.docker.DialHijack(ctx, "/session", proto, meta)
			opened <- err
			return conn, err
		})
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	return id, <-opened
}

// builds asks for a build, and says what came of it.
func (b *builder) builds(query string) (status int, answer string) {
	b.Helper()
	res, err := b.http.Post("http://docker/build?"+query, "application/x-tar", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func in(session, name string) string {
	return "version=2&nocache=1&remote=client-session&session=" + session + "&t=" + url.QueryEscape(name)
}

// TestSessionsOfTenants: each builds with BuildKit from its own files and secrets, and has an image of its own. Another's session it does not
// come by, whatever name or shared key it gives its own.
func TestSessionsOfTenants(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: tenantsData})
	p.Plug(nil)
	one, other, classic := builderOf(t, p, 4311), builderOf(t, p, 4312), builderOf(t, p, 4313)
	built := func(b *builder, session, name, want string) {
		t.Helper()
		if status, text := b.builds(in(session, name)); status != http.StatusOK || strings.Contains(text, "errorDetail") {
			t.Errorf("%s: %d %s", name, status, text)
		} else if got := e.Docker("run", "--rm", "--network", "none", name, "cat", "/copy"); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}

	mine, err := one.opens("", "key", "mine")
	if err != nil {
		t.Fatal(err)
	}
	built(one, mine, one.names+"app:1", "mine of mine")
	var image struct{ Config struct{ Labels map[string]string } }
	if err := json.Unmarshal([]byte(e.Docker("image", "inspect", "--format", "{{json .}}", one.names+"app:1")), &image); err != nil {
		t.Fatal(err)
	}
	if owner, given := image.Config.Labels["vitrine.owner"]; !given || owner != "" || image.Config.Labels["vitrine.built-by"] != "uid:4311" {
		t.Errorf("it is labelled %v", image.Config.Labels)
	}
	for b, want := range map[*builder]bool{one: true, other: false} {
		if _, err := b.docker.ImageInspect(t.Context(), one.names+"app:1"); (err == nil) != want {
			t.Errorf("%s* sees it: %v", b.names, err)
		}
	}

	// It names the session of another: there is none. BuildKit waits some seconds for one.
	if status, text := other.builds(in(mine, other.names+"taken:1")); status == http.StatusOK && !strings.Contains(text, "errorDetail") {
		t.Errorf("built in another's session: %d %s", status, text)
	}
	// It opens one by that name, and with that shared key: it is another one, of its own files.
	if _, err := other.opens(mine, "key", "hers"); err != nil {
		t.Fatal(err)
	}
	built(other, mine, other.names+"app:1", "hers of hers")
	built(one, mine, one.names+"app:2", "mine of mine")

	for name, query := range map[string]string{
		"another's name":      in(mine, other.names+"app:1"),
		"the cache":           strings.Replace(in(mine, one.names+"app:3"), "nocache=1", "nocache=0", 1),
		"an image of outputs": in(mine, one.names+"app:3") + "&outputs=" + url.QueryEscape(`[{"Type":"image","Attrs":{"name":"bb:1"}}]`),
	} {
		if status, text := one.builds(query); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if _, err := classic.opens("", "", "x"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a role without the hazard opened a session: %v", err)
	}
	if status, text := classic.builds("version=2&t=x"); status != http.StatusForbidden || !strings.Contains(text, "buildkit") {
		t.Errorf("a role without the hazard built with BuildKit: %d %s", status, text)
	}
	if _, err := one.docker.DialHijack(t.Context(), "/grpc", "h2c", nil); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("/grpc of a role ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(e.Dir, "state/docker/cli-plugins/docker-buildx")); errors.Is(err, os.ErrNotExist) { // with it the command line builds by /grpc
		cmd := as(e.DockerCommand(p.Socket, "build", "--no-cache", "--tag", one.names+"cli:1", folder(t)), 4311)
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1", "DOCKER_CONFIG="+config(t, e))
		run(t, cmd)
		if got := e.Docker("run", "--rm", one.names+"cli:1", "cat", "/copy"); got != "content" {
			t.Errorf("docker build's image has %q", got)
		}
	}
}
