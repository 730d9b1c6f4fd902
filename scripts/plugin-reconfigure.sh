#!/usr/bin/env bash
# Changes the settings of the managed plugin, or upgrades it, with the shortest gap, and measures the gap.
#
#   plugin-reconfigure.sh [--name vitrine] [--pid DOCKERD] set KEY=VALUE...
#   plugin-reconfigure.sh [--name vitrine] [--pid DOCKERD] upgrade REF
#   plugin-reconfigure.sh [--name vitrine] [--pid DOCKERD] replace DIR    by what "plugin.sh build DIR" has made, no registry
#
# Docker changes a plugin only while it is disabled, and asks it again only after enable AND a SIGHUP. In between every
# request on dockerd's sockets passes undecided, and a dockerd that restarts then ends: it cannot find its plugin. So:
#
#   before   refuse unless daemon.json names the plugin (one named by a flag is dropped by the SIGHUP), and it is asked
#            now; fetch the plugin and start it once as it will be, on sockets of its own, to see that it starts at all
#            ("set" does without that where the registry cannot be reached)
#   the gap  disable, set or upgrade, enable, SIGHUP, and probe until dockerd asks again; signals are ignored
#   failure  put back what was, enable that, SIGHUP; say how it stands
#   after    print the gap, measured from the last probe that was refused to the first one that is refused again
#
# The probe is GET /_ping?vitrine=1&vitrine=2 on dockerd's own socket: the plugin refuses an unknown parameter given
# twice to everybody, dockerd by itself does not mind. Nothing else can tell from outside that the plugin is asked.
#
# DOCKER_HOST tells the engine; it must be dockerd's own Unix socket. Exit status: 0 done, 1 nothing changed or all put
# back, 2 usage, 3 the plugin is NOT asked: see what was printed.
set -euo pipefail

name=vitrine
docker=${DOCKER:-docker}
pid=

say() { printf 'reconfigure: %s\n' "$*"; }
die() { printf 'reconfigure: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '4,6s/^# \{0,3\}//p' "$0" >&2; exit 2; }

while [ $# -gt 0 ]; do
	case $1 in
	--name) name=${2:?} ;;
	--pid) pid=${2:?} ;;
	*) break ;;
	esac
	shift 2
done
[ $# -ge 2 ] || usage
action=$1
shift
case $action,$# in
set,* | upgrade,1) ;;
replace,1) if [ ! -e "$1/config.json" ]; then die "$1 holds no plugin: plugin.sh build makes one"; fi ;;
*) usage ;;
esac

