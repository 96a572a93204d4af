#!/usr/bin/env bash
# Ansible's own integration targets, unmodified, with pgfleet in the place of its programs.
#
#   CHECKOUT=/src/ansible tests/ansible/targets.sh [TARGET...]
#
# The checkout is of https://github.com/ansible/ansible, a branch stable-2.19; nothing of it is kept. Without names the list beside
# this script is run. Each target has a copy of its own, a time limit (LIMIT, 120 s), and an inventory with `testhost` as a local
# connection, as ansible-test makes it. The table is written to standard output: target, pass or fail, the first error.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=${CHECKOUT:?the folder of a checkout of ansible/ansible}
pgfleet=${PGFLEET:-$here/../../target/release/pgfleet}
limit=${LIMIT:-120}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mkdir "$work/bin" "$work/home"
pgfleet=$(realpath "$pgfleet")
"$pgfleet" install-links "$work/bin" >/dev/null 2>&1 ||
    for name in ansible ansible-playbook ansible-inventory; do ln -sf "$pgfleet" "$work/bin/$name"; done

[ $# -gt 0 ] || set -- $(grep -v '^#' "$here/targets.txt")
passed=0
echo '| target | result | why |'
echo '| --- | --- | --- |'
for target in "$@"; do
    folder=$work/targets/$target
    mkdir -p "$work/targets"
    if ! cp -r "$checkout/test/integration/targets/$target" "$folder" 2>/dev/null; then
        echo "| $target | - | not in this checkout |"
        continue
    fi
    # What other targets prepare is found beside it, as in the checkout.
    for needed in "$checkout"/test/integration/targets/{setup_remote_tmp_dir,prepare_tests,collection}; do
        [ -e "$needed" ] && cp -rn "$needed" "$work/targets/"
    done
    cat >"$work/inventory" <<END
[testgroup]
testhost ansible_connection=local ansible_host=localhost output_dir=$work/output remote_tmp_dir=$work/tmp
END
    rm -rf "$work/output"; mkdir -p "$work/output" "$work/tmp"
    if [ -x "$folder/runme.sh" ]; then
        command=(./runme.sh)
        where=$folder
    else
        printf -- '- hosts: testhost\n  gather_facts: true\n  roles: [%s]\n' "$target" >"$work/targets/run-$target.yml"
        command=(ansible-playbook -i ../inventory "run-$target.yml" -e "output_dir=$work/output")
        where=$work/targets
    fi
    (cd "$where" && env -u ANSIBLE_CONFIG -u CHECKOUT PATH="$work/bin:$PATH" HOME="$work/home" OUTPUT_DIR="$work/output" INVENTORY_PATH="$work/inventory" \
        ANSIBLE_ROLES_PATH="$work/targets" ANSIBLE_NOCOLOR=1 \
        timeout --kill-after 5 "$limit" "${command[@]}") >"$work/log" 2>&1
    status=$?
    [ -z "${LOGS:-}" ] || { mkdir -p "$LOGS"; cp "$work/log" "$LOGS/$target.log"; }
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        echo "| $target | pass | |"
    else
        why=$(grep -aiE '^(error|fatal|\[ERROR\])|FAILED!|is not|no module|unsupported|not found' "$work/log" | head -1 | tr '|\n' '/ ' | sed "s#$work/targets/##g" | cut -c1-150)
        [ "$status" != 124 ] || why="longer than $limit s; $why"
        echo "| $target | fail | ${why:-exit code $status} |"
    fi
done
echo
echo "$passed of $# pass"
