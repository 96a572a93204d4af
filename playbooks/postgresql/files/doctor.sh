# Looks at one host of a cluster that works, after preflight.sh in the same shell; changes nothing. Prints `name<tab>value` lines.
d() { printf '%s\t%s\n' "$1" "${2//[$'\t\n']/ }"; }
d clock "${EPOCHREALTIME:-$(date +%s)}"
d ntp "$(timeout 3 timedatectl show -p NTPSynchronized --value 2>&-)"
[ -e /var/run/reboot-required ] && d reboot yes
folder=$PF_DATA_DIR; has node || folder=$PF_ETCD_DIR
if [ -d "$folder" ]; then
  read -r _ size _ left _ < <(df -P -B1 "$folder" | tail -n 1); d disk_size "$size"; d disk_left "$left"
  read -r _ inodes _ left _ < <(df -P -i "$folder" | tail -n 1); d inodes "$inodes"; d inodes_left "$left"
fi
# What may restart a service on its own: unattended upgrades of packages that are neither held nor left out.
if has node || has voter; then
  config=$(apt-config dump 2>&-)
  case $config in *'Unattended-Upgrade "1"'*) [ -e /usr/bin/unattended-upgrade ] && d unattended yes ;; esac
  while IFS='"' read -r key value _; do
    case $key in Unattended-Upgrade::Package-Blacklist::*) d left_out "$value" ;; esac
  done <<< "$config"
fi
for package in "postgresql-${PF_BIN_DIR//[!0-9]/}" patroni etcd-server haproxy; do
  read -r want version < <(dpkg-query -W -f '${db:Status-Want} ${Version}\n' "$package" 2>&-) || continue
  [ -n "$version" ] && d "package_${package%%-*}" "$version" && [ "$want" = hold ] && d held "$package"
done
if has voter; then
  case $etcd_client in https:*) tls=/etc/pgfleet/tls; export ETCDCTL_CACERT=$tls/ca.crt ETCDCTL_CERT=$tls/node.crt ETCDCTL_KEY=$tls/node.key ;; esac
  etcd() { ETCDCTL_API=3 ETCDCTL_ENDPOINTS=${etcd_client%%,*} timeout 5 etcdctl "$@" 2>&-; }
  d etcd_status "$(etcd endpoint status -w json)"
  while IFS='=' read -r key value; do [ "$key" = ETCD_QUOTA_BACKEND_BYTES ] && d etcd_quota "${value//\"/}"; done < /etc/default/etcd
fi
if [ -r /etc/pgfleet/tls/node.crt ] && grep -qs /etc/pgfleet/tls/node.crt /etc/patroni/config.yml /etc/default/etcd; then
  IFS='=' read -r _ until < <(openssl x509 -in /etc/pgfleet/tls/node.crt -noout -enddate 2>&-)
  d certificate "$(date -d "$until" +%s 2>&-)"
fi
if has node; then
  read -r pid < "$PF_DATA_DIR/postmaster.pid"
  case $(readlink "/proc/$pid/exe") in *"(deleted)") d old_program yes ;; esac
  d sql "$(timeout 20 runuser -u postgres -- env PGCONNECT_TIMEOUT=5 psql -X -q -A -t -v ON_ERROR_STOP=1 -p "$PF_PG_PORT" -d postgres 2>&1 <<'SQL'
SET statement_timeout = '15s';
SELECT json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'replica', pg_is_in_recovery(),
  'wal', (SELECT sum(size) FROM pg_ls_waldir()),
  'max_wal', pg_size_bytes(current_setting('max_wal_size')),
  'slots', (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active, 'state', wal_status, 'kept',
      pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn))), '[]')
    FROM pg_replication_slots),
  'archiving', current_setting('archive_mode') <> 'off',
  'archive_failed', (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver),
  'archive_failure', (SELECT last_failed_wal FROM pg_stat_archiver),
  'archive_waits', (SELECT extract(epoch FROM clock_timestamp() - min(modification))::bigint FROM pg_ls_archive_statusdir()
    WHERE name LIKE '%.ready' AND NOT pg_is_in_recovery()),
  'pending', (SELECT coalesce(json_agg(name), '[]') FROM pg_settings WHERE pending_restart),
  'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'max_connections', current_setting('max_connections')::int,
  'oldest_transaction', (SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)::bigint FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'prepared', (SELECT coalesce(extract(epoch FROM max(now() - prepared)), 0)::bigint FROM pg_prepared_xacts),
  'frozen', (SELECT max(age(datfrozenxid)) FROM pg_database),
  'checksum_failures', (SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database));
SQL
)"
fi
# Who ends PostgreSQL where Patroni stands still: what the agent says of itself now, and when it did so.
if has node; then
  d fence "$PF_FENCE"
  d agent "$(timeout 3 /usr/local/lib/pgfleet/pgfleet-agent status --json 2>&-)"
  while read -r at line; do
    case $line in *' was ended '*' before another node may lead'*) d fence_acted "$at" ;; esac
  done < <(timeout 10 journalctl -q -u pgfleet-agent -o short-iso --no-pager --since "$PF_FENCE_DAYS days ago" 2>&-)
fi
