#!/usr/bin/env bash
# Starts a Docker Engine of its own, for the demo and the tests, without touching the machine's: own folders, mount and
# network namespace, cgroup, and process list. Several can run side by side. Needs root and what setup.sh installs.
#
#   engine.sh start DIR [dockerd flag...]   make the namespaces if need be, start dockerd, wait until it answers
#   engine.sh term|kill|hup DIR             SIGTERM (and wait), SIGKILL or SIGHUP for dockerd; the namespaces stay
#   engine.sh exec DIR command...           run a command inside the namespaces
#   engine.sh docker DIR argument...        the engine's own docker command line, asking this engine
#   engine.sh busybox DIR [IMAGE [FILE...]] make the image bb:1 out of busybox-static, as nothing can be pulled; or
#                                           IMAGE, with these programs and their libraries in it
#   engine.sh registry DIR [PORT]           a registry on 127.0.0.1:PORT (5000) of the network namespace
#   engine.sh status DIR                    what runs, of which versions; exit status 0 if dockerd does
#   engine.sh versions DIR                  which dockerd, API, image store and command line these are
#   engine.sh stop DIR                      kill all of it and remove what start made; DIR too if nothing else is in it
#
# Inside the namespaces DIR/run is /run and DIR/etc is /etc, so every default path holds there, and from outside the
# same sockets are DIR/run/docker.sock and so on. Put daemon.json in DIR/etc/docker before start. /opt and
# /var/lib are empty tmpfs (containerd makes a folder in the one, our state is in the other). DIR must be short: a socket's path has 107 bytes.
#
# VITRINE_ENGINE chooses another engine than the installed one, with its own command line, buildx and compose: 20, 26, 28,
# or 28c, which is 28 with containerd's image store. scripts/engines.sh fetches them.
#
# With ENGINE_OWNER set to a process id at start, the engine is stopped when that process ends, however it ends.
#
# A process named "holder" keeps the namespaces when dockerd is killed. All that dockerd starts, managed plugins too,
# lies in the cgroup /vitrine-<random>: dockerd in its child "daemon", because a plugin's cgroup is relative to dockerd's.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin

die() { printf 'engine: %s\n' "$*" >&2; exit 1; }

usage() { sed -n '5,14s/^# \{0,3\}//p' "$0" >&2; exit 2; }

# patience SECONDS: three times as many, and more on a busy machine (see test/wait).
patience() { awk -v s="$1" -v n="$(nproc)" '{m = 1 + $1 / n; print int(3 * s * (m < 10 ? m : 10))}' /proc/loadavg; }

# choose puts the programs of VITRINE_ENGINE in front of PATH.
choose() {
	local folder
	case ${VITRINE_ENGINE:-} in
	'') return ;;
	20) if [[ "$(dockerd --version 2>/dev/null)" == *" 20.10."* ]]; then return; fi ;;
	esac
	folder=$("$(dirname "$script")/engines.sh" path "$VITRINE_ENGINE") ||
		die "the engine $VITRINE_ENGINE is not there: scripts/engines.sh ${VITRINE_ENGINE%c} fetches it"
	PATH=$folder/bin:$PATH
}