export DOCKER_HOST=${DOCKER_HOST:-unix:///run/docker.sock}
socket=${DOCKER_HOST#unix://}
[ -S "$socket" ] || die "$DOCKER_HOST is not a Unix socket; give dockerd's own in DOCKER_HOST"
pid=${pid:-$(cat /run/docker.pid 2>/dev/null)} || die "no /run/docker.pid; give dockerd's process id with --pid"
# Signals need the right to send them: say so now, not in the gap.
kill -0 "$pid" 2>/dev/null || die "may not signal dockerd (process $pid), or it does not run; be root"

now_ms() { date +%s%3N; }

# asked: dockerd asks the plugin.
asked() {
	[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --unix-socket "$socket" \
		'http://docker/_ping?vitrine=1&vitrine=2')" = 403 ]
}

asked_within() {
	local deadline=$(($(now_ms) + $1 * 1000))
	until asked; do
		[ "$(now_ms)" -lt "$deadline" ] || return 1
		sleep 0.005
	done
}

# config_file prints daemon.json as dockerd sees it.
config_file() {
	local file
	file=$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed -n '/^--config-file$/{n;p};s/^--config-file=//p')
	echo "/proc/$pid/root${file:-/etc/docker/daemon.json}"
}

named_in_config() {
	tr -d ' \t\n' <"$(config_file)" 2>/dev/null | grep -oE '"authorization-plugins":\[[^]]*\]' |
		grep -E "\"$name(:latest)?\"" >/dev/null
}

setting() { "$docker" plugin inspect --format "$1" "$name"; }

# settings prints all of them as "plugin set" takes them.
settings() {
	setting '{{range .Settings.Env}}{{.}}{{"\n"}}{{end}}{{range .Settings.Mounts}}{{.Name}}.source={{.Source}}{{"\n"}}{{end}}' |
		grep .
}

# before prints the present value of each KEY=VALUE given.
before() {
	local pair all
	all=$(settings)
	for pair in "$@"; do
		grep -F "${pair%%=*}=" <<<"$all" | grep "^${pair%%=*}=" || die "$name has no setting ${pair%%=*}. Nothing was changed"
	done
}

# elsewhere prints KEY=VALUE with sockets of the rehearsal's own; what is wrong stays wrong.
elsewhere() {
	case $1 in
	VITRINE_LISTEN=) echo "$1next=unix:///run/$name-next/docker.sock,mode=0600" ;;
	VITRINE_LISTEN=*) echo "${1//unix:\/\/\//unix:\/\/\/run\/$name-next\/}" ;;
	VITRINE_ADMIN_SOCKET=) echo "$1/run/$name-next/admin.sock" ;;
	VITRINE_ADMIN_SOCKET=/*) echo "${1/=/=\/run\/$name-next}" ;;
	*) echo "$1" ;;
	esac
}

# create makes the plugin NAME of a folder. (An Engine refuses a root filesystem that is byte for byte one it has.)
create() { od -An -N8 -tx1 /dev/urandom >"$2/rootfs/.created" && "$docker" plugin create "$1" "$2" >/dev/null; }

# back_up copies the plugin as it is to a folder.
back_up() {
	cp -a "/proc/$pid/root$("$docker" info --format '{{.DockerRootDir}}')/plugins/$(setting '{{.ID}}')/rootfs" "$1/rootfs" &&
		setting '{{json .Config}}' >"$1/config.json"
}

# rehearse starts REF, or what is in a folder, beside the running plugin, with its settings and KEY=VALUE..., but sockets
# of its own. What it fetches is then here when the gap begins. Status 2: cannot be fetched.
rehearse() {
	local ref=$1 pair
	shift
	forget_rehearsal
	if [ "$action" = replace ]; then
		create "$name-next" "$ref" || return 1
	else
		"$docker" plugin install --disable --grant-all-permissions --alias "$name-next" "$ref" >/dev/null || return 2
	fi
	for pair in "${all[@]}" "$@"; do
		"$docker" plugin set "$name-next" "$(elsewhere "$pair")" 2>/dev/null || say "the new version has no setting ${pair%%=*}"
	done
	"$docker" plugin enable "$name-next" >/dev/null && "$docker" plugin disable -f "$name-next" >/dev/null
}

# shellcheck disable=SC2317 # called by the trap too
forget_rehearsal() { "$docker" plugin rm -f "$name-next" >/dev/null 2>&1 || true; }

change() {
	case $action in
	set) "$docker" plugin set "$name" "$@" ;;
	upgrade) "$docker" plugin upgrade --grant-all-permissions --skip-remote-check "$name" "$1" >/dev/null ;;
	replace)
		"$docker" plugin rm -f "$name" >/dev/null 2>&1 || true # gone, where creating the new one failed
		create "$name" "$1" && for pair in "${all[@]}"; do "$docker" plugin set "$name" "$pair" 2>/dev/null || true; done
		;;
	esac
}

# put_back tries again, until dockerd asks and goes on asking.
#
# A plugin that ends at once is started by dockerd once more, beside the "enable" that still waits for it. That second
# start is given up a moment after the first one, and then dockerd disables, under the same id, whatever runs by then.
# A SIGHUP that comes at such a time ends dockerd; or else it brings in a plugin that cannot be called (each request
# then breaks off, with a panic in dockerd's log) until the next SIGHUP. So the moment is waited for.
put_back() {
	local deadline=$(($(now_ms) + 60000))
	sleep 2
	until "$docker" plugin disable -f "$name" >/dev/null 2>&1 || true; change "${old[@]}" && bring_back && stays_asked; do
		[ "$(now_ms)" -lt "$deadline" ] || return 1
		sleep 2
	done
}

# bring_back enables the plugin and makes dockerd ask it. (dockerd ends when it is told of a plugin that is disabled.)
bring_back() {
	"$docker" plugin enable "$name" >/dev/null && [ "$(setting '{{.Enabled}}')" = true ] && kill -HUP "$pid" && asked_within 5
}

stays_asked() {
	local until=$(($(now_ms) + 1000))
	while [ "$(now_ms)" -lt $until ]; do
		asked || return 1
		sleep 0.05
	done
}

# before the gap
exec 9<"$(dirname "$socket")" # one run an Engine
flock -n 9 || die "another run is under way"
[ "$(setting '{{.Enabled}}' 2>/dev/null)" = true ] || die "there is no enabled plugin $name"
named_in_config || die "$(config_file) does not name $name in authorization-plugins: a SIGHUP would drop it. Nothing was changed"
asked || die "dockerd does not ask $name now (or answers nothing); mend that first. Nothing was changed"
mapfile -t all < <(settings)
reference=$(setting '{{.PluginReference}}')
old=("$reference")
rehearsal=("${1}")
backup=
# shellcheck disable=SC2317 # called by the trap
tidy_up() {
	forget_rehearsal
	[ -z "$backup" ] || rm -rf "$backup"
}
trap tidy_up EXIT
case $action in
set)
	mapfile -t old < <(before "$@")
	[ ${#old[@]} -eq $# ] || exit 1
	rehearsal=("$reference" "$@")
	;;
replace)
	backup=$(mktemp -d)
	back_up "$backup" || die "the plugin as it is cannot be copied to $backup. Nothing was changed"
	old=("$backup")
	;;
esac
status=0
rehearse "${rehearsal[@]}" || status=$?
case $action,$status in
*,0) ;;
set,2) say "going on without a rehearsal: $reference cannot be fetched" ;;
upgrade,2) die "$1 cannot be fetched. Nothing was changed" ;;
*) die "it does not start like that (see dockerd's log). Nothing was changed" ;;
esac

# the gap
trap '' INT TERM HUP
result=0
asked || die "dockerd does not ask $name now. Nothing was changed"
last=$(now_ms)
if ! "$docker" plugin disable "$name" >/dev/null; then
	asked || { kill -HUP "$pid" && asked_within 5; } || exit 3
	die "$name cannot be disabled. Nothing was changed"
fi
if ! { change "$@" && bring_back; }; then
	result=1
	say "the change failed; putting back ${old[*]}" >&2
	if ! put_back; then
		cat >&2 <<-END
			reconfigure: dockerd does NOT ask $name now, and every request on dockerd's sockets passes undecided.
			  If dockerd still runs (process $pid):
			    docker plugin inspect $name                what it is set to
			    journalctl -u docker -n 20                 why it does not start
			    docker plugin set $name KEY=VALUE && docker plugin enable $name && kill -HUP $pid
			  If requests break off without an answer, and dockerd's log shows a panic: take the name out of
			  authorization-plugins, kill -HUP $pid, then the lines above, and put the name back before the last one.
			  If dockerd has ended, it will not start while daemon.json names a disabled plugin: take it out of
			  authorization-plugins, start dockerd, enable the plugin, put it back, kill -HUP.
		END
		exit 3
	fi
fi
gap=$(($(now_ms) - last))
trap - INT TERM HUP

say "dockerd asks $name again; nobody was asked for at most $gap ms"
[ $result -eq 0 ] || say "nothing was changed: $action failed and was put back" >&2
exit $result
