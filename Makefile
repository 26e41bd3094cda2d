SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --warn-undefined-variables --no-print-directory
.DEFAULT_GOAL := help

GO ?= go
BIN := $(CURDIR)/.tmp/bin
GOLANGCI_VERSION := v2.15.0
# A number of inputs, not a time: with a time, go test sometimes takes the end of it for a failure ("context deadline exceeded").
FUZZTIME ?= 10000x
BENCHTIME ?= 0.3s
BENCHCOUNT ?= 5

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## tell the whole story of a purchase with the real programs, scenario files included (start here)
	@$(GO) run ./examples/quickstart

.PHONY: test
test: ## run all tests
	$(GO) test ./...

.PHONY: race
race: ## run all tests under the race detector, in random order
	$(GO) test -race -shuffle=on ./...

.PHONY: crash
crash: ## the crash test in its long form: 2,000 orders in flight, 20 processes killed; with PostgreSQL too if ISVKIT_TEST_POSTGRES names one
	ISVKIT_TEST_CRASH=full $(GO) test -count=1 -v -timeout 30m -run '^TestCrash_' ./sandbox/cmd/isv-sandbox

.PHONY: build
build: ## build isv-sandbox and isv-conformance into .tmp/bin
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./sandbox/cmd/isv-sandbox ./conformance/cmd/isv-conformance

.PHONY: generate
generate: ## make the generated files anew from the documents in openapi/
	$(GO) generate ./...

.PHONY: check-generate
check-generate: generate ## fail if the generated files were not current
	@git diff --exit-code --stat -- '*.gen.go' || { echo 'generated files were not current: run make generate and commit' >&2; exit 1; }

.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_VERSION) ## run golangci-lint
	$< run ./...

$(BIN)/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(BIN)
	GOBIN=$(BIN) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BIN)/golangci-lint $@

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 10000x, that many inputs)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

.PHONY: bench
bench: ## measure, and compare with the targets; the comparison with the vendor's SDK downloads it (47 MB)
	@mkdir -p .tmp
	@$(GO) test -p 1 -run '^$$' -bench . -skip '^Benchmark(Year|Load)$$' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) ./sdk/... ./sandbox/... | tee .tmp/bench.txt
	@$(GO) test -run '^$$' -bench '^BenchmarkSuite' -benchtime 1x -count $(BENCHCOUNT) ./conformance | tee -a .tmp/bench.txt
	@cd sdk/signature/vendorbench && $(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) . | tee -a $(CURDIR)/.tmp/bench.txt
	@$(GO) run .ci/bench.go .ci/bench-targets <.tmp/bench.txt

.PHONY: bench-year
bench-year: ## take 10,000 instances through a year in the sandbox, and tell time and memory
	@$(GO) test -run '^$$' -bench '^BenchmarkYear$$' -benchtime 1x -v ./sandbox

.PHONY: bench-load
bench-load: ## make 100,000 deliveries, and tell time and memory; with PostgreSQL too if ISVKIT_TEST_POSTGRES names one
	@$(GO) test -run '^$$' -bench '^BenchmarkLoad$$' -benchtime 1x -timeout 60m -v ./sandbox

.PHONY: cross
cross: ## compile for linux, darwin and windows
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
	  echo "$$os/$$arch"; CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -o /dev/null ./... ; \
	done; done

.PHONY: clean
clean: ## remove what was built here
	rm -rf .tmp