# link_client makes DIR/state/bin/docker the engine's command line, which tests use too, with the plugins that came with it.
link_client() {
	local dockerd cli=/usr/bin/docker
	dockerd=$(command -v dockerd)
	if [ -x "${dockerd%/*}/docker" ]; then cli=${dockerd%/*}/docker; fi
	[ -x "$cli" ] || cli=$(command -v docker) || die "the command line docker is missing; scripts/setup.sh installs it"
	mkdir -p "$dir/state/bin"
	ln -sf "$cli" "$dir/state/bin/docker"
	if [ -d "${cli%/bin/*}/cli-plugins" ]; then ln -sfn "${cli%/bin/*}/cli-plugins" "$dir/state/docker/cli-plugins"; fi
}

# running PID: it exists and is no zombie.
running() { [[ "$(sed -n 's/^State:\s*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)" =~ ^[^ZX]$ ]]; }

# holder prints the holder's pid, if it is still the process that we started.
holder() {
	local pid ns
	read -r pid ns 2>/dev/null <"$dir/state/holder" || return 1
	[ "$(readlink "/proc/$pid/ns/mnt")" = "$ns" ] && echo "$pid"
}

daemon() {
	local pid
	pid=$(cat "$dir/state/dockerd" 2>/dev/null) && running "$pid" && inside "$pid" && echo "$pid"
}

inside() { [ "$(readlink "/proc/$1/ns/mnt" 2>/dev/null)" = "$(cut -d' ' -f2 "$dir/state/holder" 2>/dev/null)" ]; }

# cgroup_mounts prints the mount point of every cgroup hierarchy.
cgroup_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts; }

make_cgroups() {
	local mount name=$1 file
	while read -r mount; do
		mkdir -p "$mount/$name/daemon"
		[ -e "$mount/cgroup.clone_children" ] || continue # a new v1 cpuset is empty, and takes no process
		for file in cpuset.cpus cpuset.mems; do
			[ -e "$mount/$file" ] || continue
			cat "$mount/$file" >"$mount/$name/$file"
			cat "$mount/$file" >"$mount/$name/daemon/$file"
		done
	done < <(cgroup_mounts)
}

enter_cgroups() {
	local mount
	while read -r mount; do echo 0 >"$mount/$1/daemon/cgroup.procs"; done < <(cgroup_mounts)
}

# remove_cgroups removes our folders from every hierarchy, deepest first, and tells whether all are gone.
remove_cgroups() {
	local mount folder left=0
	while read -r mount; do
		for folder in $(cgroup_folders); do
			if [ -d "$mount/$folder" ]; then find "$mount/$folder" -depth -type d -exec rmdir {} + 2>/dev/null; fi
			if [ -d "$mount/$folder" ]; then left=1; fi
		done
	done < <(cgroup_mounts)
	return $left
}

# cgroup_folders prints ours: the engine's, and those of its plugins, which runc puts at the top of a hybrid's v2 tree.
cgroup_folders() {
	cat "$dir/state/cgroup" 2>/dev/null || true
	find "$dir/data/plugins" -mindepth 1 -maxdepth 1 -regex '.*/[0-9a-f]*' -printf '%f\n' 2>/dev/null || true
}

# members prints every process of this engine: those in its cgroup, and those in its mount namespace.
members() {
	local mount folder pid holder_ns
	while read -r mount; do
		for folder in $(cgroup_folders); do
			find "$mount/$folder" -name cgroup.procs -exec cat {} + 2>/dev/null || true
		done
	done < <(cgroup_mounts)
	# The kernel gives the number of a namespace that has ended to the next one: it is ours only while the holder is there.
	pid=$(holder) || return 0
	holder_ns=$(readlink "/proc/$pid/ns/mnt")
	find /proc -maxdepth 3 -path '/proc/[0-9]*/ns/mnt' -lname "${holder_ns/[/\\[}" 2>/dev/null | cut -d/ -f3
}

# etc fills DIR/etc with what programs need of /etc, and nothing secret.
etc() {
	local name
	mkdir -p "$dir/etc/docker"
	for name in passwd group hosts resolv.conf nsswitch.conf protocols services ethertypes localtime ld.so.cache \
		ld.so.conf ld.so.conf.d alternatives ssl ca-certificates ca-certificates.conf mime.types os-release; do
		[ -e "$dir/etc/$name" ] || [ ! -e "/etc/$name" ] || cp -a "/etc/$name" "$dir/etc/$name"
	done
	rm -rf "$dir/etc/ssl/private"
	[ -e "$dir/etc/docker/daemon.json" ] || echo '{}' >"$dir/etc/docker/daemon.json"
}

make_namespaces() {
	local pid
	case $dir/ in
	/run/* | /var/run/* | /etc/* | /opt/* | /var/lib/*) die "$dir is hidden inside the namespaces; take a folder under /tmp" ;;
	esac
	[ ${#dir} -le 50 ] || die "the path $dir is too long for the sockets below it (at most 50 bytes)"
	mkdir -p "$dir/run" "$dir/data" "$dir/state/docker"
	chmod 0755 "$dir" "$dir/run" # an unprivileged user must reach the gateway's socket
	etc
	cgroup=vitrine-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
	echo "$cgroup" >"$dir/state/cgroup"
	make_cgroups "$cgroup"
	# shellcheck disable=SC2016 # expanded by the inner shell
	setsid unshare --mount --net --propagation private bash -c '
		mount -n --bind "$0/run" /run && mount -n --bind "$0/etc" /etc && mount -n -t tmpfs -o mode=0755 tmpfs /opt &&
		mount -n -t tmpfs -o mode=0755 tmpfs /var/lib &&
		ip link set lo up && mount -n --make-rshared / &&
		: >"$0/state/ready" && exec sleep infinity
	' "$dir" </dev/null >"$dir/state/holder.log" 2>&1 &
	pid=$!
	until [ -e "$dir/state/ready" ]; do
		running "$pid" || die "making the namespaces failed: $(cat "$dir/state/holder.log")"
		sleep 0.02
	done
	echo "$pid $(readlink "/proc/$pid/ns/mnt")" >"$dir/state/holder"
}

# watch_owner stops the engine when its owner is gone.
watch_owner() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	setsid bash -c 'while [ -e "/proc/$1" ] && [ -d "$2/state" ]; do sleep 1; done; [ ! -d "$2/state" ] || "$0" stop "$2"' \
		"$script" "$ENGINE_OWNER" "$dir" </dev/null >/dev/null 2>&1 &
	echo $! >"$dir/state/watcher"
}

enter() {
	local pid
	pid=$(holder) || die "no engine in $dir"
	# shellcheck disable=SC2016 # expanded by the inner shell
	exec nsenter --target "$pid" --mount --net -- sh -c 'cd "$0" 2>/dev/null; exec "$@"' "$PWD" "$@"
}

start() {
	local pid deadline
	choose
	command -v dockerd >/dev/null || die "dockerd is missing; scripts/setup.sh installs it"
	! daemon >/dev/null || die "already running in $dir"
	if ! holder >/dev/null; then
		make_namespaces
		[ -z "${ENGINE_OWNER:-}" ] || watch_owner
	fi
	cgroup=$(cat "$dir/state/cgroup")
	forget_the_dead
	link_client
	# dockerd takes no setting twice
	if [ "${VITRINE_ENGINE:-}" = 28c ] && ! grep -q containerd-snapshotter "$dir/etc/docker/daemon.json"; then
		set -- --feature containerd-snapshotter=true "$@"
	fi
	(
		enter_cgroups "$cgroup"
		pid=$(holder)
		exec setsid nsenter --target "$pid" --mount --net -- dockerd --data-root "$dir/data" --exec-root /run/docker \
			--pidfile /run/dockerd.pid --host unix:///run/docker.sock --exec-opt native.cgroupdriver=cgroupfs \
			--cgroup-parent "/$cgroup" "$@"
	) </dev/null >>"$dir/dockerd.log" 2>&1 &
	pid=$!
	echo "$pid" >"$dir/state/dockerd"
	deadline=$((SECONDS + $(patience "${ENGINE_WAIT:-60}")))
	until curl -s -o /dev/null --max-time 5 --unix-socket "$dir/run/docker.sock" http://docker/_ping; do
		running "$pid" || die "dockerd did not start; the end of $dir/dockerd.log:
$(tail -n 8 "$dir/dockerd.log")"
		[ $SECONDS -lt $deadline ] || die "dockerd does not answer; see $dir/dockerd.log"
		sleep 0.05
	done
	echo "$dir/run/docker.sock"
}

# forget_the_dead removes what a killed dockerd left: it would take the pid of a zombie for a running process.
forget_the_dead() {
	local containerd=$dir/run/docker/containerd/containerd.pid deadline=$((SECONDS + $(patience 5)))
	rm -f "$dir/run/docker.sock" "$dir/run/dockerd.pid"
	[ -e "$containerd" ] || return 0
	# Its containerd was to die with it.
	while running "$(cat "$containerd")" && [ $SECONDS -lt $deadline ]; do sleep 0.02; done
	rm -f "$containerd"
}

signal() {
	local pid
	pid=$(daemon) || die "dockerd does not run in $dir"
	kill -s "$1" "$pid"
	[ "$1" = HUP ] || while running "$pid"; do sleep 0.05; done
}

# thaw lets paused containers run: on cgroup v1 what is frozen cannot be killed.
thaw() {
	local file
	while read -r file; do
		echo THAWED >"$file" || true
	done < <(find "/sys/fs/cgroup/freezer/$(cat "$dir/state/cgroup")" -name freezer.state 2>/dev/null)
}

stop() {
	local pid pids holder deadline=$((SECONDS + $(patience 20)))
	[ -d "$dir/state" ] || die "no engine in $dir"
	holder=$(holder) || holder=
	thaw
	while :; do
		pids=
		for pid in $(members | sort -un); do if [ "$pid" != "$holder" ] && running "$pid"; then pids+=" $pid"; fi; done
		[ -n "$pids" ] || break
		# shellcheck disable=SC2086 # one word a process
		kill -s KILL $pids 2>/dev/null || true
		sleep 0.02
		[ $SECONDS -lt $deadline ] || die "these processes of $dir have been killed, and do not end:$pids"
	done
	if [ -n "$holder" ]; then kill -s KILL "$holder"; fi # last, see members
	while [ -n "$holder" ] && running "$holder"; do sleep 0.02; done
	deadline=$((SECONDS + $(patience 20)))
	until remove_cgroups; do
		[ $SECONDS -lt $deadline ] || die "these cgroups cannot be removed: $(cgroup_folders)"
		sleep 0.02
	done
	pid=$(cat "$dir/state/watcher" 2>/dev/null) || pid=
	if [ -n "$pid" ] && [ "$pid" != "$PPID" ]; then kill "$pid" 2>/dev/null || true; fi
	(cd "$dir" && rm -rf --one-file-system -- run data etc registry state dockerd.log)
	rmdir "$dir" 2>/dev/null || true
}

client() {
	unset DOCKER_CONTEXT DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
	DOCKER_HOST=unix://$dir/run/docker.sock DOCKER_CONFIG=$dir/state/docker "$dir/state/bin/docker" "$@"
}

import_busybox() {
	local image=${1:-bb:1} root file library
	shift || true
	root=$(mktemp -d)
	# shellcheck disable=SC2064 # now, while $root is known
	trap "rm -rf '$root'" EXIT
	mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/tmp" "$root/var"
	ln -s ../run "$root/var/run"
	cp "$(command -v busybox)" "$root/bin/busybox"
	"$root/bin/busybox" --install -s "$root/bin"
	find "$root/bin" -type l -exec ln -sf busybox {} \;
	for file in "$@"; do
		cp "$file" "$root/bin/"
		for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
			mkdir -p "$root${library%/*}"
			cp "$library" "$root$library"
		done
	done
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	tar -C "$root" -c . | client import --change 'CMD ["sh"]' - "$image" >/dev/null
	echo "$image"
}

run_registry() {
	local port=${1:-5000} pid deadline=$((SECONDS + $(patience 20)))
	command -v docker-registry >/dev/null || die "docker-registry is missing; scripts/setup.sh installs it"
	pid=$(holder) || die "no engine in $dir"
	mkdir -p "$dir/registry/data"
	cat >"$dir/registry/config.yml" <<-END
		version: 0.1
		log: {level: warn}
		storage: {filesystem: {rootdirectory: $dir/registry/data}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:$port"}
	END
	setsid nsenter --target "$pid" --mount --net -- docker-registry serve "$dir/registry/config.yml" \
		</dev/null >"$dir/registry/log" 2>&1 &
	until (enter curl -s -o /dev/null "http://127.0.0.1:$port/v2/"); do
		[ $SECONDS -lt $deadline ] || die "the registry does not answer: $(tail -n 3 "$dir/registry/log")"
		sleep 0.05
	done
	echo "127.0.0.1:$port"
}

status() {
	local pid
	pid=$(holder) || die "no engine in $dir"
	echo "holder $pid, cgroup /$(cat "$dir/state/cgroup")"
	pid=$(daemon) || die "dockerd does not run"
	echo "dockerd $pid, socket $dir/run/docker.sock"
	echo "engine $(versions)"
}

versions() {
	local store
	store=$(client info --format '{{.Driver}}')
	client version --format "{{.Server.Version}} (API {{.Server.APIVersion}}, $store), command line {{.Client.Version}}"
}

[ $# -ge 2 ] || usage
[ "$(id -u)" -eq 0 ] || die "needs root"
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
script=$(cd "$(dirname "$0")" && pwd -P)/${0##*/}
shift 2
case $command in
start | stop | status | versions) "$command" "$@" ;;
busybox) import_busybox "$@" ;;
registry) run_registry "$@" ;;
docker) client "$@" ;;
exec) enter "$@" ;;
term) signal TERM ;;
kill) signal KILL ;;
hup) signal HUP ;;
*) usage ;;
esac
