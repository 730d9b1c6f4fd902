#!/usr/bin/env bash
# make bench-peers: our gateway and our plugin beside what else people put in front of Docker, as docs/performance.md quotes
# it. Arguments are those of `bench peers`: -quick takes two minutes, -only TITLE one table, -plugins=false no Engine.
#
# HAProxy is Debian's package; the others are built of their modules, in a folder that is removed. One that is not to be
# had is said to be absent, or named by its program: WOLLOMATIC=PATH, SOCKGUARD=PATH, HAPROXY=PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

# built prints the program of a module, or nothing where that is not to be had.
built() {
	if GOBIN=$tools CGO_ENABLED=0 go install "$1" >"$tools/log" 2>&1; then
		echo "$tools/$(basename "${1%@*}")"
	else
		echo "peers: $1 is absent: $(tail -n 1 "$tools/log")" >&2
	fi
}

go build -o build/bench ./test/bench
build/bench peers -binary build/authz-plugin -haproxy "${HAPROXY:-haproxy}" \
	-wollomatic "${WOLLOMATIC:-$(built github.com/wollomatic/socket-proxy/cmd/socket-proxy@latest)}" \
	-sockguard "${SOCKGUARD:-$(built github.com/codeswhat/sockguard/app/cmd/sockguard@latest)}" "$@"
