#!/usr/bin/env bash
# Builds the managed plugin and hands it to Docker.
#
#   plugin.sh build DIR                     static binary and config.json, as "docker plugin create" wants them
#   plugin.sh create DIR REF                make the plugin REF of it on this engine (for "push")
#   plugin.sh push REF                      push it, and remove it from this engine
#   plugin.sh install REF [KEY=VALUE...]    install and enable it under the name "vitrine"
#   plugin.sh archive DIR FILE TAG          write it as an OCI layout in a tar file, for tools that copy one to a registry
#   plugin.sh image DIR REF                 make an ordinary image of it, for the gateway alone in a container
#   plugin.sh uninstall                     take it away; refuses while daemon.json names it
#
# Which engine: DOCKER_HOST, as ever; its daemon.json: DAEMON_JSON. DOCKER names another docker command, BINARY a binary
# that is already built.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
docker=${DOCKER:-docker}
name=vitrine

die() { printf 'plugin: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '4,10s/^# \{0,3\}//p' "$0" >&2; exit 2; }

build() {
	local dir version
	mkdir -p "$1/rootfs"
	dir=$(cd "$1" && pwd)
	if [ -n "${BINARY:-}" ]; then
		install -m 0755 "$BINARY" "$dir/rootfs/authz-plugin"
	else
		version=$("$root/scripts/version.sh")
		(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X vitrine/internal/version.number=$version" -o "$dir/rootfs/authz-plugin" ./cmd/authz-plugin)
	fi
	mkdir -p "$dir/rootfs/run" "$dir/rootfs/etc" "$dir/rootfs/tmp"
	mkdir -p "$dir/rootfs/var/lib/vitrine" && chmod 0700 "$dir/rootfs/var/lib/vitrine" # the last good policy is kept there
	cp "$root/plugin/config.json" "$dir/config.json"
}

create() {
	# Engine 20.10 refuses a root filesystem that is byte for byte one it has: "content sha256:... already exists".
	od -An -N8 -tx1 /dev/urandom >"$1/rootfs/.created"
	"$docker" plugin create "$2" "$1"
}

# blob FOLDER FILE: takes a file into the layout, and prints "size digest".
blob() {
	local digest
	digest=$(sha256sum <"$2" | cut -d ' ' -f 1)
	printf '%s sha256:%s\n' "$(stat -c %s "$2")" "$digest"
	mv "$2" "$1/blobs/sha256/$digest"
}

# bytes FOLDER NAME...: a tar file in which the same files are the same bytes.
bytes() {
	tar --create --directory "$1" --sort name --mtime "@${SOURCE_DATE_EPOCH:-0}" --owner 0 --group 0 --numeric-owner --format ustar "${@:2}"
}

# archive writes what "docker plugin push" would send: the Engine takes a plugin for one by the media type of its configuration.
archive() {
	local dir=$1 file=$2 tag=$3 layout size digest layer config
	layout=$(mktemp -d)
	mkdir -p "$layout/blobs/sha256"
	bytes "$dir/rootfs" . >"$layout/rootfs"
	digest=sha256:$(sha256sum <"$layout/rootfs" | cut -d ' ' -f 1)
	jq --compact-output --arg layer "$digest" '. + {rootfs: {type: "layers", diff_ids: [$layer]}}' "$dir/config.json" >"$layout/config"
	gzip -9n <"$layout/rootfs" >"$layout/layer" && rm "$layout/rootfs"
	layer=$(blob "$layout" "$layout/layer")
	config=$(blob "$layout" "$layout/config")
	jq --null-input --compact-output --arg config "$config" --arg layer "$layer" '
		def descriptor(type): split(" ") | {mediaType: type, size: (.[0] | tonumber), digest: .[1]};
		{schemaVersion: 2, mediaType: "application/vnd.docker.distribution.manifest.v2+json",
		config: ($config | descriptor("application/vnd.docker.plugin.v1+json")),
		layers: [$layer | descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip")]}' >"$layout/manifest"
	read -r size digest < <(blob "$layout" "$layout/manifest")
	jq --null-input --compact-output --arg size "$size" --arg digest "$digest" --arg tag "$tag" '
		{schemaVersion: 2, manifests: [{mediaType: "application/vnd.docker.distribution.manifest.v2+json", size: ($size | tonumber), digest: $digest,
		annotations: {"org.opencontainers.image.ref.name": $tag}}]}' >"$layout/index.json"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	bytes "$layout" oci-layout index.json blobs >"$file"
	rm -rf "$layout"
}

image() {
	tar -C "$1/rootfs" -c authz-plugin | "$docker" import --change 'ENTRYPOINT ["/authz-plugin"]' --change 'CMD ["serve"]' - "$2"
}

push() {
	"$docker" plugin push "$1"
	"$docker" plugin rm "$1"
}

install_plugin() {
	local ref=$1
	shift
	"$docker" plugin install --grant-all-permissions --alias "$name" "$ref" "$@"
	cat <<-END
		The plugin runs, but dockerd does not ask it yet. Name it in /etc/docker/daemon.json
		    "authorization-plugins": ["$name"]
		(not with a flag: the first SIGHUP would drop it), and then: kill -HUP "\$(cat /run/docker.pid)"
	END
}

# uninstall asks what plugin-reconfigure.sh explains: with the plugin asked, a repeated parameter is refused.
uninstall() {
	local host=${DOCKER_HOST:-unix:///run/docker.sock} config=${DAEMON_JSON:-/etc/docker/daemon.json} status
	status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --unix-socket "${host#unix://}" \
		'http://docker/_ping?vitrine=1&vitrine=2') || true
	if [ "$status" = 403 ] || grep -qs "\"$name\(:latest\)\?\"" "$config"; then
		die "dockerd still asks $name, or $config names it: take it out of authorization-plugins there and send
dockerd SIGHUP first, or dockerd will not start again"
	fi
	"$docker" plugin disable "$name" || true
	"$docker" plugin rm "$name"
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command,$# in
build,1) build "$1" ;;
create,2) create "$1" "$2" ;;
archive,3) archive "$1" "$2" "$3" ;;
image,2) image "$1" "$2" ;;
push,1) push "$1" ;;
install,[1-9]*) install_plugin "$@" ;;
uninstall,0) uninstall ;;
*) usage ;;
esac
