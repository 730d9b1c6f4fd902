#!/usr/bin/env bash
# Makes what a release consists of, in DIR (build/release): static binaries, .deb and .rpm packages of each program, the
# managed plugin as an archive and as an OCI layout, a bill of materials, and the checksums of all. The same commit gives the same bytes.
#
#   release.sh [DIR]        for amd64 and arm64; ARCHES="amd64" for one, VERSION for another number than scripts/version.sh gives
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/local/go/bin

out=${1:-build/release}
arches=${ARCHES:-amd64 arm64}
VERSION=${VERSION:-$(scripts/version.sh)}
commit_time=$(git log -1 --format=%ct 2>/dev/null || echo 0)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$commit_time}
DATE=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022 # the modes of files are in the archives
ldflags="-s -w -X vitrine/internal/version.number=$VERSION"

say() { printf 'release: %s\n' "$*"; }
tool() { go tool -modfile=scripts/release.mod "$@"; }

# compile ARCH FOLDER: both programs, with the commit that they are built from.
compile() {
	mkdir -p "$2"
	GOARCH=$1 CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags "$ldflags" -o "$2/" ./cmd/...
}

# pages PROGRAM FOLDER: a manual page for it and for each of its commands, of what --help says.
pages() {
	local program=$1 folder=$2 name
	mkdir -p "$folder"
	page "$program" "$folder/$(basename "$program").1"
	for name in $("$program" --help | sed -n '/^Available Commands:/,/^$/s/^  \([a-z-]\+\) .*/\1/p' | grep -vx 'completion\|help\|version'); do
		page "$program $name" "$folder/$(basename "$program")-$name.1"
	done
}

page() {
	local title
	title=$(basename "$1" | tr ' ' '-')
	help2man --no-info --section 1 --source Vitrine --manual 'Vitrine' --version-string "$VERSION" \
		--name "$($1 --help | head -n 1)" "$1" | sed "s,^\.TH .*,.TH \"${title^^}\" \"1\" \"${DATE%%T*}\" \"Vitrine $VERSION\" \"Vitrine\",; s,$tree/host/,,g" |
		gzip -9n >"$2.gz"
}

completions() {
	local shell
	mkdir -p "$2"
	for shell in bash zsh fish; do "$1" completion "$shell" >"$2/$(basename "$1").$shell"; done
}

# archive FILE FOLDER [NAME...]: the same files are the same bytes.
archive() {
	local file=$1 folder=$2
	shift 2
	tar --create --directory "$folder" --sort name --mtime "@$SOURCE_DATE_EPOCH" --owner 0 --group 0 --numeric-owner "${@:-.}" | gzip -9n >"$file"
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
rm -rf "$out"
mkdir -p "$out" "$tree/systemd" "$tree/doc"

say "version $VERSION of $DATE"
host=$(go env GOHOSTARCH)
compile "$host" "$tree/host" # these say what is in the manual pages
pages "$tree/host/authz-plugin" "$tree/man/authz-plugin"
pages "$tree/host/monitor" "$tree/man/monitor"
completions "$tree/host/authz-plugin" "$tree/completion"
completions "$tree/host/monitor" "$tree/completion"
for unit in deploy/systemd/*.service; do
	sed 's,/usr/local/bin/,/usr/bin/,' "$unit" >"$tree/systemd/$(basename "$unit")" # files of packages stand in /usr
done
cp deploy/systemd/*.socket "$tree/systemd/"
cp README.md CHANGELOG.md docs/*.md "$tree/doc/"
cp LICENSE "$tree/doc/copyright"

for ARCH in $arches; do
	TREE=$tree/$ARCH
	mkdir -p "$TREE"
	cp -r "$tree/systemd" "$tree/doc" "$tree/man" "$tree/completion" "$TREE/"
	if [ "$ARCH" = "$host" ]; then cp -r "$tree/host" "$TREE/bin"; else compile "$ARCH" "$TREE/bin"; fi
	for config in vitrine vitrine-monitor; do
		for packager in deb rpm; do
			sed "s,\${ARCH},$ARCH,; s,\${VERSION},$VERSION,; s,\${TREE},$TREE," "deploy/packages/$config.yaml" >"$TREE/nfpm.yaml"
			tool nfpm package --config "$TREE/nfpm.yaml" --packager "$packager" --target "$out/" >"$tree/log" || { cat "$tree/log" >&2; exit 1; }
		done
	done
	cp LICENSE "$TREE/bin/"
	archive "$out/vitrine_${VERSION}_linux_$ARCH.tar.gz" "$TREE/bin" LICENSE authz-plugin monitor
	BINARY="$TREE/bin/authz-plugin" scripts/plugin.sh build "$TREE/plugin"
	archive "$out/vitrine-plugin_${VERSION}_linux_$ARCH.tar.gz" "$TREE/plugin" config.json rootfs
	scripts/plugin.sh archive "$TREE/plugin" "$out/vitrine-plugin_${VERSION}_linux_$ARCH.oci.tar" "${VERSION//+/-}" # a tag has no plus
	say "packages for $ARCH"
done

# What is linked into the programs, with licences; without the time and the serial number of this run.
for program in authz-plugin monitor; do
	tool cyclonedx-gomod app -json -licenses -noserial -main "cmd/$program" . 2>"$tree/log" |
		jq 'del(.metadata.timestamp)' >"$out/$program.cdx.json" || { cat "$tree/log" >&2; exit 1; }
done
(cd "$out" && sha256sum -- * >SHA256SUMS)
say "$(find "$out" -type f | wc -l) files in $out"
