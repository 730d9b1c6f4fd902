package buildkit

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bk "github.com/moby/buildkit/client"
	"github.com/moby/moby/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"vitrine/test/engine"
	"vitrine/test/vitrine"
	"vitrine/test/wait"
)

const builderUID = 4202

const policyData = `
roles:
  builder: {access: [ping, list, inspect, build], hazards: [outbound]}
bindings:
  admin: ["unix:root", "local"]
  builder: ["uid:4202"]
`

func TestMain(m *testing.M) {
	vitrine.Main()
	os.Exit(m.Run())
}

// dial is how one caller reaches a socket.
type dial func(ctx context.Context, address string) (net.Conn, error)

// TestBuilds shares an engine: no step depends on another one's images.
func TestBuilds(t *testing.T) {
	e := engine.Start(t, engine.Options{})
	if err := e.ImportBusybox(); err != nil {
		t.Fatal(err)
	}
	p := vitrine.Start(t, vitrine.Options{Engine: e, Data: policyData})
	p.Plug(nil)
	builder := vitrine.As(t, builderUID)
	for name, d := range map[string]dial{
		"admin":   func(context.Context, string) (net.Conn, error) { return net.Dial("unix", p.Socket) },
		"builder": func(context.Context, string) (net.Conn, error) { return builder.Dial(p.Socket) },
	} {
		t.Run("gRPC first, then /grpc, as "+name, func(t *testing.T) { fallBack(t, p, d, name == "admin") })
	}
	t.Run("docker build as admin", func(t *testing.T) { build(t, e, p, 0, "DOCKER_BUILDKIT=1", "build") })
	t.Run("docker buildx build as admin", func(t *testing.T) {
		if _, err := os.Stat(filepath.Join(e.Dir, "state/docker/cli-plugins/docker-buildx")); err != nil {
			t.Skip("this engine's packages have no buildx; VITRINE_ENGINE=28 has")
		}
		build(t, e, p, 0, "", "buildx", "build", "--builder", "default", "--load")
	})
	t.Run("docker build of a role is refused", func(t *testing.T) { refused(t, e, p) })
	t.Run("classic docker build of a role", func(t *testing.T) { build(t, e, p, builderUID, "DOCKER_BUILDKIT=0", "build") })
	t.Run("build by the API of a role", func(t *testing.T) { buildByAPI(t, e, p, builder) })
}

// fallBack does what a client does that speaks gRPC first: it must be told at once, and as by an engine that speaks none,
// that there is no gRPC; never that it may not (from which buildx would not fall back). Then it asks for /grpc.
func fallBack(t *testing.T, p *vitrine.Process, d dial, admin bool) {
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience(20*time.Second))
	defer cancel()
	before := len(p.Audit())
	native, err := bk.New(ctx, "", bk.WithContextDialer(d))
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close()
	_, err = native.Info(ctx)
	if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
		t.Errorf("native gRPC ended with %v (%v), want it unavailable", err, ctx.Err())
	}
	p.Eventually("the record of the refusal", func() error {
		for _, r := range p.Audit()[before:] {
			if why := strings.Join(r.Reasons, " "); !r.Allow && strings.Contains(why, "HTTP/2 is not accepted") && strings.Contains(why, "DOCKER_BUILDKIT=0") {
				return nil
			}
		}
		return fmt.Errorf("not among %+v", p.Audit()[before:])
	})

	docker, err := client.New(client.WithHost("unix://"+p.Socket), client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { return d(ctx, "") }))
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	_, err = docker.DialHijack(ctx, "/grpc", "h2c", nil)
	if !admin {
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("/grpc of a role ended with %v, want it refused", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	hijacked, err := bk.New(ctx, "", bk.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return docker.DialHijack(ctx, "/grpc", "h2c", nil)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer hijacked.Close()
	workers, err := hijacked.ListWorkers(ctx)
	if err != nil || len(workers) == 0 {
		t.Errorf("BuildKit by /grpc has workers %v, %v", workers, err)
	}
}

// folder is a context that every user may read.
func folder(t *testing.T) string {
	t.Helper()
	dir := vitrine.OpenDir(t)
	for name, text := range map[string]string{"Dockerfile": "FROM bb:1\nCOPY file /file\nRUN cp /file /copy\n", "file": "content\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build builds an image with the command line and runs it.
func build(t *testing.T, e *engine.Engine, p *vitrine.Process, uid uint32, env string, args ...string) {
	e = e.For(t)
	image := fmt.Sprintf("%s:%d", args[0], uid)
	cmd := as(e.DockerCommand(p.Socket, append(args, "--tag", image, folder(t))...), uid)
	if env != "" {
		cmd.Env = append(cmd.Env, env)
	}
	run(t, cmd)
	if got := e.Docker("run", "--rm", image, "cat", "/copy"); got != "content" {
		t.Errorf("the image has %q", got)
	}
}

// as makes a command another user's.
func as(cmd *exec.Cmd, uid uint32) *exec.Cmd {
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		cmd.Dir = "/"
	}
	return cmd
}

// config is a folder of the user's own for the command line, with the engine's plugins.
func config(t *testing.T, e *engine.Engine) string {
	t.Helper()
	dir := folder(t)
	plugins, err := filepath.EvalSymlinks(filepath.Join(e.Dir, "state/docker/cli-plugins"))
	if err == nil { // 20.10 has none
		err = os.Symlink(plugins, filepath.Join(dir, "cli-plugins"))
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, os.Chown(dir, builderUID, builderUID)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// refused: who may build and is no admin cannot by BuildKit.
func refused(t *testing.T, e *engine.Engine, p *vitrine.Process) {
	cmd := as(e.DockerCommand(p.Socket, "build", "--tag", "evil:1", folder(t)), builderUID)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1", "DOCKER_CONFIG="+config(t, e))
	out, err := cmd.CombinedOutput()
	// 20.10 says that it got a 403; buildx that it may not start, or look for, a builder of its own in a container.
	if said := string(out); err == nil || !strings.Contains(said, "403") && !strings.Contains(said, "vitrine: uid:4202 may not") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := e.For(t).Docker("images", "--quiet", "evil"); got != "" {
		t.Errorf("the image was built: %s", got)
	}
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stop := time.AfterFunc(wait.Patience(time.Minute), func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

func buildByAPI(t *testing.T, e *engine.Engine, p *vitrine.Process, user *vitrine.User) {
	var archive bytes.Buffer
	file := "FROM bb:1\nRUN echo content >/copy\n"
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(file))})
	_, _ = io.WriteString(w, file)
	_ = w.Close()
	asking := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return user.Dial(p.Socket) }}}
	res, err := asking.Post("http://docker/build?t=api:1", "application/x-tar", &archive)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(out), "Successfully tagged api:1") {
		t.Fatalf("%s %v\n%s", res.Status, err, out)
	}
	if got := e.For(t).Docker("run", "--rm", "api:1", "cat", "/copy"); got != "content" {
		t.Errorf("the image has %q", got)
	}
}
