#!/usr/bin/env bash
# The tests that need real systems. Their lab has its own name and network, and goes whatever happens. With 'story': only the story of a cluster, or, by
# PGFLEET_LAB_SOAK, what 'make soak' needs of it.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly state="$PWD/state/lab/test"
pgfleet() { "$CARGO_TARGET_DIR/debug/pgfleet" "$@"; }

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    pgfleet lab --name test --state "$state" down 2>/dev/null || true
    rm -rf "$state"
    exit "$status"
}

cargo build --package pgfleet
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ "${1:-}" != story ]; then
    cargo test --package pgfleet-ssh --features lab
    cargo test --package pgfleet-lab --features lab
fi
PGFLEET_LAB_STATE="$state" cargo test --package pgfleet --features lab --test lab -- --test-threads 1 --nocapture
if [ "${1:-}" != story ]; then tests/differential.sh; fi
