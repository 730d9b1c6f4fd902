#!/usr/bin/env bash
# Fetches Docker Engines that this machine's distribution does not have, with the command line, buildx and compose of
# their own, from Debian's packages: nothing is installed, and apt checks the signatures. Each is laid out once, as a
# folder of programs (some 250 MB) that scripts/engine.sh puts in front of PATH:
#
#   engines.sh [26|28|podman...]   lay these out, where they are not yet; all three without an argument
#   engines.sh path NAME    print the folder of the engine called NAME; exit status 1 if it is not there
#
# 20 is that of Debian 12, 26 of Debian 13, 28 of Debian's testing; 28c is 28, with containerd's image store. podman is that
# of Debian's testing, with what it and a rootless Engine run on (rootlesskit, slirp4netns, newuidmap). They lie
# in /var/cache/vitrine-engines, or in VITRINE_ENGINES: the path is written into runc, so a folder cannot be moved.
# The packages come from the mirror that apt has; on other distributions set VITRINE_DEBIAN_MIRROR.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'engines: %s\n' "$*"; }
die() { printf 'engines: %s\n' "$*" >&2; exit 1; }

home=${VITRINE_ENGINES:-/var/cache/vitrine-engines}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

suite() {
	case $1 in
	20) echo bookworm ;;
	26) echo trixie ;;
	28 | podman) echo forky ;;
	*) die "there is no engine $1: 20, 26, 28, 28c or podman" ;;
	esac
}

folder() {
	local suite
	suite=$(suite "${1%c}")
	if [ "$1" = podman ]; then suite=podman; fi
	echo "$home/$suite"
}

# program prints the path of an engine itself.
program() {
	local name=dockerd
	if [ "$1" = podman ]; then name=podman; fi
	echo "$(folder "$1")/bin/$name"
}

# mirror prints where apt gets Debian's packages.
mirror() {
	if [ -n "${VITRINE_DEBIAN_MIRROR:-}" ]; then
		echo "$VITRINE_DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(RELEASE) $(SITE)' 'Created-By: Packages' |
		sed -nE 's/^Debian main [a-z]+ //p' | head -n 1
}

