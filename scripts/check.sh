#!/usr/bin/env bash
# make check: everything that a reviewer should not have to look for.
set -euo pipefail
cd "$(dirname "$0")/.."

tool() { go tool -modfile=scripts/tools.mod "$@"; }
step() { printf '== %s\n' "$*"; }

step "gofmt and lint"
tool golangci-lint run --allow-serial-runners ./...

step "dead code"
dead=$(tool deadcode -test ./...)
if [ -n "$dead" ]; then
	printf '%s\n' "$dead" "remove it, or use it" >&2
	exit 1
fi

step "go.mod is tidy, and those of test/oracle and test/receiver, modules of their own"
go mod tidy -diff
for module in test/oracle test/receiver; do
	go -C "$module" mod tidy -diff
	go -C "$module" vet ./...
done

step "generated files are what go generate makes"
before=$(git status --porcelain -uno | sha256sum; git diff | sha256sum)
go generate ./...
after=$(git status --porcelain -uno | sha256sum; git diff | sha256sum)
if [ "$before" != "$after" ]; then
	git --no-pager diff --stat >&2
	echo "run make generate, read the difference, and commit it" >&2
	exit 1
fi

step "the page is what make web makes"
if [ -e web/node_modules ]; then
	scripts/web.sh check
else
	echo "skipped: no web/node_modules (scripts/setup.sh fetches it)"
fi

step "the policy: format, check, tests with full coverage"
go run ./cmd/authz-plugin policy fmt --diff rego
go run ./cmd/authz-plugin policy check rego
go run ./cmd/authz-plugin policy test rego

step "tests that try a few of many cases: all of them"
grep -rl --include='*_test.go' '"vitrine/test/long"' cmd internal | xargs -n 1 dirname | sort -u | sed 's|^|./|' | VITRINE_LONG=1 xargs go test -timeout 45m

step "the tests hold what they say: a sample of single changes, another one with each commit"
go run ./test/mutate -held -most 3 -sample 60 -seed "$(git rev-parse HEAD)"

step "tests open no folder that is not theirs: vitrine.OpenDir does it"
if git grep -nE 'Chmod\(filepath\.Dir\(.*0o?7' -- '*_test.go' ':!test/e2e/lifecycle/hostpath_test.go'; then
	exit 1
fi

step "scripts"
shellcheck scripts/*.sh .ci/run

step "known vulnerabilities"
if ! out=$(tool govulncheck ./... 2>&1); then
	case "$out" in
	*"vulnerability database"* | *"fetching vulnerabilities"* | *"vuln.go.dev"* | *"dial tcp"*) echo "skipped: no database" ;;
	*) printf '%s\n' "$out" >&2; exit 1 ;;
	esac
fi

step "the catalogue has the newest description of Docker's API that github.com/moby/moby/api has released"
modules=$(mktemp -d)
trap 'rm -rf "$modules"' EXIT
cp go.mod go.sum "$modules"
if ! out=$(go get -modfile="$modules/go.mod" github.com/moby/moby/api@latest 2>&1); then
	echo "skipped: no module proxy could be asked: ${out##*$'\n'}"
elif ! out=$(GOFLAGS="$(go env GOFLAGS) -modfile=$modules/go.mod" go test -count=1 -run '^TestNewestDescriptionIsKnown$' ./internal/engine/operation/gen 2>&1); then
	# Nothing of ours has changed by that, and what the new version brings is refused until it is taken in: so it is said, and fails nobody's change.
	printf '%s\n' "$out" "WARNING: a newer version of Docker's API can be had than the catalogue knows: docs/adding.md (An operation) says how to take it in" >&2
fi
echo "check passed"
