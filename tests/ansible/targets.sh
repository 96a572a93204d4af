#!/usr/bin/env bash
# Ansible's own integration targets, unmodified, with pgfleet in the place of its programs.
#
#   CHECKOUT=/src/ansible [REAL=/venv/bin] tests/ansible/targets.sh [TARGET...]
#
# The checkout is of https://github.com/ansible/ansible, a branch stable-2.19; nothing of it is kept. Without names the list beside
# this script is run. Each target has a copy of its own, the environment and the inventory that ansible-test gives it, and a time
# limit (LIMIT, 120 s). REAL, the folder of the real programs, has them do the same on the same machine, for comparison;
# PGFLEET=none leaves pgfleet out. LOGS keeps what was printed. The table is written to standard output.
#
# A target runs in a mount namespace of its own, in which the system's folders are overlays: what it writes there is gone afterwards.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(realpath "${CHECKOUT:?the folder of a checkout of ansible/ansible}")
pgfleet=${PGFLEET:-$here/../../target/release/pgfleet}
limit=${LIMIT:-120}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unshare --mount true 2>/dev/null || { echo 'targets.sh: needs root, for a mount namespace of each target' >&2; exit 1; }

python=$(python3 -c 'import sys; print(sys.executable)')
mkdir "$work/tools" && ln -s "$python" "$work/tools/python" && ln -s "$python" "$work/tools/python3"
programs=()
if [ "$pgfleet" != none ]; then
    mkdir "$work/pgfleet"
    "$(realpath "$pgfleet")" install-links "$work/pgfleet" >/dev/null || exit 1
    programs+=(pgfleet)
fi
if [ -n "${REAL:-}" ]; then
    ln -s "$(realpath "$REAL")" "$work/real"
    programs+=(real)
fi

# Standard input of the shell inside of the namespace: overlays on the system's folders, then the target.
isolate='
for folder in etc home opt root srv usr var; do
    mkdir -p "$SCRATCH/$folder/above" "$SCRATCH/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$SCRATCH/$folder/above,workdir=$SCRATCH/$folder/work" "/$folder" || exit 125
done
cd "$WHERE" && exec timeout --kill-after 5 "$LIMIT" "$@"'

# Runs a target by one of the programs; its exit code is left in $status, what it printed in $work/log.
run() {
    local program=$1 target=$2 folder=$work/targets/$2 interpreter=$python needed command where
    rm -rf "$work/targets" "$work/output" "$work/home" "$work/tmp"
    umount "$work/scratch" 2>/dev/null
    mkdir -p "$work/targets" "$work/output" "$work/home" "$work/tmp" "$work/scratch"
    mount -t tmpfs tmpfs "$work/scratch" || exit 1
    cp -r "$checkout/test/integration/targets/$target" "$folder"
    # What other targets prepare is found beside it, as in the checkout; what would change the system is not.
    for needed in setup_remote_tmp_dir prepare_tests collection support-callback_plugins \
        $(sed -n 's#^needs/target/\([a-z_-]*\).*#\1#p' "$folder/aliases" 2>/dev/null); do
        case $needed in setup_test_user | setup_pexpect | "$target") continue ;; esac
        cp -rn "$checkout/test/integration/targets/$needed" "$work/targets/" 2>/dev/null
    done
    [ "$program" = pgfleet ] || interpreter=$work/real/python
    printf '[testgroup]\ntesthost ansible_connection=local ansible_pipelining=yes ansible_python_interpreter=%s\n' "$interpreter" >"$work/inventory"
    echo '# nothing' >"$work/ansible.cfg"
    if [ -x "$folder/runme.sh" ]; then
        command=(./runme.sh)
        where=$folder
    else
        local gather=true
        grep -qs '^gather_facts/no' "$folder/aliases" && gather=false
        printf -- '- hosts: testhost\n  gather_facts: %s\n  vars: {output_dir: %s}\n  roles: [%s]\n' \
            "$gather" "$work/output" "$target" >"$work/$target.yml"
        command=(ansible-playbook "$target.yml" -i inventory)
        where=$work
    fi
    (env -u CHECKOUT -u PGFLEET -u REAL -u LOGS -u PYTHONPATH PATH="$work/$program:$work/tools:$PATH:$checkout/test/lib/ansible_test/_util/controller/tools" \
        HOME="$work/home" TMPDIR="$work/tmp" OUTPUT_DIR="$work/output" INVENTORY_PATH="$work/inventory" ANSIBLE_PLAYBOOK_DIR="$where" \
        ANSIBLE_ROLES_PATH="$([ "$where" = "$work" ] && echo "$work/targets")" ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_FORCE_COLOR=false \
        ANSIBLE_FORCE_HANDLERS=true ANSIBLE_HOST_PATTERN_MISMATCH=error ANSIBLE_INVENTORY=/dev/null ANSIBLE_DEPRECATION_WARNINGS=false \
        ANSIBLE_HOST_KEY_CHECKING=false ANSIBLE_RETRY_FILES_ENABLED=false ANSIBLE_LIBRARY=/dev/null ANSIBLE_DEVEL_WARNING=false PAGER=/bin/cat \
        SCRATCH="$work/scratch" WHERE="$where" LIMIT="$limit" LC_ALL=C.UTF-8 \
        unshare --mount bash -c "$isolate" bash "${command[@]}") >"$work/log" 2>&1 </dev/null
    status=$?
    umount "$work/scratch" 2>/dev/null
    [ -z "${LOGS:-}" ] || { mkdir -p "$LOGS"; cp "$work/log" "$LOGS/$target.$program.log"; echo "$status" >"$LOGS/$target.$program.status"; }
}

# The first complaint in what was printed.
complaint() {
    grep -aiE '^(error|fatal|\[ERROR\])|FAILED!|is not|no module|unsupported|not found' "$work/log" | head -1 | tr '|\n' '/ ' |
        sed "s#$work/[a-z]*/##g" | cut -c1-150
}

[ $# -gt 0 ] || set -- $(sed -nE 's/^([a-z][A-Za-z0-9_-]*).*/\1/p' "$here/targets.txt")
declare -A passed
echo "| target |$(printf ' %s |' "${programs[@]}") why |"
echo "| --- |$(printf ' --- |%.0s' "${programs[@]}") --- |"
for target in "$@"; do
    [ -d "$checkout/test/integration/targets/$target" ] || { echo "| $target |$(printf ' - |%.0s' "${programs[@]}") not in this checkout |"; continue; }
    row="| $target |"
    why=
    for program in "${programs[@]}"; do
        run "$program" "$target"
        case $status in
        0) row+=' pass |'; passed[$program]=$((${passed[$program]:-0} + 1)) ;;
        124) row+=' too long |'; why=${why:-$(complaint)} ;;
        *) row+=' fail |'; why=${why:-$(complaint)}; why=${why:-exit code $status} ;;
        esac
    done
    echo "$row $(sed -n "s/^$target: //p" "$here/targets.txt" | head -1 | grep . || echo "$why") |"
done
echo
for program in "${programs[@]}"; do echo "$program: ${passed[$program]:-0} of $# pass"; done
