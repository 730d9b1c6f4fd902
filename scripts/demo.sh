#!/usr/bin/env bash
# Shows what Vitrine does, on a real Docker Engine of its own, and checks everything that it shows: exit status 0 means
# that all of it was so. The machine's own Docker is not touched, and nothing is left running. See "make demo". With KEEP=1
# it stays until Ctrl-C, so that the page can be looked at.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "demo: needs root; no sudo here" >&2; exit 1; }
	exec sudo env "PATH=$PATH" "HOME=$HOME" ${KEEP:+"KEEP=$KEEP"} ${VITRINE_ENGINE:+"VITRINE_ENGINE=$VITRINE_ENGINE"} ${BINARY:+"BINARY=$BINARY"} "$0" "$@"
fi
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
"$root/scripts/setup.sh" demo

dir=$(mktemp -d /tmp/vitrine-demo.XXXX)
gateway=/run/vitrine/docker/docker.sock
messages=/run/vitrine/dsd
failures=0
seconds_per_command=30

engine() {
	local command=$1
	shift
	"$root/scripts/engine.sh" "$command" "$dir" "$@"
}

leave() {
	local status=$?
	trap - EXIT
	if [ $status -eq 1 ] && [ -s "$dir/dockerd.log" ]; then # not when interrupted
		printf '\nThe end of the log of dockerd and the plugin:\n' >&2
		tail -n 15 "$dir/dockerd.log" >&2
	fi
	if [ -n "${page:-}" ]; then kill "$page" 2>/dev/null || true; fi
	if [ -d "$dir/state" ]; then engine stop || status=1; fi
	rm -rf --one-file-system "$dir"
	exit $status
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bold='' green='' red='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'; fi
heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
ok() { printf '  %sok%s  %s\n' "$green" "$plain" "$1"; }
bad() {
	printf '  %sNO%s  %s\n' "$red" "$plain" "$1"
	failures=$((failures + 1))
}
quote() { sed "s/^/        $dim/;s/\$/$plain/" <<<"$1"; }

# Who asks: each of these runs a docker command line as somebody.
as_root() { timeout $seconds_per_command "$root/scripts/engine.sh" docker "$dir" "$@"; }
as_visitor() {
	timeout $seconds_per_command setpriv --reuid 4711 --regid 4711 --clear-groups env -i "PATH=$PATH" HOME=/nonexistent \
		DOCKER_CONFIG=/nonexistent "$docker" --host "unix://$dir$gateway" "$@"
}
as_agent() { as_root exec agent docker --host "unix://$gateway" "$@"; }
curl_visitor() {
	setpriv --reuid 4711 --regid 4711 --clear-groups curl --unix-socket "$dir$gateway" "$@"
}
curl_agent() { as_root exec agent curl --unix-socket "$gateway" "$@"; }
docker=$dir/state/bin/docker

# works WHO PATTERN ARGUMENT...: "docker ARGUMENT..." succeeds, and its output matches.
works() {
	local who=$1 pattern=$2 out
	shift 2
	if out=$("as_$who" "$@" 2>&1) && grep -qE -- "$pattern" <<<"$out"; then
		ok "docker $*"
		quote "$out"
	else
		bad "docker $*: should have worked, and shown $pattern"
		quote "$out"
	fi
}

# refused WHO ARGUMENT...: it fails, and says that Vitrine refused it and why.
refused() {
	local who=$1 out
	shift
	if out=$("as_$who" "$@" 2>&1 </dev/null); then
		bad "docker $*: should have been refused"
		quote "$out"
	else
		refusal "docker $*" "$out"
	fi
}

refusal() {
	local reason
	reason=$(grep -oE 'vitrine: [^"]*may not [^"]*' <<<"$2" | head -n 1 | sed 's/\.\{0,1\}$//') || true
	if [ -n "$reason" ]; then
		ok "$1  -> refused"
		quote "$reason"
	else
		bad "$1: failed, but not with a reason of Vitrine's"
		quote "$2"
	fi
}

# refused_websocket WHO: attaching to a container's terminal is a GET, and still not looking.
refused_websocket() {
	local out
	out=$("curl_$1" -sS -N --max-time 10 -w '\n%{http_code}' -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
		-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dml0cmluZS1kZW1vLWtleQ==' \
		'http://docker/containers/web/attach/ws?stream=1&stdin=1&stdout=1' 2>&1) || true
	if [ "$(tail -n 1 <<<"$out")" = 403 ]; then
		refusal 'GET /containers/web/attach/ws' "$out"
	else
		bad 'GET /containers/web/attach/ws: should have been answered 403'
		quote "$out"
	fi
}

# look_dont_touch WHO: the same for everybody whose role is "look".
look_dont_touch() {
	works "$1" '^web: Up' ps --format '{{.Names}}: {{.Status}}'
	works "$1" '^running .*PASSWORD=[] ]' inspect --format '{{.State.Status}} {{.Config.Env}}' web
	refused "$1" run --rm --privileged --volume /:/host bb:1 cat /host/etc/shadow
	refused "$1" exec web cat /etc/passwd
	refused "$1" cp web:/etc/passwd -
	refused "$1" logs web
	refused_websocket "$1"
}

heading "A private Docker Engine: folders, namespaces and cgroup of its own; not this machine's Docker"
mkdir -p "$dir/etc/docker/vitrine"
cp /etc/passwd "$dir/etc/passwd" # a user for the demo, who exists in the private Engine's /etc alone
echo 'visitor:x:4711:4711::/nonexistent:/bin/false' >>"$dir/etc/passwd"
echo 'vitrine-monitor:x:4712:4712::/nonexistent:/bin/false' >>"$dir/etc/passwd"
cat >"$dir/etc/docker/vitrine/data.yaml" <<-END
	bindings:
	  admin: ["unix:root", "local"]
	  look: ["unix:visitor", "label:vitrine.role=look"]
	  monitor: ["container:monitor", "unix:vitrine-monitor"]
END
ENGINE_OWNER=$$ engine start >/dev/null
engine busybox >/dev/null
(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$dir/image/" ./cmd/monitor ./test/sender)
engine busybox client:1 "$docker" "$(command -v curl)" "$dir/image/sender" >/dev/null
install -d -o 65532 -g 65532 "$dir$messages" # the monitor's
registry=$(engine registry)
ok "dockerd $(as_root version --format '{{.Server.Version}}'), and a registry on $registry of its network namespace"

heading "The plugin: built, pushed to the registry, and installed from there"
export DOCKER_HOST=unix://$dir/run/docker.sock DOCKER=$docker DOCKER_CONFIG=$dir/state/docker
plugin=$registry/vitrine/authz-plugin:demo
"$root/scripts/plugin.sh" build "$dir/plugin"
"$root/scripts/plugin.sh" create "$dir/plugin" "$plugin" >/dev/null
"$root/scripts/plugin.sh" push "$plugin" >/dev/null
as_root plugin install --grant-all-permissions --alias vitrine "$plugin" >/dev/null
ok "docker plugin install --grant-all-permissions --alias vitrine $plugin"
echo '{"authorization-plugins": ["vitrine"]}' >"$dir/etc/docker/daemon.json"
engine hup
ok 'daemon.json: {"authorization-plugins": ["vitrine"]}, and SIGHUP'
# A repeated parameter is refused to everybody, and only by the plugin: so it tells that dockerd asks it.
asked=no
for _ in $(seq 100); do
	status=$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$dir/run/docker.sock" 'http://docker/_ping?vitrine=1&vitrine=2') || true
	if [ "$status" = 403 ]; then asked=yes && break; fi
	sleep 0.1
done
if [ $asked = yes ]; then ok "dockerd asks it"; else bad "dockerd does not ask it"; fi

heading "Three containers, started by root as ever, on Docker's own socket"
as_root run --detach --name web --env PASSWORD=hunter2 bb:1 sh -c 'echo started; exec sleep 3600' >/dev/null
as_root run --detach --name agent --label vitrine.role=look --network none --volume "/run/vitrine/docker:/run/vitrine/docker:ro" \
	client:1 sleep 3600 >/dev/null
as_root run --detach --name other --network none --volume "/run/vitrine/docker:/run/vitrine/docker:ro" --volume "$messages:$messages:ro" \
	client:1 sleep 3600 >/dev/null
ok "web     with PASSWORD=hunter2 in its environment"
ok "agent   with the label vitrine.role=look and the folder of the gateway's socket"
ok "other   with that folder, and no role"

heading "An unprivileged user (uid 4711) on the gateway's socket: may look, may not touch"
look_dont_touch visitor

heading "From inside the container agent, as its root: the same"
look_dont_touch agent

heading "From inside the container other, which has no role: nothing"
as_other() { as_root exec other docker --host "unix://$gateway" "$@"; }
refused other ps

heading "Root, on Docker's own socket, goes on undisturbed"
works root '^hello$' run --rm bb:1 echo hello
works root '^uid=0' exec web id
works root '^started$' logs web
works root 'PASSWORD=hunter2' inspect --format '{{.Config.Env}}' web

heading "What the audit log says of it"
records=$(engine exec curl -sS --unix-socket /run/vitrine-admin/admin.sock 'http://admin/decisions?n=1000') || true
# shown CALLER OPERATION ALLOW: there is such a record; show the first.
recorded() {
	local record
	record=$(grep -F "\"$1\"" <<<"$records" | grep -F "\"operation\":\"$2\"" | grep -m 1 -F "\"allow\":$3") || true
	if [ -n "$record" ]; then
		ok "$1 $2: allow $3"
		quote "$(cut -c 1-400 <<<"$record")"
	else
		bad "there is no record of $1 $2 with allow $3"
	fi
}
recorded unix:visitor ContainerList true
recorded unix:visitor ContainerCreate false
recorded container:agent ContainerInspect true
recorded container:agent ContainerAttachWebsocket false
recorded local ContainerCreate true
if grep -q hunter2 <<<"$records"; then bad "the audit log holds a secret"; else ok "no secret is in it"; fi

heading "The monitor: in its own container, uid 65532, no capability, read-only, no network, and the policy's role for its name"
as_root build --quiet --tag vitrine/monitor --file "$root/deploy/monitor/Dockerfile" "$dir/image" >/dev/null
as_root run --detach --name monitor --network none --pid host --read-only --cap-drop ALL --security-opt no-new-privileges \
	--volume /run/vitrine/docker:/run/vitrine/docker:ro --volume /sys/fs/cgroup:/sys/fs/cgroup:ro --volume "$messages:$messages" \
	vitrine/monitor run --interval 1s --dogstatsd-interval 1s >/dev/null
ok "docker run --name monitor --network none --pid host --read-only --cap-drop ALL ... vitrine/monitor"

# The same for the page, as a user of the host, on loopback.
chgrp 4712 "$dir/run/vitrine-admin" && chmod 0710 "$dir/run/vitrine-admin" # as the package of the monitor does it
chmod 0755 "$dir/image"
setpriv --reuid 4712 --regid 4712 --clear-groups "$dir/image/monitor" run --docker "unix://$dir$gateway" --interval 1s --dogstatsd-socket '' \
	--admin-socket "$dir/run/vitrine-admin/admin.sock" --http 127.0.0.1:0 2>"$dir/page.log" &
page=$!
ok "and monitor run as a user of the host (uid 4712), whose page is on loopback"

heading "Two containers that take more memory than they may: one in PID 1, one in a process beside it"
# shellcheck disable=SC2016 # expanded in the container
leak='x=a; while :; do x=$x$x; done'
leaking() { as_root run --detach --name "$1" --memory 32m --memory-swap 48m bb:1 sh -c "$2" >/dev/null; }
leaking memleak-pid1 "$leak"
leaking memleak-forked "sh -c '$leak' & exec sleep 3600"
# killed CONTAINER ALIVE: the monitor says of a kill in it whether PID 1 lives.
killed() {
	local said
	for _ in $(seq 100); do
		if said=$(as_root logs monitor 2>&1 | grep -m 1 -E "killed in a container.* container=$1 .*pid1_alive=$2"); then
			ok "the monitor reports the kill in $1"
			quote "${said#* }"
			return
		fi
		sleep 0.1
	done
	bad "the monitor does not report a kill in $1, pid1_alive=$2"
}
killed memleak-pid1 false
killed memleak-forked true
works root '^running, exit code 0$' inspect --format '{{.State.Status}}, exit code {{.State.ExitCode}}' memleak-forked

heading "Custom metrics over DogStatsD: the kernel says which container sent them, whatever they claim"
# sent LINE PATTERN: other sends the line, and /metrics then has a sample that matches.
sent() {
	local sample
	as_root exec other sender raw "$messages/dsd.sock" "$1" || true
	for _ in $(seq 100); do
		if sample=$(nsenter --target "$monitor" --net curl -sS http://127.0.0.1:9780/metrics | grep -m 1 -E -- "$2"); then
			ok "other sends $1"
			quote "$(sed -E 's/(container_id|docker_image|image_[a-z]+|runtime)="[^"]*",//g; s/short_image="[^"]*"/…/' <<<"$sample")"
			return
		fi
		sleep 0.1
	done
	bad "other sends $1: /metrics should show $2"
}
monitor=$(as_root inspect --format '{{.State.Pid}}' monitor)
sent 'page.views:3|c|#section:cart|card:high' '^page_views_total\{.*container_name="other".*section="cart".* 3$'
sent 'logins:1|c|#container_name:web|card:high' '^logins_total\{.*[{,]container_name="other".*exported_container_name="web".* 1$'

heading "All containers, as the monitor sees them: monitor once"
table=$(as_root exec monitor /monitor once 2>&1) || bad "monitor once failed"
echo "$table"
for row in 'web +running' 'agent +running' 'other +running' 'monitor +running' 'memleak-pid1 +exited \(137\)' 'memleak-forked +running .* 1, PID 1 alive'; do
	grep -qE "^$row" <<<"$table" || bad "the table has no row $row"
done

heading "The page: what is wrong on top, and who asks Docker"
# shows PATH PATTERN: the page's API answers so.
address=
shows() {
	local answer=
	for _ in $(seq 100); do
		address=$(sed -n 's/.*msg=answering address=\([^ ]*\).*/\1/p' "$dir/page.log")
		if [ -n "$address" ] && answer=$(curl -sS "http://$address$1" 2>&1) && grep -qE -- "$2" <<<"$answer"; then
			ok "http://$address$1"
			quote "$(grep -oE -- "$2" <<<"$answer" | head -n 1 | sed -E 's/"(image|kind)":.*("problems"|"class")/… \2/')"
			return
		fi
		sleep 0.1
	done
	bad "http://$address$1: should have shown $2"
	quote "$(cut -c 1-400 <<<"$answer")"
}
shows / '<title>Vitrine</title>'
shows /api/state '"name":"memleak-forked"[^}]*"problems":\[\{"code":"killed-inside","severity":"critical","text":"[^"]*"'
shows /api/board '"name":"container:agent"[^}]*"class":"content","allowed":[0-9]*,"would_deny":0,"denied":[0-9]*'

if [ $failures -gt 0 ]; then
	printf '\n%s%d of the things above were not as they should be.%s\n' "$red" "$failures" "$plain"
	exit 1
fi
printf '\n%sAll of it was as it should be.%s ' "$bold" "$plain"
if [ -n "${KEEP:-}" ]; then
	printf 'The page is at %shttp://%s/%s until you press Ctrl-C.\n' "$bold" "$address" "$plain"
	printf 'From another machine: ssh -L %s:%s HOST. To ask Docker as somebody: docker -H unix://%s\n' "${address##*:}" "$address" "$dir$gateway"
	wait "$page"
fi
printf 'The Engine is being stopped; nothing is left.\nmake demo KEEP=1 leaves it running, and says where the page is; your own monitor shows it at http://127.0.0.1:9780/.\n'
