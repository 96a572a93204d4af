#!/usr/bin/env bash
# compare.sh KNOWN DIFFERENCES: every difference is known; those that are gone are told.
# A line of KNOWN is an extended regular expression for lines of the diff, then ` # ` and the reason.
set -euo pipefail
known=$1 differences=$2
status=0
unknown=$(mktemp)
cp "$differences" "$unknown"
while IFS= read -r line; do
    [ -n "$line" ] || continue
    pattern=${line%% # *}
    if ! grep -Eq -- "$pattern" "$differences"; then
        echo "no longer seen, remove it from the list: $line"
    fi
    grep -Ev -- "$pattern" "$unknown" >"$unknown.next" || true
    mv "$unknown.next" "$unknown"
done <"$known"
if [ -s "$unknown" ]; then
    echo "real and pgfleet differ (- real, + pgfleet):"
    cat "$unknown"
    status=1
fi
rm -f "$unknown"
exit "$status"