fetch() {
	local name=$1 suite to work from tini
	suite=$(suite "$name")
	to=$(folder "$name")
	from=$(mirror)
	[ -n "$from" ] || die "apt knows no mirror of Debian's: set VITRINE_DEBIAN_MIRROR to one"
	[ -r "$keyring" ] || die "$keyring is missing, so nothing could be checked: install debian-archive-keyring"
	command -v patchelf >/dev/null || die "patchelf is missing; scripts/setup.sh installs it"
	work=$(mktemp -d "$home/.fetch.XXXXXX")
	# shellcheck disable=SC2064 # now, while $work is known
	trap "rm -rf '$work'" EXIT
	cd "$work"
	mkdir -p lists/partial cache/archives/partial debs tree
	: >status # an empty one: what this machine has installed does not count
	echo "deb [signed-by=$keyring] $from $suite main" >suite.list
	local apt=(apt-get -q -o "Dir::Etc::sourcelist=$work/suite.list" -o Dir::Etc::sourceparts=/nonexistent
		-o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache"
		-o APT::Sandbox::User=root -o Acquire::Retries=3)
	say "fetching the engine of $suite"
	"${apt[@]}" update >log 2>&1 || die "apt-get update for $suite: $(tail -n 5 log)"
	if [ "$name" = podman ]; then
		# It is linked with much: all that it needs, down to the C library.
		"${apt[@]}" -y --no-install-recommends --download-only -o Debug::NoLocking=1 install podman crun runc catatonit \
			rootlesskit slirp4netns uidmap fuse-overlayfs >log 2>&1 || die "apt-get download from $suite: $(tail -n 5 log)"
		mv cache/archives/*.deb debs/
	else
		download_docker
	fi
	for more in debs/*.deb; do dpkg -x "$more" tree; done
	rm -rf "$to.new"
	if [ "$name" = podman ]; then lay_out_podman "$to.new" "$to"; else lay_out "$to.new" "$to"; fi
	rm -rf "$to"
	mv "$to.new" "$to" # whole, or not there
	cd "$home"
	rm -rf "$work"
	trap - EXIT
	say "$("$(program "$name")" --version) is in $to"
}

# download_docker is part of fetch.
download_docker() {
	local tini="tini" more
	if "${apt[@]}" download --print-uris tini-static >/dev/null 2>&1; then tini="tini-static"; fi
	local packages=(docker.io containerd runc libc6 libseccomp2 "$tini")
	for more in docker-cli docker-buildx docker-compose; do # not all suites have them
		if "${apt[@]}" download --print-uris "$more" >/dev/null 2>&1; then packages+=("$more"); fi
	done
	(cd debs && "${apt[@]}" download "${packages[@]}") >log 2>&1 || die "apt-get download from $suite: $(tail -n 5 log)"
}

# lay_out_podman is lay_out for what Podman, and a rootless Engine, run on. Everything gets its own C library.
lay_out_podman() {
	local new=$1 final=$2 file interpreter
	mkdir -p "$new/bin" "$new/lib" "$new/etc"
	for file in podman crun runc conmon catatonit netavark rootlessport rootlesskit rootlesskit-docker-proxy slirp4netns newuidmap newgidmap fuse-overlayfs; do
		cp -p "$(find tree/usr -type f -perm /111 -name "$file" | head -n 1)" "$new/bin/" # newuidmap is set-user-ID
	done
	find tree -path '*x86_64-linux-gnu/*.so*' -exec cp -pd {} "$new/lib/" \; -o -name 'ld-linux-*.so.?' -exec cp -p {} "$new/lib/" \;
	cp tree/etc/containers/policy.json tree/usr/share/containers/seccomp.json "$new/etc/"
	for file in "$new"/bin/*; do
		interpreter=$(patchelf --print-interpreter "$file" 2>/dev/null) || continue # a static one
		patchelf --set-interpreter "$final/lib/${interpreter##*/}" --force-rpath --set-rpath "$final/lib" "$file"
	done
	chmod u+s "$new/bin/newuidmap" "$new/bin/newgidmap"
}

# lay_out NEW FINAL makes the folder NEW, to be moved to FINAL, from the packages in tree.
lay_out() {
	local new=$1 final=$2 file
	mkdir -p "$new/bin" "$new/lib" "$new/cli-plugins"
	for file in dockerd docker-proxy docker containerd containerd-shim-runc-v2 runc; do
		cp "$(find tree/usr/bin tree/usr/sbin -type f -name "$file")" "$new/bin/"
	done
	cp "$(find tree -type f -name tini-static | head -n 1)" "$new/bin/docker-init"
	find tree -type f -path '*/cli-plugins/*' -exec cp {} "$new/cli-plugins/" \;
	# dockerd, containerd and the command line run with an older C library; runc needs its own. (A wrapper would not do:
	# runc executes /proc/self/exe.)
	find tree -type f \( -name libc.so.6 -o -name 'ld-linux-*.so.?' \) -exec cp {} "$new/lib/" \;
	cp "$(find tree -type f -name 'libseccomp.so.2.*')" "$new/lib/libseccomp.so.2"
	local loader
	loader=$(basename "$(patchelf --print-interpreter "$new/bin/runc")")
	patchelf --set-interpreter "$final/lib/$loader" --force-rpath --set-rpath "$final/lib" "$new/bin/runc"
}

if [ "${1:-}" = path ]; then
	to=$(folder "${2:?the name of an engine}")
	[ -x "$(program "$2")" ] || exit 1
	echo "$to"
	exit 0
fi
[ $# -gt 0 ] || set -- 26 28 podman
for name in "$@"; do suite "$name" >/dev/null; done
missing=()
for name in "$@"; do [ -x "$(program "$name")" ] || missing+=("$name"); done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" -eq 0 ] || die "needs root, for $home"
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9 # several may ask at once
for name in "${missing[@]}"; do
	if [ ! -x "$(program "$name")" ]; then fetch "$name"; fi # while another waited for the lock
done
