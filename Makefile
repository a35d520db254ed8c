# Everything a developer runs. `make` alone prints what there is.

TOOL  := go tool -modfile=internal/tools/go.mod
FUZZ  ?= 30
KILLS ?= 300
CALLS ?= 600
CUTS  ?= 2000
SCHEDULES ?= 100000
SEED ?= 1
S3_SERVER ?= versitygw
BENCH ?= .
FIGURES ?=
WRITE ?=

.DEFAULT_GOAL := help
.PHONY: help gen verify lint vulns test race integration fuzz bench bench-replication cold demo faults week crash powerfail schedules release-check ci

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

gen: ## regenerate every *_drift.go
	go generate ./...

verify: ## generated code is current, files are formatted, go vet, go.mod is tidy
	go run ./cmd/driftgen -check ./...
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go mod tidy -diff

lint: ## golangci-lint with .golangci.yaml
	$(TOOL) golangci-lint run ./...

vulns: ## known vulnerabilities in what is called (needs vuln.go.dev)
	$(TOOL) govulncheck ./...

test: ## every test
	go test ./...

race: ## the concurrent packages under the race detector
	go test -race -timeout 40m . ./orm/... ./replicate/... ./s3store/... ./internal/...

integration: ## the stores and the engine against a real S3 server process; S3_SERVER=ceph, minio or rclone for others
	S3_SERVER=$(S3_SERVER) .ci/integration

cold: ## how long driftgen takes for 20 models with an empty build cache, and with a full one
	go test -count=1 -v -run 'TestSpeed|TestColdSpeed' ./internal/gen

fuzz: ## every fuzz target for FUZZ=30 seconds
	.ci/fuzz $(FUZZ)

bench: ## benchmarks of every package; BENCH=pattern
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-replication: ## the replication figures of docs/performance.md beside Litestream; FIGURES=lag,day for some, WRITE=1 puts them there
	cd bench && go run . -figures '$(FIGURES)' $(if $(WRITE),-write)

demo: ## the quick start
	go run ./examples/quickstart

faults: ## every operation of the store × every fault, at each call of a life, over memory and over HTTP
	DRIFTDB_MATRIX=1 go test -count=1 -timeout 60m -v -run TestFaultMatrix ./replicate
	DRIFTDB_MATRIX=1 go test -count=1 -timeout 60m -v -run TestLifeUnderWireFaults ./s3store

week: ## a simulated week; DRIFTDB_WEEK_SEED=1 and so on for others
	DRIFTDB_WEEK_DAYS=7 go test -count=1 -timeout 60m -v -run "TestWeek$$" ./replicate

powerfail: ## CUTS=2000 power cuts under a writer, on an ext4 of its own; needs root
	DRIFTDB_POWER_CUTS=$(CUTS) go test -count=1 -timeout 120m -v -run TestPowerFails ./internal/crashtest

crash: ## KILLS=300 writers killed with SIGKILL while they ship, and one before each of CALLS=600 system calls
	DRIFTDB_CRASH_KILLS=$(KILLS) DRIFTDB_SYSCALLS=$(CALLS) go test -count=1 -timeout 60m -v ./internal/crashtest

schedules: ## SCHEDULES=100000 random interleavings of two writers, a restorer and a pruner, from SEED=1 on
	TMPDIR=$${TMPDIR:-$$(test -d /dev/shm && echo /dev/shm || echo /tmp)} GOGC=400 DRIFTDB_SCHEDULES=$(SCHEDULES) DRIFTDB_SEED=$(SEED) \
		go test -count=1 -timeout 24h -v -run 'TestSchedules$$' ./replicate

release-check: ## .goreleaser.yaml is valid, and driftgen builds for every platform of it
	$(TOOL) goreleaser check
	$(TOOL) goreleaser build --snapshot --clean

ci: ## what CI runs, in full
	.ci/run
