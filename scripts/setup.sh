#!/usr/bin/env bash
# Installs what the demo and the tests need on Debian 12 or 13, or Ubuntu 22.04 or newer: only what is missing, with
# apt-get, and with every service held back. Installing docker.io or prometheus normally starts them; here they are
# neither started nor enabled, and a Docker that this machine already runs is left alone.
#
#   scripts/setup.sh [all|demo]     demo: only what `make demo` needs
#
# Debian's name     what shows that it is there        scope  what it is for
packages='
ca-certificates     /etc/ssl/certs/ca-certificates.crt demo   fetch Go modules over TLS
curl                curl                               demo   ask the Engine API over a Unix socket
iproute2            ip                                 demo   bring loopback up in the private network namespace
iptables            iptables                           demo   bridge networks of the private Engine
docker.io           dockerd                            demo   the private Engine, never started as a service
docker-cli          docker                             demo   its command line (part of docker.io before Debian 13)
docker-registry     docker-registry                    demo   the private registry that "docker plugin install" uses
busybox-static      busybox-static                     demo   the one image of demo and tests
make                make                               demo   the targets of the Makefile
git                 git                                all    version stamps
gcc                 gcc                                all    the race detector
libc6-dev           /usr/include/stdlib.h              all    the race detector
openssl             openssl                            all    certificates for the examples in docs
shellcheck          shellcheck                         all    "make check" on scripts
prometheus          promtool                           all    a real client (docker_sd) and promtool
prometheus-alertmanager prometheus-alertmanager        all    takes the alerts of deploy/prometheus
python3-docker      python3-docker                     all    a real client
python3-prometheus-client python3-prometheus-client    all    a strict reader of OpenMetrics
docker-compose      docker-compose                     all    starts the examples of deploy/compose
help2man            help2man                           all    manual pages of the packages
jq                  jq                                 all    the bill of materials of a release
rpm                 rpm                                all    reads the package that "make release" makes
strace              strace                             all    which system calls the units need
tmux                tmux                               all    a terminal for "monitor top"
openssh-server      sshd                               all    "monitor top" from elsewhere
patchelf            patchelf                           all    gives runc of another suite its own C library
nodejs              node                               all    builds the page of the monitor, and opens it in a test
npm                 npm                                all    fetches what that needs, see scripts/web.sh
chromium            chromium                           all    the browser of that test
haproxy             haproxy                            all    a peer of "make bench-peers"
victoria-metrics    victoria-metrics                   all    another reader of /metrics
qemu-system-x86     qemu-system-x86_64                 all    boots the kernel that scripts/kernel.sh fetches
'
set -euo pipefail
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
policy=/usr/sbin/policy-rc.d
saved=$policy.before-vitrine
scope=${1:-all}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# present: a path exists, a command is found, or else Debian's package is installed.
present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null || dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -x installed >/dev/null ;;
	esac
}

missing_packages() {
	local name sign in_scope _
	while read -r name sign in_scope _; do
		[ -n "$name" ] || continue
		[ "$scope" = all ] || [ "$in_scope" = "$scope" ] || continue
		if present "$sign"; then continue; fi
		if [ "$name" = docker-cli ] && ! candidate docker-cli; then continue; fi
		echo "$name"
	done <<<"$packages"
}

