#!/usr/bin/env bash
# make bench: Go benchmarks with allocations, other readers of cgroups on real
# files, then whole requests on real Engines against floors, REQUESTS of each
# (default 20000), an honest caller beside misbehaving ones, builds, DogStatsD against a peer and the bare socket, then what 200
# callers leave behind after a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

go test -run '^$' -bench . -benchmem ./internal/engine/operation ./internal/authz/policy ./internal/caller/identity ./internal/authz/redact ./internal/authz/gateway ./internal/authz/plugin ./internal/authz/decide | grep -E '^(pkg:|Benchmark)'
go test -run '^$' -bench . -benchtime 10x -benchmem ./internal/kernel/cgroup | grep -E '^(pkg:|Benchmark)'
go -C test/oracle test -run '^$' -bench . -benchmem -count 3 . | grep -E '^(pkg:|Benchmark)'
make build
go build -o build/bench ./test/bench
build/bench -n "${REQUESTS:-20000}" -binary build/authz-plugin
build/bench fairness -binary build/authz-plugin
build/bench build -binary build/authz-plugin
build/bench views -binary build/authz-plugin
go run ./test/bench/dogstatsd
go test -run '^$' -bench Page -benchtime 1x ./test/scale | grep ^BenchmarkPage
VITRINE_REQUIRE=1 VITRINE_LONG=1 go test -count=1 -v -run TwoHundredCallers ./test/e2e/hostile | grep -E '^(---|FAIL|ok)|_test.go'
