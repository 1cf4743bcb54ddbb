# Everything a person or CI does here. `make` lists it.

GO ?= go
# Go's usual place, for shells that do not have it on PATH; bin/ first, for a Node.js that scripts/bootstrap put there.
export PATH := $(CURDIR)/bin:$(PATH):/usr/local/go/bin

# Pinned, and built from source through the module proxy into bin/: minutes the first time, nothing after that.
LINT_VERSION := v2.15.0
LINT := bin/golangci-lint-$(LINT_VERSION)

# Tests start servers and build programs, which Go's test cache does not see: a cached result would prove nothing.
TESTFLAGS ?= -count=1
# Each package's tests have a PostgreSQL and a Redis of their own, so few run side by side.
TEST := $(GO) test -p 2 -timeout 40m

# Example receivers with a package of their own, and what the browser suite needs.
NPM_DIRS := $(patsubst %/package-lock.json,%,$(wildcard examples/*/package-lock.json examples/*/*/package-lock.json cmd/web/browser/testdata/package-lock.json))
NPM_DEPS := $(addsuffix /node_modules/.package-lock.json,$(NPM_DIRS))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## install what is missing, start everything with demo data, and deliver webhooks until Ctrl-C
	@scripts/bootstrap
	@$(MAKE) --no-print-directory build
	@exec bin/web dev

.PHONY: test
test: ## install what is missing, then run every test against real PostgreSQL, Redis, Node.js and Chromium
	@scripts/bootstrap --tests
	@$(MAKE) --no-print-directory examples
	$(TEST) $(TESTFLAGS) ./...
	@set -e; for dir in $(NPM_DIRS); do echo "npm test in $$dir"; npm test --prefix $$dir --if-present; done

.PHONY: test-short
test-short: ## run the tests that need no servers
	$(TEST) -short ./...

.PHONY: test-faults
test-faults: ## break one thing after the other under 5,000 deliveries, and print how long recovery took
	KAYLEHOOKS_FAULTS=full $(GO) test -count=1 -timeout 40m -v -run '^TestFaults_' ./cmd/web

.PHONY: contract
contract: ## give every route of the API every success and error that it can have, and print the table
	$(GO) test -count=1 -v -run '^Test(Contract|Routes)_' ./internal/api

.PHONY: examples
examples: $(NPM_DEPS) ## install what the example receivers and the browser suite need
	@:

$(NPM_DEPS): %/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: build
build: ## build bin/web
	$(GO) build -o bin/web ./cmd/web

.PHONY: generate
generate: ## regenerate the Go code of the templates
	$(GO) tool templ generate

.PHONY: fmt
fmt: $(LINT) ## format Go code and templates
	$(GO) tool templ fmt .
	$(LINT) fmt

.PHONY: lint
lint: $(LINT) ## check code against the rules of .golangci.yml
	$(LINT) run

.PHONY: deadcode
deadcode: ## list functions that nothing reaches, tests included
	$(GO) tool deadcode -test ./...

# What is committed is what the tools produce. Trees are compared through an index of their own, so that this works
# with changes that are not committed yet, and changes neither them nor the index.
.PHONY: verify
verify: $(LINT) ## check that generated code and format are up to date, migrations up, down and up again, and that it builds for macOS
	@set -eu; \
	index=$$(mktemp -d); trap 'rm -rf "$$index"' EXIT; \
	tree() { GIT_INDEX_FILE="$$index/index" git add --all . && GIT_INDEX_FILE="$$index/index" git write-tree; }; \
	before=$$(tree); \
	$(MAKE) --no-print-directory generate fmt; \
	after=$$(tree); \
	if [ "$$before" != "$$after" ]; then \
		echo "verify: make generate fmt changed these files; look at them and commit:" >&2; \
		git diff --stat "$$before" "$$after" >&2; \
		exit 1; \
	fi
	@$(GO) test ./migrations -list '^TestMigrations_UpDownUp' | grep -q '^Test' || \
		{ echo "verify: migrations has no test TestMigrations_UpDownUp…" >&2; exit 1; }
	$(GO) test -count=1 -run '^TestMigrations_UpDownUp' ./migrations
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/web # scripts/bootstrap knows macOS

.PHONY: ci
ci: test lint verify ## all that CI checks

.PHONY: images
images: build ## take the pictures of docs/images from the running program
	$(GO) run ./scripts/images -web bin/web -out docs/images

.PHONY: bench
bench: ## measure throughput, latency, cost and growth on this machine, for an hour or so, into bench.json
	@scripts/bootstrap
	@$(MAKE) --no-print-directory build
	bin/web bench

.PHONY: clean
clean: ## remove what was built, but not the development data in .data/
	rm -rf bin

$(LINT):
	@echo "building golangci-lint $(LINT_VERSION); this takes some minutes, once"
	@rm -rf bin/.lint bin/golangci-lint-*
	@mkdir -p bin/.lint
	GOBIN=$(CURDIR)/bin/.lint $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv bin/.lint/golangci-lint $@
	@rmdir bin/.lint
