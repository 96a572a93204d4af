# Says why something that was waited for did not come: units, their last words, ports, disk, etcd. Changes nothing.
# DIAGNOSE_UNITS and DIAGNOSE_PORTS say where to look.
export LC_ALL=C
for unit in $DIAGNOSE_UNITS; do
  state=$(systemctl show -p ActiveState -p SubState -p Result -p NRestarts --value "$unit" | tr '\n' ' ')
  echo "$unit: $state"
  # etcd tells of every little thing; only what is worse than information counts here.
  journalctl -u "$unit" -n 200 -o cat --no-pager 2>&- | grep -v '"level":"info"' | tail -n "${DIAGNOSE_LINES:-12}" | cut -c1-300 | sed 's/^/    /'
done
for port in $DIAGNOSE_PORTS; do
  who=$(ss -H -ltnp "sport = :$port" | sed 's/.*users:((//; s/,fd.*//' | tr '\n' ' ')
  echo "port $port: ${who:-nobody listens}"
done
[ -d "$DIAGNOSE_DATA" ] && df -Ph "$DIAGNOSE_DATA" | tail -n 1 | while read -r _ size _ free use at; do echo "disk $at: $free of $size free ($use used)"; done
if [ -n "$DIAGNOSE_DATA" ]; then
  control=$(ls -d /usr/lib/postgresql/*/bin/pg_controldata | tail -n 1)
  here=$("$control" "$DIAGNOSE_DATA" 2>&- | sed -n 's/^Database system identifier: *//p')
  [ -n "$here" ] && echo "system identifier on disk: $here"
fi
if [ -n "$DIAGNOSE_KEY" ]; then
  there=$(ETCDCTL_API=3 timeout 5 etcdctl --endpoints "$DIAGNOSE_ETCD" get "$DIAGNOSE_KEY" --print-value-only 2>&1 | tail -n 1 | cut -c1-200)
  echo "system identifier in etcd: ${there:-none yet}"
  [ -n "$here" ] && [[ $there =~ ^[0-9]+$ ]] && [ "$here" != "$there" ] && echo "cause: the data on this host belongs to another cluster. Move $DIAGNOSE_DATA away and deploy again"
fi
exit 0
