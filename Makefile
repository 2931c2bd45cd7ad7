# `make help` lists the targets. Each installs what it needs and is missing, as root on Debian.

SHELL := /bin/bash
PREFIX ?= /usr/local
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

# rustup's toolchain is where a root shell's PATH may not look.
export PATH := $(PATH):$(HOME)/.cargo/bin

RELEASE = $(CARGO_TARGET_DIR)/release
# The benchmark, the crash experiment and the demonstration.
TOOLS = cargo build --release --locked --quiet --package orlop-tests --bins

.DEFAULT_GOAL := help
.PHONY: help build demo test callers bench crash lab conformance lab-image lint install clean

help: ## lists the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 13

build: ## builds orlop-runc for release, one static file
	@scripts/setup build
	@scripts/build

demo: build ## shows a container from inside, and its life beside crun and runc
	@scripts/setup demo
	@$(TOOLS)
	@$(RELEASE)/demo

test: build ## runs every test (as root)
	@scripts/setup test
	@mkdir -p $(CARGO_TARGET_DIR)/lab
	@ORLOP_LOG=$(CARGO_TARGET_DIR)/lab/host.log scripts/test
	@echo "On pure cgroup v2 the same tests run with: make lab"

callers: build ## Docker, Podman, containerd, buildah over orlop-runc: docs/compatibility.md (as root)
	@scripts/setup test callers
	@scripts/callers $(CALLERS)

bench: build ## measures beside crun, runc, youki and bwrap into docs/benchmarks (as root)
	@tests/peers
	@$(TOOLS)
	@$(RELEASE)/bench --ours $(RELEASE)/orlop-runc --out docs/benchmarks $(BENCH)

crash: build ## kills `create` at random moments, writes what is left into docs/benchmarks (as root)
	@tests/peers
	@$(TOOLS)
	@$(RELEASE)/crash --ours $(RELEASE)/orlop-runc --out docs/benchmarks $(CRASH)

conformance: build $(if $(LAB),lab-image) ## runs runc's own tests over runc and over it, into docs/conformance.md (as root)
	@tests/conformance/run $(RELEASE)/orlop-runc docs/conformance.md $(if $(CONFORMANCE),'$(CONFORMANCE)')

lab: build lab-image ## runs the tests in virtual machines with cgroup v2 alone (as root)
	@tests/lab/suite

# What `make lab` boots: QEMU, and the image in the user's cache.
lab-image:
	@scripts/setup build
	@tests/lab/qemu
	@scripts/setup lab
	@tests/lab/image

lint: ## checks form, lints, documentation and dependencies
	@scripts/setup build lint
	@scripts/lint

install: ## installs what `make build` built: PREFIX=/usr/local, DESTDIR=
	@[ -x $(RELEASE)/orlop-runc ] || { echo 'make install: run `make build` first' >&2; exit 1; }
	install -D -m 755 $(RELEASE)/orlop-runc $(DESTDIR)$(PREFIX)/sbin/orlop-runc
	install -d $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(RELEASE)/orlop-runc man >$(DESTDIR)$(PREFIX)/share/man/man8/orlop-runc.8
	$(RELEASE)/orlop-runc completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/orlop-runc

clean: ## removes what was built
	cargo clean
