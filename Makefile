# Everything a person does with this checkout. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CLUSTER := e2e/cluster/cluster
NODE := node_modules/.bin/node
# The pinned Node, for every program that asks the environment for one.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help setup demo up down load images install uninstall conformance test check unit hostile monte-carlo safety chaos crossings speed bench scale soak memory lint types generate format coverage clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: node_modules/.package-lock.json ## install the npm packages (Node itself is one of them)
node_modules/.package-lock.json: package-lock.json
	@echo "installing npm packages…"; npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## the whole loop on a real node: a good change passes, bad ones are taken back (KEEP=1 leaves it running)
	@$(NODE) e2e/demo/main.ts

up: setup ## build images and bring a local Kubernetes node up with Sluice on it (PROXIES=5 OPERATORS=1)
	@$(CLUSTER) up
down: ## end the local node and leave nothing behind
	@$(CLUSTER) down
load: ## import an OCI archive into the local node (ARCHIVE=file)
	@$(CLUSTER) load "$(ARCHIVE)"
images: setup ## build the container images
	@$(CLUSTER) images
install: ## install Sluice on the cluster of SLUICE_CLUSTER=<kubeconfig>
	@$(CLUSTER) install
uninstall: ## remove Sluice, its finalizers first
	@$(CLUSTER) uninstall

conformance: setup ## the official Ingress conformance suite, on the cluster that is up (12 minutes; not part of make test)
	@$(NODE) e2e/conformance/main.ts

test: setup ## all checks and all tests; sets up what they need
	@$(NODE) scripts/test.ts
check: setup lint types ## lint, formatting, types, import rules, generated files
	@$(NODE) scripts/generate.ts --check
unit: setup ## the tests that need neither node nor API server
	@jest --testPathIgnorePatterns '\.(apiserver|node)\.test\.ts$$'
hostile: setup ## 50 000 hostile clients against the data plane (SLUICE_CONNECTIONS=, SLUICE_SEED= to repeat)
	@SLUICE_CONNECTIONS=$${SLUICE_CONNECTIONS:-50000} jest --runInBand proxy/gateway/hostile.test.ts proxy/gateway/tiny-chunks.test.ts
memory: setup ## two threads read the shared table while 20 000 generations are written (SLUICE_GENERATIONS=; some minutes)
	@SLUICE_GENERATIONS=$${SLUICE_GENERATIONS:-20000} jest --runInBand proxy/memory/versions.test.ts
monte-carlo: setup ## how often gates take good changes back, and find bad ones (RUNS=1000 SEED=1 ONLY=weekend; half an hour)
	@$(NODE) scripts/monte-carlo.ts
safety: setup ## bad changes of every kind on ten proxies are taken back, good ones are not (ONLY=, GOOD=200, PARALLEL=2, SEED=1, WRITE=1, KEEP=1; forty minutes)
	@$(NODE) e2e/safety/main.ts
chaos: setup ## thirty changes while the leading one of three operators is killed or stopped every 20 s (CHANGES=30 SEED=1 KEEP=1; ten minutes)
	@$(NODE) e2e/chaos/main.ts
speed: setup ## how long a change takes to the first batch, how long a bad one harms, what a rollout writes (CHANGES=20 BAD=10 ONLY=arrivals|harm|writes|rest KEEP=1; ten minutes)
	@$(NODE) e2e/speed/main.ts
crossings: setup ## cert-manager, external-dns, helm, kstatus, Argo CD's rules and restores meet Sluice on the real node (ONLY=, PARALLEL=4, WRITE=1, KEEP=1; half an hour)
	@$(NODE) e2e/crossings/main.ts
lint: setup ## eslint, prettier, import rules
	@npm run -s lint
types: setup ## the TypeScript compiler
	@$(NODE) node_modules/typescript/bin/tsc -p tsconfig.json
generate: setup ## write what is generated: types from crds/, docs/metrics.md from the code
	@$(NODE) scripts/generate.ts
format: setup ## prettier
	@npm run -s format
coverage: setup ## unit tests with coverage
	@jest --testPathIgnorePatterns '\.(apiserver|node)\.test\.ts$$' --coverage
bench: setup ## Sluice beside nginx, HAProxy, Caddy and Traefik on this machine, and what hosts cost it (ONLY=A,B,C,D,E,F,G,H,I ROUNDS=3 DURATION=5 HOSTS=20000 TLS_HOSTS=5000 IDLE=2000; WRITE=1 updates docs/benchmarks.md; 20 minutes)
	@$(NODE) e2e/bench/main.ts
scale: setup ## the operator with 100 000 Ingresses on a real API server (INGRESSES= PODS=50 CHANGES=50 HISTORY=2000; WRITE=1 updates docs/scale.md; half an hour)
	@$(NODE) e2e/scale/main.ts
soak: setup ## a proxy under load while ten things change every second: errors, and whether its memory grows (MINUTES=30 CHANGES=10 LOAD=70 HOSTS=5000 SEED=1; WRITE=1 updates docs/soak.md)
	@$(NODE) e2e/soak/main.ts
clean: ## remove build output (not the caches)
	@rm -rf dist coverage
