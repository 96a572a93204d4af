#!/usr/bin/env bash
# What pgfleet costs, beside a shell script and beside Ansible, measured in one run on one lab of this machine. As root.
#
# usage: run.sh PGFLEET          variables: ROUNDS (2 cold deploys of each), RUNS (10 no-change deploys), ANSIBLE_RUNS (2), BACKUPS (3),
#                                FAR_RUNS (3), ROUND_TRIP (50, in ms), ANSIBLE_CORE (what pip installs: ansible-core), PYTHON (/usr/bin/python3)
#
# cold deploy       pgfleet on four fresh guests, against deploy.sh on four fresh guests; then the cluster must be healthy and
#                   the packages the same. What the guests' apt needs is fetched before. Who begins alternates.
# no-change deploy  pgfleet, against ansible-core with the very same playbook, templates and variables, with pipelining and
#                   without facts. All must report the same number of tasks, none changed.
# with TLS          the whole playbook, with TLS everywhere as a cluster has it by default: pgfleet alone, on the cluster that went over to it
# distance          what a no-change deploy takes longer through a relay that makes each round trip last 50 ms, in round trips
# backup            of a database of 400 MB from a replica, against 'pg_dump -Fc' of the same, piped through ssh into a file;
#                   with the same compression, then with what pgfleet chooses.
# switchover        the longest gap that a client sees which writes every 20 ms through HAProxy, leader to leader, time after time;
#                   patronictl with HAProxy's sample checks was measured at 6.3 to 8.7 s on other machines.
# Exit code 0: everything was measured, whether its goal is met or not.
set -euo pipefail

