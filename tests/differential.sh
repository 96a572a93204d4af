#!/usr/bin/env bash
# One playbook, two hosts that are alike: the real ansible-playbook runs it on one, pgfleet on the other. What they leave behind and
# what their tasks registered must be the same but for tests/differential/known.txt, and a second run of each changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=2.19.14
readonly lab=diff
readonly subnet=${PGFLEET_DIFFERENTIAL_SUBNET:-172.28.97.0/24}
readonly state="$PWD/state/lab/$lab"
readonly here="$PWD/tests/differential"
readonly venv="${XDG_CACHE_HOME:-$HOME/.cache}/pgfleet/ansible-core-$version"
work=$(mktemp -d)
readonly work
pgfleet() { "$CARGO_TARGET_DIR/debug/pgfleet" "$@"; }

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ -z "${PGFLEET_DIFFERENTIAL_KEEP:-}" ]; then
        pgfleet lab --name "$lab" --state "$state" down >/dev/null 2>&1 || true
        rm -rf "$state"
    fi
    if [ "$status" = 0 ]; then rm -rf "$work"; else echo "what was seen is kept in $work"; fi
    exit "$status"
}

# The real tool, made once.
if [ ! -x "$venv/bin/ansible-playbook" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "ansible-core==$version"
fi
trap clean_up EXIT
trap 'exit 130' INT TERM

pgfleet lab --name "$lab" --state "$state" up --subnet "$subnet"
readonly options="-F none -i $state/id_ed25519 -o UserKnownHostsFile=$state/known_hosts -o LogLevel=ERROR"
prefix=${subnet%.*}
readonly real="$prefix.20" ours="$prefix.21"
on() { local host=$1; shift; ssh $options "root@$host" "$@"; }

# Python is for the real tool; both hosts get it, to be alike.
install="apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-apt git >/dev/null"
on "$real" "$install" & on "$ours" "$install"; wait $!

for host in "$real" "$ours"; do
    printf '[target]\nnode ansible_host=%s ansible_user=root ansible_ssh_private_key_file=%s ansible_ssh_common_args="-o UserKnownHostsFile=%s"\n' \
        "$host" "$state/id_ed25519" "$state/known_hosts" >"$work/$host.ini"
done

play() { # WHO ROUND COMMAND...
    local who=$1 round=$2; shift 2
    if ! "$@" >"$work/$who.$round.txt" 2>&1; then
        cat "$work/$who.$round.txt"
        echo "$who failed in its run $round"
        return 1
    fi
}
touch "$work/ansible.cfg"
both() { # ROUND FIRST_RUN
    export ANSIBLE_CONFIG=$work/ansible.cfg ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1 LC_ALL=C.UTF-8 ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3
    play real "$1" "$venv/bin/ansible-playbook" -i "$work/$real.ini" "$here/site.yml" -e "first_run=$2" -v &
    local pid=$! failed=0
    play pgfleet "$1" pgfleet playbook "$here/site.yml" -i "$work/$ours.ini" -e "first_run=$2" -v || failed=1
    wait "$pid" || failed=1
    return "$failed"
}
collect() {
    local host
    for host in "$real" "$ours"; do
        on "$host" sh -s <"$here/collect.sh" >"$work/$host.state"
        on "$host" "python3 - /srv/differential/registered/*.json" <"$here/flatten.py" >"$work/$host.registered"
    done
}

both 1 true
collect
diff -U0 --label real --label pgfleet <(cat "$work/$real."{state,registered}) <(cat "$work/$ours."{state,registered}) | grep '^[-+]' | grep -v '^[-+][-+][-+] ' >"$work/differences" || true
"$here/compare.sh" "$here/known.txt" "$work/differences"

both 2 false
for who in real pgfleet; do
    if ! grep -Eq '^node .*changed=0 .*failed=0' "$work/$who.2.txt"; then
        grep -E '^(changed|failed|fatal)|TASK' "$work/$who.2.txt" | grep -B1 -E '^(changed|failed|fatal)' || true
        echo "the second run of $who is not without changes"
        exit 1
    fi
done
cp "$work/$ours.state" "$work/first"
collect
diff -U0 "$work/first" "$work/$ours.state" || { echo "the second run of pgfleet left something else"; exit 1; }
echo "differential: $(wc -l <"$work/$ours.state") lines of state alike, $(grep -c . "$here/known.txt") known differences, second runs without changes"
