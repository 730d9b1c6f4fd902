package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/test/engine"
)

// docker is a step of its command line; FOLDER stands for the session's folder.
func docker(line string, input ...string) step {
	return step{name: line, input: strings.Join(input, ""), cmd: func(s *session) *exec.Cmd {
		args := strings.Split(strings.ReplaceAll(line, "FOLDER", s.folder), " ")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		cmd := exec.Command(s.cli, append([]string{"--host", "unix://" + s.rec.socket}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=" + s.folder + "/config", "DOCKER_BUILDKIT=0", "TZ=UTC"}
		return cmd
	}}
}

// dockerSteps are what the command line does, from a first look to an empty Engine again. (_ is a space within a word.)
func dockerSteps() (steps []step) {
	for _, line := range []string{
		"version", "info", "ps --all", "images --all", "system df", "network ls", "volume ls", "plugin ls", "node ls", "secret ls", "context ls",
		"build --tag cli:1 --tag cli:2 --build-arg WHO=you --label x=y --no-cache FOLDER/context",
		"build --tag cli:3 --file FOLDER/Outside FOLDER/context",
		"build --quiet --network none --add-host h:127.0.0.1 --memory 64m --shm-size 1m --target= FOLDER/context",
		"build FOLDER/bad",
		"history cli:1", "tag cli:1 other:1", "image inspect cli:1",
		"network create --label a=b --subnet 172.30.0.0/24 net", "network inspect net",
		"volume create --label a=b vol", "volume inspect vol",
		"run --rm --name one bb:1 echo hello", "run --name two bb:1 sh -c echo_out;_echo_err_>&2;_exit_3", "run --name three bb:1 nosuch",
		"run --rm --name four --env A=b --label a=b --user 7 --workdir /tmp --hostname h --add-host x:127.0.0.1 --dns 127.0.0.1 --cap-add NET_ADMIN --cap-drop CHOWN " +
			"--tmpfs /t --read-only --init --memory 64m --cpu-shares 100 --pids-limit 50 --ulimit nofile=64 --sysctl net.ipv4.ip_forward=1 --security-opt no-new-privileges " +
			"--network net --network-alias a --ip 172.30.0.9 --volume vol:/v --mount type=bind,source=/etc,target=/h,readonly --log-opt max-size=1m --shm-size 1m bb:1 id",
		"run --detach --name web --publish 127.0.0.1:0:80 --restart on-failure:2 --health-cmd true --health-interval 1h bb:1 sh -c echo_up;_sleep_1000",
		"create --name idle bb:1 true", "start idle", "start --attach two", "start nosuch",
		"ps", "ps --all --size --filter name=web --format {{.Names}}", "inspect web", "inspect --size web", "inspect nosuch", "port web", "top web", "stats --no-stream web", "logs web", "logs --tail 1 --timestamps web", "logs two", "diff web",
		"exec web echo in", "exec web sh -c exit_9", "exec --detach web true", "exec --env A=b --user 7 --workdir /tmp web env", "exec --privileged web id -u", "exec nosuch true", "exec web nosuch",
		"cp FOLDER/context/file web:/tmp/file", "cp web:/tmp/file -", "cp web:/nosuch -",
		"network connect --alias z net web", "network disconnect net web", "network connect nosuch web",
		"update --memory 32m --memory-swap 32m web", "rename web web2", "pause web2", "exec web2 true", "unpause web2", "kill --signal USR1 web2", "restart --time 0 web2",
		"commit --author me --message m --change ENV_X=y web2 committed:1", "export --output FOLDER/export.tar web2", "import --change CMD_x FOLDER/export.tar imported:1",
		"save --output FOLDER/save.tar cli:1 other:1", "load --input FOLDER/save.tar", "load --input FOLDER/Outside",
		"stop --time 0 web2", "wait web2", "events --since 0 --until 1", "pull 127.0.0.1:9/none", "push 127.0.0.1:9/none", "search 127.0.0.1:9/none", "run --rm --name five --volume /nosuch:rw:rw bb:1 true",
		"rm web2", "rm --force --volumes two three idle", "rm nosuch", "rmi cli:1 cli:2 cli:3 other:1 committed:1 imported:1", "rmi nosuch",
		"network rm net", "volume rm vol", "container prune --force", "image prune --force", "network prune --force", "volume prune --force", "builder prune --force", "system prune --force --all --filter label=none", "images", "ps --all",
	} {
		steps = append(steps, docker(line))
	}
	after := func(name string, more ...step) {
		for i, s := range steps {
			if s.name == name {
				steps = append(steps[:i+1:i+1], append(more, steps[i+1:]...)...)
				return
			}
		}
	}
	after("exec web echo in", docker("exec --interactive web cat", "typed\n"))
	after("run --rm --name one bb:1 echo hello", docker("run --rm --interactive --name cat bb:1 cat", strings.Repeat("typed\n", 1000)))
	after("cp web:/nosuch -", docker("build --tag stdin:1 -", "FROM bb:1\nRUN true\n"), docker("rmi stdin:1"))
	after("login", docker("login"))
	return steps
}

// ownCompose is the compose 2 that came with an engine, if one did.
func ownCompose(e *engine.Engine) (program string, ok bool) {
	program = filepath.Join(e.Dir, "state/docker/cli-plugins/docker-compose")
	return program, exists(program)
}

// otherSteps are those of python3-docker and docker-compose: the distribution's, or the one that came with the engine.
func otherSteps(t *testing.T, e *engine.Engine) []step {
	t.Helper()
	program, flags, built := "docker-compose", []string{"--no-ansi"}, "proj_built_1" // 1
	if own, ok := ownCompose(e); ok {
		program, flags, built = own, []string{"--ansi=never", "--progress=plain"}, "proj-built-1" // 2
	}
	compose := func(file string, args ...string) step {
		return step{name: "docker-compose " + file + " " + strings.Join(args, " "), cmd: func(s *session) *exec.Cmd {
			cmd := exec.Command(program, append(slices.Concat(flags, []string{"--file", s.folder + "/compose/" + file}), args...)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_CONFIG=" + s.folder + "/config", "DOCKER_HOST=unix://" + s.rec.socket, "COMPOSE_PARALLEL_LIMIT=1", "DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0"}
			return cmd
		}}
	}
	one := func(args ...string) step {
		return compose("compose.yaml", append([]string{"--project-name", "proj"}, args...)...)
	}
	two := func(args ...string) step { return compose("two.yaml", args...) }
	steps := []step{
		{name: "python3-docker", coarse: true, cmd: func(s *session) *exec.Cmd {
			return exec.Command("/usr/bin/python3", "testdata/session.py", s.rec.socket)
		}},
		one("config"), one("build"), one("up", "--detach"), docker("wait " + built), one("ps"), one("images"), one("logs", "built"), one("exec", "-T", "web", "echo", "in"),
		one("run", "--rm", "-T", "--name", "onerun", "built", "echo", "ran"), one("top"), one("port", "web", "80"),
		one("up", "--detach", "--force-recreate", "web"),
		one("restart", "--timeout", "0", "web"), one("pause"), one("unpause"), one("kill", "web"), one("stop"), one("rm", "--force", "built"), one("down", "--volumes", "--rmi", "local"),
		docker("rmi compose-built:1"), // which 2 leaves, as it has a name
	}
	if len(flags) == 1 {
		return steps
	}
	return append(steps, // what 1 cannot read
		two("config"), two("build"), two("up", "--detach"), two("ps", "--all"), two("ls"), two("logs", "db"), two("exec", "-T", "web", "cat", "/settings", "/who"),
		two("cp", "web:/who", "-"), two("--profile", "tools", "run", "--rm", "-T", "tool"), two("stats", "--no-stream", "--format", "{{.Name}}", "web"), two("volumes"), two("images"),
		two("up", "--detach", "--scale", "db=2"), two("restart", "--timeout", "0", "db"), two("up", "--detach", "--force-recreate", "--no-deps", "web"), two("events", "--since", "0", "--until", "1"),
		two("down", "--volumes", "--timeout", "0"), two("ls", "--all"), docker("rmi two-built:1"))
}
