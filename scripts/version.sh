#!/usr/bin/env bash
# Prints the version of this tree: the newest number in CHANGELOG.md, and, unless that is what the commit is tagged as,
# the commit: 0.1.0+git.24cd307a55e1.
set -euo pipefail
cd "$(dirname "$0")/.."
number=$(sed -n 's/^## \([0-9]\+\.[0-9]\+\.[0-9]\+\)\( .*\)\?$/\1/p' CHANGELOG.md | head -n 1)
number=${number:-0.0.0}
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo none)
if [ "$(git tag --points-at HEAD --list "v$number" 2>/dev/null)" = "v$number" ] && [ -z "$(git status --porcelain)" ]; then
	echo "$number"
else
	echo "$number+git.$commit"
fi