[ $# -eq 1 ] && [ -x "$1" ] || { sed -n '4,5s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "bench: root is needed for the lab: make bench" >&2; exit 2; }
pgfleet=$(realpath "$1") here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../.." && pwd)
rounds=${ROUNDS:-2} runs=${RUNS:-10} ansible_runs=${ANSIBLE_RUNS:-2} backups=${BACKUPS:-3} switchovers=${SWITCHOVERS:-10} far_runs=${FAR_RUNS:-3} round_trip=${ROUND_TRIP:-50} python=${PYTHON:-/usr/bin/python3}
venv=${XDG_CACHE_HOME:-$HOME/.cache}/pgfleet/bench/venv subnet=172.28.7
work=$(mktemp -d /tmp/pgfleet-bench.XXXXXX)
lab=$work/lab inventory=$work/lab/inventory/hosts.yml first=root@$subnet.10 child='' began=$SECONDS
targets=("$first" "root@$subnet.20" "root@$subnet.21" "root@$subnet.30")
export LC_ALL=C.UTF-8
unset PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED "${!ANSIBLE_@}" "${!PGFLEET_@}"

say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*"; }
die() { echo "bench: $*" >&2; exit 1; }

clean_up() {
    local status=$? socket
    trap '' EXIT INT TERM HUP
    if [ -n "$child" ]; then kill "$child" 2>/dev/null && wait "$child" || true; fi
    for socket in "$work"/ssh/*; do [ -S "$socket" ] && ssh -o ControlPath="$socket" -O exit bench 2>/dev/null; done
    if [ -e "$lab" ]; then lab_is down || { echo "bench: the lab is left in $lab: $pgfleet lab --name bench --state $lab down" >&2; exit 1; }; fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# limited SECONDS COMMAND...: in the background, so that an interrupt need not wait for it.
limited() {
    local status=0
    timeout -k 10 "$@" & child=$!
    wait "$child" || status=$?
    child=''
    [ $status -ne 124 ] || echo "bench: no end after $1 s: ${*:2}" >&2
    return $status
}
# measured NAME SECONDS COMMAND...: adds 'seconds peak-kB' to the file NAME, leaves the output in NAME.log.
measured() {
    limited "$2" "$python" "$here/measure.py" "$work/$1.log" "${@:3}" >> "$work/$1" && return 0
    tail -n 30 "$work/$1.log" >&2
    die "$1 failed"
}
# Also called by the trap, where a bare return would give the status of before it.
lab_is() {
    limited 900 "$pgfleet" --project "$work/project" lab --name bench --state "$lab" "$@" > "$work/lab.log" 2>&1 && return 0
    tail -n 20 "$work/lab.log" >&2
    return 1
}
fresh_guests() {
    if [ -e "$lab" ]; then lab_is down || die "the lab could not be taken down"; fi
    rm -rf "$lab" "$work/project/state"
    lab_is up --subnet "$subnet.0/24" || die "the lab could not be booted"
    # The certificate authority is pgfleet's own; the other sides have none.
    mkdir -p "$lab/inventory/group_vars" && echo 'postgresql_tls: "off"' > "$lab/inventory/group_vars/all.yml"
}
on() { limited 300 ssh -i "$lab/id_ed25519" -o UserKnownHostsFile="$lab/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=10 "$@"; }
everywhere() { local target; for target in "${targets[@]}"; do on "$target" "$@" < /dev/null || die "$target: '$1' failed"; done; }

column() { awk -v n="$2" '{ print $n }' "$work/$1" | sort -g; }
median() { column "$1" "${2:-1}" | awk '{ v[NR] = $1 } END { printf "%.3f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
least() { column "$1" "${2:-1}" | head -n 1; }
most() { column "$1" "${2:-1}" | tail -n 1; }
divide() { awk -v a="$1" -v b="$2" -v digits="${3:-2}" 'BEGIN { printf "%.*f", digits, a / b }'; }
# The recap of the run in NAME.log, summed over all hosts.
recap() {
    awk -F'[ =]+' '/ : ok=/ { for (i = 3; i < NF; i += 2) sum[$i] += $(i + 1) }
        END { printf "ok=%d changed=%d unreachable=%d failed=%d skipped=%d", sum["ok"], sum["changed"], sum["unreachable"], sum["failed"], sum["skipped"] }' "$work/$1.log"
}

# --- Before anything is measured -------------------------------------------------------------------------------------

prepare_ansible() {
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        limited 300 apt-get -qq update && limited 300 env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install python3-venv \
            > "$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; die "python3-venv could not be installed"; }
    fi
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv" || die "no virtual environment in $venv"
    limited 300 "$venv/bin/pip" install --quiet --disable-pip-version-check "${ANSIBLE_CORE:-ansible-core}" || die "pip could not install ${ANSIBLE_CORE:-ansible-core}"
    ansible_version=$("$venv/bin/python" -c 'import ansible.release; print(ansible.release.__version__)')
}

# What only pgfleet can do is left out of the copy that both sides run: the lease, telling leftovers apart, restoring a backup into a new cluster,
# keys and certificates, keeping etcd's leader elsewhere, reloading HAProxy with what it knows; asking etcd and Patroni in whichever way they answer is asking in the clear.
leave_out_own_modules() {
    "$python" - "$work/project/playbooks/postgresql" <<'END' || die "the playbook is not as it was when this benchmark was written"
import pathlib, re, sys
folder = pathlib.Path(sys.argv[1])
def without(path, start, names):
    head, *parts = re.split(rf"(?m)^(?={start}- name: )", path.read_text())
    kept = [part for part in parts if not any(f"- name: {name}" in part.split("\n", 1)[0] for name in names)]
    assert len(kept) == len(parts) - len(names), names
    path.write_text(head + "".join(kept))
without(folder / "deploy.yml", "", ["Nothing of another cluster", "Databases of a backup", "Two leaders on two hosts"])
without(folder / "tasks/preflight.yml", "", ["Tell apart what an earlier try left", "Look again at what was wiped"])
without(folder / "tasks/haproxy.yml", "", ["Let HAProxy read its changed configuration"])
without(folder / "tasks/tls.yml", "", ["Make the node's key", "Let the cluster's authority sign the keys"])
for path in folder.rglob("*.yml"):
    path.write_text(re.sub(r"\b(etcd|patroni)://", "http://", path.read_text()))
END
}

# Both sides find the same packages fetched, and each guest all of its own.
fetch_packages() {
    everywhere "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y -d --no-install-recommends install python3-apt \
        postgresql-$version postgresql-client-$version patroni python3-etcd etcd-client etcd-server haproxy > /dev/null"
}
fetched() { everywhere 'ls /var/cache/apt/archives' > "$work/$1.fetched"; }

# --- Cold deploy -----------------------------------------------------------------------------------------------------

deploy_with_pgfleet() { measured pgfleet 600 "$pgfleet" --project "$work/project" deploy -i "$inventory"; }
deploy_with_script() { measured script 600 env TMPDIR="$work" "$here/deploy.sh" -i "$lab/id_ed25519" -k "$lab/known_hosts" -v "$version" "${targets[@]}"; }

cold_deploy() {
    local name=$1
    fresh_guests
    fetched before
    "deploy_with_$name"
    limited 90 "$python" "$here/healthy.py" "$subnet.10" "${#targets[@]}" || die "$name left no healthy cluster"
    fetched after
    cmp -s "$work/before.fetched" "$work/after.fetched" || die "$name had to fetch packages: $(diff "$work/before.fetched" "$work/after.fetched" | tr '\n' ' ')"
    everywhere 'hostname; dpkg-query -W' > "$work/$name.packages"
    say "cold deploy by $name: $(tail -n 1 "$work/$name" | cut -d' ' -f1) s"
}

# --- No-change deploy ------------------------------------------------------------------------------------------------

unchanged() {
    [[ $(recap "$1") == ok=[1-9]*' changed=0 unreachable=0 failed=0 '* ]] && return 0
    awk '/^TASK|^RUNNING HANDLER/ { task = $0 } /^changed: / || / changed / { print task; print substr($0, 1, 300) }' "$work/$1.log" >&2
    die "$1 is no run without a change: $(recap "$1")"
}

# The runs of pgfleet are spread over those of Ansible, since a machine is not the same all the time.
no_change() {
    local run told=0
    prepare_playbook_for_ansible
    for ((run = 1; run <= runs; run++)); do
        measured same 60 "$pgfleet" --project "$work/project" deploy -i "$inventory"
        unchanged same
        while ((told < ansible_runs && run * ansible_runs >= (told + 1) * runs)); do
            told=$((told + 1))
            say "no-change deploy by pgfleet: $(median same) s ($(recap same))"
            no_change_by_ansible
        done
    done
    [ "$(recap ansible)" = "$(recap same)" ] || die "not the same tasks: $(recap same) by pgfleet, $(recap ansible) by Ansible"
}

no_change_by_ansible() {
    # As fast as it can be: no facts, no search for Python, no copies of modules on the host, one connection kept for all runs.
    measured ansible 400 env ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_HOME="$work/ansible.home" ANSIBLE_PIPELINING=True ANSIBLE_FORKS=10 \
        ANSIBLE_GATHERING=explicit ANSIBLE_NOCOLOR=1 ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ANSIBLE_SSH_CONTROL_PATH_DIR="$work/ssh" \
        ANSIBLE_SSH_ARGS='-o ControlMaster=auto -o ControlPersist=120s' "$venv/bin/ansible-playbook" -i "$inventory" \
        -e "@$root/playbooks/postgresql/vars/defaults.yml" -e "@$work/vars.json" "$work/project/playbooks/postgresql/deploy.yml"
    unchanged ansible
    say "the same by ansible-core: $(tail -n 1 "$work/ansible" | cut -d' ' -f1) s ($(recap ansible))"
}

prepare_playbook_for_ansible() {
    local agent
    # Ansible's apt needs this; else it would install it, which is a change.
    everywhere 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install python3-apt > /dev/null'
    agent=$(on "$first" 'ls /var/lib/pgfleet/agent/*/pgfleet-agent' < /dev/null)
    echo '[defaults]' > "$work/ansible.cfg"
    ln -s ../../templates "$work/project/playbooks/postgresql/templates"
    "$python" - "$work/project/state/postgresql/secrets" "$version" "$agent" > "$work/vars.json" <<'END'
import json, pathlib, sys
names = {"superuser": "postgresql_superuser_password", "replication": "postgresql_replication_password", "rewind": "postgresql_rewind_password",
         "app": "postgresql_app_password", "readonly": "postgresql_readonly_password", "patroni_rest": "patroni_rest_password",
         "haproxy_stats": "haproxy_stats_password", "etcd": "etcd_password", "etcd_admin": "etcd_admin_password", "app_scram": "postgresql_app_scram", "readonly_scram": "postgresql_readonly_scram"}
found = {name: pathlib.Path(sys.argv[1], file).read_text().rstrip("\n") for file, name in names.items()}
# What is given later wins, over the defaults too.
print(json.dumps(found | {"postgresql_version": int(sys.argv[2]), "pgfleet_agent_path": sys.argv[3], "postgresql_tls": "off"}))
END
}

# --- Distance --------------------------------------------------------------------------------------------------------

# distance NAME: both sides go through the relay, whose own start is no round trip. All nodes are worked on at once: what is counted is the slowest one's.
distance() {
    local run wait
    for ((run = 1; run <= far_runs; run++)); do
        for wait in 0 "$round_trip"; do
            measured "$1.$wait" 120 "$pgfleet" --project "$work/project" deploy -i "$inventory" \
                -e "{\"ansible_ssh_extra_args\": \"-o 'ProxyCommand=$python $here/relay.py - %h %p $wait'\"}"
            unchanged "$1.$wait"
        done
    done
    paste "$work/$1.0" "$work/$1.$round_trip" | awk -v t="$round_trip" '{ printf "%.1f\n", ($3 - $1) * 1000 / t }' > "$work/$1"
    say "no-change deploy with $round_trip ms: $(column "$1" 1 | tr '\n' ' ')round trips"
}

# --- With TLS --------------------------------------------------------------------------------------------------------

# Without a playbook of its own the project has the one in pgfleet.
with_tls() {
    local run
    rm -r "$work/project/playbooks" "$work/project/templates" "$lab/inventory/group_vars/all.yml"
    measured move 600 "$pgfleet" --project "$work/project" deploy -i "$inventory"
    say "the cluster went over to TLS: $(tail -n 1 "$work/move" | cut -d' ' -f1) s"
    for ((run = 1; run <= runs; run++)); do
        measured tls 60 "$pgfleet" --project "$work/project" deploy -i "$inventory"
        unchanged tls
    done
    say "no-change deploy with TLS: $(median tls) s ($(recap tls))"
    distance far_tls
}

# --- Backup ----------------------------------------------------------------------------------------------------------

psql_on() { on "$1" "cd / && runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -d application -c $(printf %q "$2")" < /dev/null; }

# A third of each row is new, the rest repeats itself.
make_data() {
    psql_on "$1" "CREATE TABLE bench AS SELECT n, md5(n::text) AS a, md5((n * 7)::text) AS b, repeat(md5((n % 1000)::text), 4) AS c
        FROM generate_series(1, 1500000) AS n" > /dev/null
}

backup_speed() {
    local names=(controller.lan app-server-1.lan app-server-2.lan builder.lan) index replica='' node='' run
    for index in "${!targets[@]}"; do
        if [ "$(psql_on "${targets[index]}" 'SELECT pg_is_in_recovery()')" = f ]; then
            make_data "${targets[index]}"
        else
            replica=${targets[index]} node=${names[index]}
        fi
    done
    [ -n "$replica" ] || die "no replica to read from"
    for ((run = 0; run < 120; run++)); do
        [ "$(psql_on "$replica" 'SELECT count(*) FROM bench' 2>/dev/null)" = 1500000 ] && break
        sleep 1
    done
    for ((run = 1; run <= backups; run++)); do
        measured dump 300 ssh -i "$lab/id_ed25519" -o UserKnownHostsFile="$lab/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes "$replica" \
            'cd / && runuser -u postgres -- pg_dump -Fc application'
        measured backup 300 "$pgfleet" --project "$work/project" backup -i "$inventory" --from "$node" --no-counts -e backup_compress=6
        measured backup_quick 300 "$pgfleet" --project "$work/project" backup -i "$inventory" --from "$node"
        say "backup: $(tail -n 1 "$work/backup" | cut -d' ' -f1) s, pg_dump through ssh: $(tail -n 1 "$work/dump" | cut -d' ' -f1) s"
        rm -f "$work/dump.log"
    done
}

# --- Switchover ------------------------------------------------------------------------------------------------------

# Each run adds 'gap-ms missing-rows' of the worse of both ways.
switchover_gaps() {
    local run
    for ((run = 1; run <= switchovers; run++)); do
        limited 300 "$pgfleet" --project "$work/project" switchover -i "$inventory" -o json > "$work/switchover.log" || die "switchover failed: $(tail -n 3 "$work/switchover.log")"
        "$python" - "$work/switchover.log" >> "$work/switchover" <<'END' || die "no gap was told: $(tail -n 3 "$work/switchover.log")"
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
told = [event["result"]["data"] for event in events if event["event"] == "host_done" and "longest_gap_ms" in event["result"]["data"]]
print(told[-1]["longest_gap_ms"], told[-1]["missing"])
END
    done
    say "switchover: gaps of $(column switchover 1 | tr '\n' ' ')ms, missing rows $(column switchover 2 | tail -n 1)"
}

# --- Sizes -----------------------------------------------------------------------------------------------------------

sizes() {
    everywhere 'sed -n "s/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$(systemctl show -p MainPID --value pgfleet-agent)/status"' > "$work/daemon"
    [ "$(wc -l < "$work/daemon")" = "${#targets[@]}" ] || die "the agent's service does not run on every node"
    on "$first" stat -c %s /usr/local/lib/pgfleet/pgfleet-agent < /dev/null > "$work/agent"
}

# --- All of it -------------------------------------------------------------------------------------------------------

# row WHAT OURS OTHER RATIO RELATION GOAL: the ratio, or without one our own value, against the goal
row() {
    local goal='' verdict='' unit=x
    if [ -n "${5:-}" ]; then
        [ -n "$4" ] || unit=" ${2#* }"
        goal="$5 $6$unit"
        verdict=$(awk -v m="${4:-${2%% *}}" -v r="$5" -v g="$6" 'BEGIN { print (r == "<=" ? m + 0 <= g : r == ">=" ? m + 0 >= g : m + 0 < g) ? "met" : "MISSED" }')
    fi
    printf '%-42s %-12s %-20s %-8s %-10s %s\n' "$1" "$2" "${3:-}" "${4:+$4x}" "$goal" "$verdict"
}

load() { cut -d' ' -f1-3 /proc/loadavg; }
load_before=$(load)
mkdir -p "$work/project/inventory" "$work/ssh"
cp -r "$root/playbooks" "$root/templates" "$work/project/"
leave_out_own_modules
prepare_ansible
say "ansible-core $ansible_version"
fresh_guests
version=$(awk '$1 == "postgresql_version:" { print $2; exit }' "$inventory")
fetch_packages
say "packages fetched, nothing measured yet"
for ((round = rounds; round > 0; round--)); do
    # The last is pgfleet's, whose cluster the rest is measured on.
    if ((round % 2)); then order=(script pgfleet); else order=(pgfleet script); fi
    for name in "${order[@]}"; do cold_deploy "$name"; done
done
diff "$work/script.packages" "$work/pgfleet.packages" > "$work/packages.diff" || die "not the same packages: $(head -n 20 "$work/packages.diff")"
no_change
distance far
backup_speed
switchover_gaps
with_tls
sizes

cold=$(median pgfleet) script=$(median script) same=$(median same) ansible=$(median ansible)
cold_ratio=$(divide "$cold" "$script") same_ratio=$(divide "$ansible" "$same" 0)
echo
printf '%-42s %-12s %-20s %-8s %-10s\n' "four nodes" pgfleet "compared with" ratio goal
row "cold deploy (median of $rounds)" "$(divide "$cold" 1 1) s" "$(divide "$script" 1 1) s, shell script" "$cold_ratio" '<=' 1.1
row "no-change deploy (median of $runs)" "$(divide "$same" 1) s" "" "" '<' 0.6
row "  fastest and slowest of them" "$(divide "$(least same)" 1) s" "$(divide "$(most same)" 1) s"
row "  ansible-core (median of $ansible_runs)" "$(divide "$same" 1) s" "$(divide "$ansible" 1 1) s, ansible" "$same_ratio" '>=' 50
row "  the controller's peak memory" "$(divide "$(most same 2)" 1000 1) MB"
row "  round trips of $round_trip ms (median of $far_runs)" "$(divide "$(median far)" 1 1) trips" "" "" '<=' 12
row "  with TLS everywhere (median of $runs)" "$(divide "$(median tls)" 1) s" "" "" '<' 0.6
row "  fastest and slowest of them" "$(divide "$(least tls)" 1) s" "$(divide "$(most tls)" 1) s"
row "  its round trips (median of $far_runs)" "$(divide "$(median far_tls)" 1 1) trips" "" "" '<=' 12
row "backup of 400 MB (median of $backups)" "$(divide "$(median backup)" 1 1) s" "$(divide "$(median dump)" 1 1) s, pg_dump | ssh" "$(divide "$(median dump)" "$(median backup)")" '>=' 0.9
row "  as pgfleet compresses, rows counted" "$(divide "$(median backup_quick)" 1 1) s" "$(divide "$(median dump)" 1 1) s, pg_dump | ssh" "$(divide "$(median dump)" "$(median backup_quick)")"
row "  the controller's peak memory" "$(divide "$(most backup 2)" 1000 1) MB"
row "switchover: a client's gap (median of $switchovers)" "$(divide "$(median switchover)" 1000 1) s"
row "  the longest of them" "$(divide "$(most switchover)" 1000 1) s" "$(most switchover 2) rows missing" "" '<' 3
row "agent: its size" "$(divide "$(cat "$work/agent")" 1000000) MB" "" "" '<' 3
row "agent: memory of its daemon, most of four" "$(divide "$(most daemon)" 1000) MB" "" "" '<' 10
echo
echo "$(nproc) processors, load $load_before before and $(load) after; $(recap same); ansible-core $ansible_version, PostgreSQL $version."
