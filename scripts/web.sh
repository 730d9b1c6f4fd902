#!/usr/bin/env bash
# The monitor's page.
#
#   scripts/web.sh fetch    what it is built with, into web/node_modules: only if that is not what package-lock.json says
#   scripts/web.sh build    web/ -> internal/monitor/page/dist
#   scripts/web.sh check    that this is what is committed
set -euo pipefail
cd "$(dirname "$0")/../web"
dist=../internal/monitor/page/dist

fetch() {
	if cmp -s package-lock.json node_modules/.fetched; then return; fi
	command -v npm >/dev/null || { echo "web: npm is missing: scripts/setup.sh installs it" >&2; return 1; }
	npm ci --no-audit --no-fund --ignore-scripts --loglevel error
	cp package-lock.json node_modules/.fetched
}

build() {
	node_modules/.bin/tsc --noEmit
	node_modules/.bin/vite build --logLevel warn --outDir "$1" --emptyOutDir
}

case ${1:-} in
fetch) fetch ;;
build) fetch && build "$dist" ;;
check)
	if grep -n '"resolved"' package-lock.json; then
		echo "web/package-lock.json names a registry: npm --prefix web install with web/.npmrc leaves it out" >&2
		exit 1
	fi
	made=$(mktemp -d)
	trap 'rm -rf "$made"' EXIT
	build "$made"
	diff -r "$made" "$dist" >&2 || { echo "the page in $dist is not what make web makes: run it, and commit the difference" >&2; exit 1; }
	;;
*)
	echo "usage: scripts/web.sh fetch|build|check" >&2
	exit 2
	;;
esac
