#!/usr/bin/env bash
# The cold installation by hand, for `make bench`: the same packages, files and units as playbooks/postgresql/deploy.yml,
# every host at once over plain ssh, and none of its checks. It is what pgfleet's time is compared with.
#
# usage: deploy.sh [-i KEY] [-k KNOWN_HOSTS] [-v POSTGRESQL_VERSION] [-e VOTERS] USER@ADDRESS ...
# The first address becomes the leader; the first VOTERS (3) of them run etcd. Addresses are IPv4.
set -euo pipefail

key=() known=() version=17 voters=3
while getopts i:k:v:e: option; do
  case $option in
    i) key=(-i "$OPTARG") ;;
    k) known=(-o "UserKnownHostsFile=$OPTARG" -o StrictHostKeyChecking=yes) ;;
    v) version=$OPTARG ;;
    e) voters=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '5,6s/^# //p' "$0" >&2; exit 2; }

targets=("$@") cluster=bench name=db.postgres.host.uk.com service=127.0.54.32
addresses=("${targets[@]##*@}")
work=$(mktemp -d)
trap 'for target in "${targets[@]}"; do ssh -o ControlPath="$work/%C" -O exit "$target" 2>/dev/null; done; rm -rf "$work"' EXIT

# One connection a host serves all steps. The script of a step comes on standard input.
on() {
  local target=$1; shift
  ssh "${key[@]}" "${known[@]}" -o BatchMode=yes -o ControlMaster=auto -o ControlPath="$work/%C" -o ControlPersist=60 "$target" sudo -n bash -seu -- "${@@Q}"
}
# A step on every host at once; each must succeed.
everywhere() {
  local step=$1 pids=() i; shift
  for i in "${!targets[@]}"; do "$step" "$i" "$@" > "$work/$i.log" 2>&1 & pids[i]=$!; done
  for i in "${!targets[@]}"; do wait "${pids[i]}" || { echo "${targets[i]}: $step failed" >&2; tail -n 20 "$work/$i.log" >&2; exit 1; }; done
}

secret() { head -c 24 /dev/urandom | base64 | tr -d '+/='; }
superuser=$(secret) replication=$(secret) rewind=$(secret) app=$(secret) readonly=$(secret) rest=$(secret) stats=$(secret)

initial='' endpoints='' hosts='' hba='' servers=''
for i in "${!addresses[@]}"; do
  a=${addresses[i]}
  hosts+="$a node-$i"$'\n'
  hba+="      - host replication replicator $a/32 scram-sha-256"$'\n'"      - host all rewind $a/32 scram-sha-256"$'\n'
  servers+="    server node-$i $a:5432 check port 8008"$'\n'
  if (( i < voters )); then initial+="${initial:+,}node-$i=http://$a:2380"; endpoints+="${endpoints:+,}$a:2379"; fi
done

install_packages() {
  local etcd=''; (( $1 < voters )) && etcd=etcd-server
  on "${targets[$1]}" "$version" "$etcd" <<'REMOTE'
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
apt-get -qq update
apt-get -qq -y --no-install-recommends install postgresql-"$1" postgresql-client-"$1" patroni python3-etcd etcd-client haproxy $2
rm /usr/sbin/policy-rc.d
REMOTE
}

