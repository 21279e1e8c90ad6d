# `make test` is all that CI runs. It needs Rust (rustup's stable with rustfmt and clippy) and a C compiler.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: test servers format lint tests build bench pictures real

test: servers format tests

build:
	$(CARGO) build --release

# Postgres, PgBouncer and nats-server for the tests that start them. On Debian they are installed if they are missing and we
# may; elsewhere set TIDELINE_TEST_POSTGRES_URL and TIDELINE_TEST_NATS_URL, or the tests say what they leave out.
servers:
	@./.ci/install-servers

format:
	$(CARGO) fmt --all --check

# Without running anything; `make tests` finds the same.
lint:
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

# Tests of the whole system mostly wait, for kills and faults and what comes after them: they run beside the others.
TEST = $(CARGO) test --workspace --all-features
# Clippy compiles what it checks, so that a fresh machine compiles everything once. (That such artifacts may be less optimized, as its
# documentation says, is all the same to tests.)
tests: export RUSTC_WORKSPACE_WRAPPER = clippy-driver
tests: export RUSTFLAGS = -Dwarnings
tests:
	$(TEST) --no-run
	@./.ci/side-by-side "$(TEST) --lib --bins --examples --test '[!cfstw]*'" "$(TEST) --test '[cfstw]*'"
	$(TEST) --doc

# Figures of this machine; BENCH=queue, growth, scale, idle or embedded for others, ARGS="--json --rounds 5" and the like.
BENCH ?= ingest
bench: servers
	$(CARGO) build --release
	$(CARGO) build --release --package tideline-bench
	TIDELINE_BIN=$(CURDIR)/target/release/tideline $(CURDIR)/target/release/tideline-bench $(BENCH) $(ARGS)

# The pictures of the dashboard in docs/dashboard, which need Chromium; PICTURES=all also takes each page in the dark and 360 pixels
# wide, in target/dashboard.
PICTURES ?= 1
pictures:
	TIDELINE_WRITE_SCREENSHOTS=$(PICTURES) $(CARGO) test -p tideline-tests --all-features --test dashboard pictures

# Tideline against programs that nobody here wrote: Backstage, GitHub's payloads, schemathesis, … Not part of `make test`: it needs
# Python 3.9, npm and the network to install them. CASE="backstage datasette" for some; see tests/real/README.md.
real:
	$(CARGO) build --release
	TIDELINE_BIN=$(CURDIR)/target/release/tideline $(CURDIR)/tests/real/run $(CASE)
