# What people type. 'make dev-postgresql-deploy' and 'make test' need nothing but Debian, root (or sudo) and a Rust toolchain.

SHELL       := /bin/bash
TARGET_DIR  := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
HOST        := x86_64-unknown-linux-gnu
AGENT       := $(TARGET_DIR)/$(HOST)/agent/pgfleet-agent
PGFLEET     := $(TARGET_DIR)/release/pgfleet
SUDO        := $(if $(filter 0,$(shell id -u)),,sudo)
DEV         := -i inventory/dev
# What the lab and its tests are made of.
PACKAGES    := mmdebstrap systemd-container nftables iproute2 openssh-client openssh-server postgresql-client sudo debian-archive-keyring python3 python3-venv libfaketime

BENCH       := $(SUDO) env "PATH=$$PATH" "HOME=$$HOME"

export PGFLEET_AGENT := $(AGENT)

.PHONY: build agent check advisories test test-lab soak bench bench-hosts bench-lab bench-peers clean packages
.PHONY: dev-lab-up dev-lab-down dev-postgresql-deploy dev-postgresql-status dev-postgresql-backup
.PHONY: dev-postgresql-switchover dev-postgresql-failover dev-postgresql-restore patroni-status patroni-switchover

build: agent
	cargo build --release --package pgfleet

# The agent is built on its own: a build of the whole workspace would unite its features with the controller's.
agent:
	RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static" \
		cargo build --package pgfleet-agent --profile agent --target $(HOST)

# Quick: no root, no lab.
check: agent
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

# Known holes of dependencies, and versions that were taken back: it needs the network, and 'cargo install cargo-deny'. What 'cargo deny' can
# say without (licences, bans, sources by deny.toml), 'check' does by itself.
advisories:
	cargo deny check

# Everything: what 'check' does, and real systems on a lab of its own.
test: packages check test-lab

test-lab: packages agent
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" "PGFLEET_AGENT=$(AGENT)" "CARGO_TARGET_DIR=$(TARGET_DIR)" tests/lab.sh

# Every fault at every step of every workflow, on a lab of its own: thousands of rounds of a minute or more, so days. What was tried stands in
# RECORD (state/soak.tsv), and the next 'make soak' goes on there; with MINUTES=120 no round begins after two hours. To begin anew, remove RECORD.
# SWEEP=3: instead three steps of each workflow that chance chooses, with one fault each.
soak: packages agent
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" "PGFLEET_AGENT=$(AGENT)" "CARGO_TARGET_DIR=$(TARGET_DIR)" PGFLEET_LAB_SOAK=yes PGFLEET_LAB_SWEEP=$(or $(SWEEP),all) \
		"PGFLEET_LAB_RECORD=$(abspath $(or $(RECORD),state/soak.tsv))" $(if $(MINUTES),PGFLEET_LAB_MINUTES=$(MINUTES)) tests/lab.sh story

# Our side: the inner loops, whole runs on this machine and over simulated hosts, and last on the lab. 'make bench-hosts' and 'make bench-lab' are its halves.
bench: bench-hosts bench-lab

bench-hosts: packages build
	cargo build --release --package pgfleet-ssh --examples
	cargo bench --package pgfleet-bench --features criterion
	$(BENCH) tests/bench/goals.py 'controller $(PGFLEET)' \
		$(foreach part,fanout converge push streams distance,'$(part) $(PGFLEET) $(TARGET_DIR)/release/examples') 'choices $(TARGET_DIR)/release/examples'

bench-lab: packages build
	$(BENCH) tests/bench/run.sh $(PGFLEET)

# Beside Ansible, mitogen, pyinfra and OpenSSH, over simulated hosts; pip brings them.
bench-peers: packages build
	$(BENCH) tests/bench/goals.py 'peers $(PGFLEET)'

packages:
	@missing=$$(for package in $(PACKAGES); do dpkg-query -W -f '$${db:Status-Abbrev}' $$package 2>/dev/null | grep -q '^ii' || echo $$package; done); \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi

dev-lab-up: packages build
	$(SUDO) $(PGFLEET) lab up

dev-lab-down: build
	$(SUDO) $(PGFLEET) lab down

dev-postgresql-deploy: dev-lab-up
	$(SUDO) $(PGFLEET) deploy $(DEV)

dev-postgresql-status: build
	$(SUDO) $(PGFLEET) status $(DEV)

dev-postgresql-backup: build
	$(SUDO) $(PGFLEET) backup $(DEV)
# make dev-postgresql-switchover TARGET=app-server-2.lan; without TARGET the best replica leads.
dev-postgresql-switchover patroni-switchover: build
	$(SUDO) $(PGFLEET) switchover $(DEV) $(if $(TARGET),--target $(TARGET))

# make dev-postgresql-failover TARGET=app-server-2.lan; what is lost is told first, and asked for.
dev-postgresql-failover: build
	$(SUDO) $(PGFLEET) failover $(DEV) $(if $(TARGET),--target $(TARGET))

# make dev-postgresql-restore BACKUP=20260101T000000Z; what would be done is told first, and asked for.
dev-postgresql-restore: build
	$(SUDO) $(PGFLEET) restore $(DEV) --backup $(or $(BACKUP),latest)

patroni-status: dev-postgresql-status

clean:
	cargo clean
