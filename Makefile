# Vitrine. `make help` lists the targets.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BIN         := build
VERSION     ?= $(shell scripts/version.sh)
LDFLAGS     := -s -w -X vitrine/internal/version.number=$(VERSION)
# The suites of test/e2e that CI runs on every engine: docs/engines.md says how long they take.
FAST        := callers,docs,hostpaths,plans,secrets
TOOL        := go tool -modfile=scripts/tools.mod

.DEFAULT_GOAL := help
.PHONY: help setup build test e2e test-engines test-fast unit unit-busy check generate web mutate fuzz plugin release demo bench bench-peers soak clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what the other targets need from Debian or Ubuntu packages; starts no service
	@scripts/setup.sh

build: ## Build the static binaries into build/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

test: setup ## Run every test, on real engines too (as root; about 20 minutes on 2 cores)
	VITRINE_REQUIRE=1 go test -race -timeout 30m ./...
	cd test/oracle && VITRINE_REQUIRE=1 go test -race ./...
	cd test/receiver && VITRINE_REQUIRE=1 go test -race ./...

e2e: setup ## Run suites on one engine: SUITE=bypass (default all), ENGINE=20, 26, 28 or 28c (default the installed one)
	go run ./test/matrix run $(if $(KEEP),-keep) -engines "$(ENGINE)" $(if $(SUITE),-suites $(SUITE))

test-engines: setup ## Run every suite on every engine, and keep the results for docs/engines.md (as root; about two hours)
	go run ./test/matrix run -keep -engines 20,26,28,28c
	go generate ./test/matrix

test-fast: setup ## Run the fast suites on 26, 28 and 28c (as root; a quarter of an hour)
	go run ./test/matrix run -engines 26,28,28c -suites $(FAST)

unit: ## Run the tests that need neither root nor an engine
	go test ./cmd/... ./internal/... ./rego/...
	go test -race -short ./cmd/... ./internal/... ./rego/...

unit-busy: ## Run them beside two processes that take both processors (PACKAGES=./internal/fair: some)
	scripts/busy.sh go test -race -count 1 $(or $(PACKAGES),./cmd/... ./internal/... ./rego/...)

check: setup ## Lint, vet, formatting, dead code, generated files, policies, scripts
	@scripts/check.sh

generate: ## Make the generated files again (the catalogue of operations, the table of docs/engines.md)
	go generate ./...

web: ## Build the monitor's page from web/ into internal/monitor/page/dist (needs Node)
	@scripts/web.sh build

mutate: ## Change the decision path in one place at a time, and list what its tests do not notice (PACKAGES=internal/fair SAMPLE=50: some)
	go run ./test/mutate $(if $(PACKAGES),-packages $(PACKAGES)) $(if $(SAMPLE),-sample $(SAMPLE))

fuzz: ## Fuzz every target for FUZZTIME each (default 20s)
	@scripts/fuzz.sh

plugin: ## Build the managed plugin into build/plugin (see scripts/plugin.sh)
	@scripts/plugin.sh build $(BIN)/plugin

release: setup ## Make binaries, packages, the plugin's archive, a bill of materials and checksums, in build/release (VERSION=0.1.0)
	VERSION=$(VERSION) scripts/release.sh $(BIN)/release

demo: ## Show it all on a private Engine (ENGINE=28: see e2e); ends by itself and leaves nothing running; KEEP=1: stays, with the page, until Ctrl-C
	@VITRINE_ENGINE=$(ENGINE) KEEP=$(KEEP) scripts/demo.sh

bench: setup ## Measure against named peers and floors; prints what docs/performance.md quotes
	@scripts/bench.sh

bench-peers: setup build ## Compare with HAProxy, other socket proxies and other plugins (as root; 15 minutes, PEERS=-quick: two)
	@scripts/peers.sh $(PEERS)

soak: setup ## Eight callers do everything for DURATION (default 20m, as 24h) on a private Engine; nothing may grow or be lost (as root)
	VITRINE_REQUIRE=1 VITRINE_SOAK=$(or $(DURATION),20m) go test -count=1 -timeout 0 -v -run TestSoak ./test/e2e/soak

clean: ## Remove what build made
	rm -rf $(BIN)