write_files() {
  local i=$1 a=${addresses[$1]}
  { cat <<REMOTE
cat >> /etc/hosts <<'END'
${hosts}$service $name
END
cat >> /etc/environment <<'END'
PATRONICTL_CONFIG_FILE=/etc/patroni/config.yml
ETCDCTL_API=3
ETCDCTL_ENDPOINTS=$endpoints
END
mkdir -p /etc/systemd/system/patroni.service.d /etc/systemd/system/etcd.service.d
printf '[Unit]\nAfter=network-online.target\nWants=network-online.target\n[Service]\nTimeoutStartSec=infinity\nRestart=always\nRestartSec=1\n' > /etc/systemd/system/etcd.service.d/bench.conf
printf '[Unit]\nAfter=network-online.target etcd.service\nWants=network-online.target\n[Service]\nRestart=always\nRestartSec=2\nTimeoutStopSec=300\n' > /etc/systemd/system/patroni.service.d/bench.conf
cat > /etc/default/etcd <<'END'
ETCD_NAME="node-$i"
ETCD_DATA_DIR="/var/lib/etcd/$cluster"
ETCD_LISTEN_CLIENT_URLS="http://$a:2379,http://127.0.0.1:2379"
ETCD_ADVERTISE_CLIENT_URLS="http://$a:2379"
ETCD_LISTEN_PEER_URLS="http://$a:2380"
ETCD_INITIAL_ADVERTISE_PEER_URLS="http://$a:2380"
ETCD_INITIAL_CLUSTER="$initial"
ETCD_INITIAL_CLUSTER_TOKEN="$cluster"
ETCD_HEARTBEAT_INTERVAL="200"
ETCD_ELECTION_TIMEOUT="2000"
END
install -d -o postgres -g postgres /var/lib/postgresql/$version
install -o root -g postgres -m 0640 /dev/null /etc/patroni/config.yml
cat > /etc/patroni/config.yml <<'END'
scope: $cluster
name: node-$i
etcd3: {hosts: "$endpoints"}
restapi:
  listen: 0.0.0.0:8008
  connect_address: $a:8008
  authentication: {username: patroni, password: $rest}
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      pg_hba:
      - local all postgres peer
      - local all all scram-sha-256
${hba}      - host all postgres all reject
      - host all all 127.0.0.1/32 scram-sha-256
      - host all all samenet scram-sha-256
      parameters: {max_connections: 100, max_wal_senders: 10, max_replication_slots: 10, wal_log_hints: "on", password_encryption: scram-sha-256, max_slot_wal_keep_size: 10GB}
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, {auth-local: peer}, {auth-host: scram-sha-256}, data-checksums]
postgresql:
  listen: $a,127.0.0.1:5432
  connect_address: $a:5432
  data_dir: /var/lib/postgresql/$version/$cluster
  bin_dir: /usr/lib/postgresql/$version/bin
  pgpass: /var/lib/postgresql/.patroni.pgpass
  use_unix_socket: true
  authentication:
    superuser: {username: postgres, password: $superuser}
    replication: {username: replicator, password: $replication}
    rewind: {username: rewind, password: $rewind}
  parameters: {unix_socket_directories: /var/run/postgresql}
  create_replica_methods: [basebackup]
  basebackup: [{checkpoint: fast}]
END
install -o root -g haproxy -m 0640 /dev/null /etc/haproxy/haproxy.cfg
cat > /etc/haproxy/haproxy.cfg <<'END'
global
    log /dev/log local0 notice
    user haproxy
    group haproxy
    maxconn 4000
defaults
    log global
    mode tcp
    retries 2
    timeout connect 4s
    timeout client 24h
    timeout server 24h
    timeout check 4s
    default-server inter 2s fastinter 500ms downinter 1s fall 2 rise 1 on-marked-down shutdown-sessions
listen leader
    bind *:5000
    bind $service:5432
    option httpchk OPTIONS /primary
    http-check expect status 200
${servers}listen replicas
    bind *:5001
    balance leastconn
    option httpchk OPTIONS /replica
    http-check expect status 200
${servers}listen any
    bind *:5002
    balance leastconn
    option httpchk OPTIONS /health
    http-check expect status 200
${servers}listen stats
    mode http
    bind *:7000
    stats enable
    stats uri /
    stats auth admin:$stats
END
systemctl daemon-reload
systemctl -q enable patroni haproxy
if [ -x /usr/bin/etcd ]; then systemctl -q enable etcd; systemctl start --no-block etcd; fi
REMOTE
  } | on "${targets[i]}"
}

# A program of the host's own that speaks HTTP is not sure to be there; Python is, with Patroni.
until_true() { echo "timeout 300 python3 -c '
import json, time, urllib.request
while True:
    try:
        with urllib.request.urlopen(\"http://$1\", timeout=3) as answer:
            state = json.load(answer)
            if $2: break
    except OSError: pass
    time.sleep(0.2)'"; }

start_leader() { { until_true "${addresses[0]}:2379/health" True; echo 'systemctl start patroni'; until_true "${addresses[0]}:8008/leader" True; } | on "${targets[0]}"; }
start_rest() {
  local i=$1
  {
    if [ "$i" -gt 0 ]; then echo 'systemctl start patroni'; fi
    echo 'systemctl start haproxy'
    until_true "${addresses[i]}:8008/patroni" "state[\"state\"] == \"running\" and (state[\"role\"] == \"primary\" or state.get(\"replication_state\") == \"streaming\")"
  } | on "${targets[i]}"
}
make_users() {
  on "${targets[0]}" <<REMOTE
python3 - <<'END'
import base64, json, urllib.request
ask = urllib.request.Request("http://${addresses[0]}:8008/config", json.dumps({"synchronous_mode": "quorum"}).encode(), method="PATCH",
    headers={"Authorization": "Basic " + base64.b64encode(b"patroni:$rest").decode()})
urllib.request.urlopen(ask)
END
runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 <<'END'
CREATE ROLE app_user LOGIN PASSWORD '$app';
CREATE ROLE app_readonly LOGIN PASSWORD '$readonly';
CREATE DATABASE application OWNER app_user;
REVOKE CONNECT, TEMPORARY ON DATABASE application FROM PUBLIC;
GRANT CONNECT ON DATABASE application TO app_readonly;
GRANT pg_read_all_data TO app_readonly;
ALTER ROLE app_readonly SET default_transaction_read_only = on;
END
REMOTE
}

started=$SECONDS
everywhere install_packages; echo "packages    $((SECONDS - started)) s"
everywhere write_files
start_leader;                echo "leader      $((SECONDS - started)) s"
everywhere start_rest
make_users;                  echo "cluster     $((SECONDS - started)) s"