# (No grep -q behind a program that writes on: with pipefail its SIGPIPE would be a "no".)
candidate() { apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [0-9]' >/dev/null; }

# go_is_enough: Go 1.21 and newer fetch the toolchain that go.mod names by themselves.
go_is_enough() { new_enough "$(go version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p')"; }
new_enough() { [ -n "$1" ] && printf '1.21\n%s\n' "$1" | sort -VC; }

# go_package prints the package that has Go 1.21 or newer, if apt knows one.
go_package() {
	local version
	version=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p')
	if new_enough "$version"; then
		echo golang-go
		return
	fi
	apt-cache search --names-only '^golang-1\.[0-9]+-go$' | cut -d' ' -f1 | sort -V | while read -r name; do
		version=${name#golang-}
		if new_enough "${version%-go}"; then echo "$name"; fi
	done | tail -n 1
}

hold_services() {
	if [ -e "$saved" ] || grep -qs 'vitrine setup' "$policy"; then restore_services; fi # an earlier run was killed
	if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
	printf '#!/bin/sh\n# vitrine setup: no package starts a service\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
}

restore_services() {
	if grep -qs 'vitrine setup' "$policy"; then rm -f "$policy"; fi
	if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}

installed() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort; }

# disable_units keeps what came with the packages named on standard input from starting at the next boot.
disable_units() {
	local units
	units=$(xargs -r dpkg -L | sed -nE 's,^(/usr)?/lib/systemd/system/([^/@]+\.(service|socket|timer))$,\2,p' | sort -u)
	[ -n "$units" ] && command -v systemctl >/dev/null || return 0
	# shellcheck disable=SC2086 # one word a unit
	systemctl --quiet disable $units >/dev/null 2>&1 || true
	say "installed, but not started and not enabled: $(echo "$units" | tr '\n' ' ')"
}

install() {
	local before
	exec 9<"$0"
	flock 9
	hold_services
	before=$(installed)
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
	apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 ||
		die "apt-get install failed; the end of its output:
$(tail -n 20 "$log")"
	comm -13 <(echo "$before") <(installed) | disable_units
}

# fetch_kernel: one to boot in QEMU; this machine's own boot is left alone.
fetch_kernel() {
	[ "$scope" = all ] || return 0
	"$(dirname "$0")/kernel.sh" || die "no kernel for test/qemu"
}

# fetch_engines: newer ones than the distribution has. What needs them says so where they are not there.
fetch_engines() {
	[ "$scope" = all ] && [ "$(id -u)" -eq 0 ] || return 0
	"$(dirname "$0")/engines.sh" || say "going on without newer engines"
}

# fetch_web: what web/ is built with.
fetch_web() {
	[ "$scope" = all ] || return 0
	"$(dirname "$0")/web.sh" fetch || say "going on without web/node_modules: the page's files are committed"
}

[ "$scope" = all ] || [ "$scope" = demo ] || die "usage: scripts/setup.sh [all|demo]"
command -v apt-get >/dev/null || die "this script knows Debian and Ubuntu only; install the packages listed in $0 yourself"

mapfile -t want < <(missing_packages)
need_go=
go_is_enough || need_go=yes
if [ ${#want[@]} -eq 0 ] && [ -z "$need_go" ]; then
	fetch_kernel
	fetch_engines
	fetch_web
	say "everything is there"
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || die "missing: ${want[*]} ${need_go:+golang-go}; run this as root, or install sudo"
	say "missing: ${want[*]} ${need_go:+golang-go}; asking sudo"
	exec sudo env "PATH=$PATH" "$0" "$scope"
fi

log=$(mktemp /tmp/vitrine-setup.XXXXXX)
trap 'rm -f "$log"; restore_services' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
say "apt-get update"
apt-get update -q >"$log" 2>&1 || say "apt-get update had errors; trying with what is known: $(tail -n 3 "$log")"
mapfile -t want < <(missing_packages)
if [ -n "$need_go" ]; then
	package=$(go_package)
	[ -n "$package" ] || die "Go is missing or older than 1.21, and apt has none that is new enough.
Either enable backports (Debian 12: the suite bookworm-backports, beside bookworm in /etc/apt/sources.list) and run this again,
or unpack Go from https://go.dev/dl/ to /usr/local/go. Nothing was installed."
	want+=("$package")
fi
say "installing: ${want[*]}"
install "${want[@]}"
if ! go_is_enough && [ -x "/usr/lib/go-${package//[!0-9.]/}/bin/go" ]; then
	ln -sf "/usr/lib/go-${package//[!0-9.]/}/bin/go" /usr/local/bin/go
	say "linked /usr/local/bin/go to Go ${package//[!0-9.]/}"
fi
mapfile -t want < <(missing_packages)
[ ${#want[@]} -eq 0 ] || die "still missing after the installation: ${want[*]}"
go_is_enough || die "installed $package, but 'go version' still says $(go version 2>&1 | head -n 1)"
fetch_kernel
fetch_engines
fetch_web
say "done"
