#!/usr/bin/env bash
# make fuzz: every fuzz target for FUZZTIME, one after another. `go test -fuzz`
# prints PASS for a target that is not in the package, so each run must show
# executions.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-20s}
grep -rlE '^func Fuzz' --include='*_test.go' cmd internal | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -rhoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/func //' | while read -r target; do
		printf '== %s %s\n' "$dir" "$target"
		out=$(go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" 2>&1) || { printf '%s\n' "$out"; exit 1; }
		grep -qE 'execs: [1-9]' <<<"$out" || { printf '%s\n' "$out"; echo "$target executed nothing" >&2; exit 1; }
	done
done
