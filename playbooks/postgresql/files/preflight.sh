# Looks at one host before a deploy; changes nothing. Prints one JSON document: facts, and checks as [name, verdict, message].
# The settings come as PF_* variables. This also runs when nothing is to be done, on all hosts at once: so it is bash alone where
# that will do, and few other processes. Functions leave their answer in `text`.
export LC_ALL=C
checks=() facts=()
clean() { text=${1//[^[:print:]]/ }; text=${text//\\/}; text=${text//\"/\'}; }
join() { local IFS=,; text="$*"; }
check() { clean "$3"; checks+=("[\"$1\",\"$2\",\"$text\"]"); }
fact() { clean "$2"; facts+=("\"$1\":\"$text\""); }
raw() { facts+=("\"$1\":$2"); }
list() { local name=$1; shift; join "$@"; raw "$name" "[$text]"; }
has() { [[ " $PF_ROLES " == *" $1 "* ]]; }

raw clock "${EPOCHREALTIME:-$(date +%s)}"

# The operating system.
ID=unknown VERSION_ID=0 PRETTY_NAME=unknown ID_LIKE=
[ -r /etc/os-release ] && . /etc/os-release
fact distribution "$ID"
fact release "$VERSION_ID"
fact codename "${VERSION_CODENAME:-}"
major=${VERSION_ID%%.*}
if [ ! -d /run/systemd/system ]; then check "operating system" Fail "$PRETTY_NAME runs without systemd, which keeps the services"
elif [[ $ID == debian && $major -ge 12 ]] || [[ $ID == ubuntu && $major -ge 22 ]]; then check "operating system" Pass "$PRETTY_NAME"
elif [[ " $ID $ID_LIKE " == *" debian "* ]]; then check "operating system" Warn "$PRETTY_NAME was never tried; Debian 12, 13 and Ubuntu 22.04 or newer were"
else check "operating system" Fail "$PRETTY_NAME is not supported: Debian 12 or newer, or Ubuntu 22.04 or newer is needed"
fi

# What is prepared. The commands that every role needs stand for its packages.
missing=() at_home=false
need() { [ -e "$1" ] || missing+=("$2"); }
if has node; then
  need "$PF_BIN_DIR/postgres" postgresql; need /usr/bin/patroni patroni; need /usr/bin/etcdctl etcd-client
  need /usr/lib/python3/dist-packages/etcd python3-etcd
  need /etc/systemd/system/patroni.service.d folder
  # Data may lie in somebody's home, also by a link: of the data folder, or of a tablespace.
  for place in "$PF_DATA_FOLDER" "$PF_DATA_DIR"/pg_tblspc/*; do
    [[ -e $place || $place == "$PF_DATA_FOLDER" ]] || continue
    while [ ! -d "$place" ]; do place=${place%/*} place=${place:-/}; done
    [[ $(cd -P "$place" && echo "$PWD") =~ ^/(home|root|run/user)(/|$) ]] && at_home=true
  done
fi
if has voter; then need /usr/bin/etcd etcd-server; need /etc/systemd/system/etcd.service.d folder; fi
if has node || has client; then need /usr/sbin/haproxy haproxy; fi
raw data_at_home $at_home
[ -d /etc/systemd/system/haproxy.service.d ] && raw haproxy_folder true || raw haproxy_folder false
[ ${missing[0]+x} ] && raw prepared false || raw prepared true
version=0
[ -r /usr/lib/python3/dist-packages/patroni/version.py ] && while read -r key _ value; do
  [ "$key" = __version__ ] && { version=${value:1}; break; }
done < /usr/lib/python3/dist-packages/patroni/version.py
raw patroni_major "${version%%.*}"

# The node's certificate and the public half of its key; a key that is gone has none.
pem() {  # pem FACT FILE
  local lines= line
  [ -s /etc/pgfleet/tls/node.key ] && [ -r "$2" ] && while read -r line; do lines+="${line//[^A-Za-z0-9+\/= -]/}\n"; done < "$2"
  raw "$1" "\"$lines\""
}
pem tls_public /etc/pgfleet/tls/node.pub
pem tls_certificate /etc/pgfleet/tls/node.crt
pem tls_authorities /etc/pgfleet/tls/ca.crt
# etcd reads a copy of the key, which is its own.
content() { text=; [ -r "$1" ] && read -rd '' text < "$1"; }
content /etc/pgfleet/tls/node.key; key=$text; content /etc/pgfleet/tls/etcd.key
[[ -n $key && $text == "$key" ]] && raw etcd_key true || raw etcd_key false
key=

# The units: state, and whether a file is newer than what the running service has read.
declare -A active since began
needs_reload=() stale=() old_units=()
# One block of lines a unit, an empty line after it; the order of the lines is systemd's own.
id= state= reload= entered=0 start=0
while IFS='=' read -r key value; do
  case $key in
    Id) id=${value%.service} ;;
    ActiveState) state=$value ;;
    NeedDaemonReload) reload=$value ;;
    # The second is that of the last reload too, and outlives a daemon-reload, which ExecReload does not.
    ActiveEnterTimestamp | StateChangeTimestamp) t=${value#@}; [[ $t =~ ^[0-9]+$ ]] && (( t > entered )) && entered=$t
      [[ $key == A* ]] && start=${value#@} ;;
    ExecReload) t=${value#*start_time=[}; t=${t%%]*}; t=${t#@}
      [[ $t =~ ^[0-9]+$ ]] && (( t > entered )) && entered=$t ;;
    '') [ -n "$id" ] && active[$id]=$state since[$id]=$entered began[$id]=$start; [ "$reload" = yes ] && needs_reload+=("\"$id\""); entered=0 start=0 reload= ;;
  esac
done < <(systemctl show --timestamp=unix -p Id -p ActiveState -p NeedDaemonReload -p ActiveEnterTimestamp -p StateChangeTimestamp -p ExecReload etcd patroni haproxy pgfleet-agent 2>&-; echo)
# Is a file younger than the service that reads it? What a unit says of a service's rights counts when that starts, and no sooner.
while read -r t file; do
  case $file in
    *.service.d/*) unit=${file%.service.d/*} unit=${unit##*/}
      [[ ${active[$unit]} == active ]] && (( t > ${began[$unit]:-0} )) && old_units+=("\"$unit\""); continue ;;
    */etcd) unit=etcd ;;
    */config.yml | */tls/*) unit=patroni ;;
    */haproxy.cfg) unit=haproxy ;;
    *) unit=pgfleet-agent ;;
  esac
  [[ ${active[$unit]} == active && " ${stale[*]} " != *"\"$unit\""* ]] && (( t > ${since[$unit]:-0} )) && stale+=("\"$unit\"")
done < <(stat -L -c '%Y %n' /etc/default/etcd /etc/patroni/config.yml /etc/pgfleet/tls/{node,ca}.crt /etc/haproxy/haproxy.cfg \
  /etc/systemd/system/{etcd,patroni,haproxy}.service.d/pgfleet.conf \
  /etc/systemd/system/pgfleet-agent.service /usr/local/lib/pgfleet/pgfleet-agent 2>&-)
for unit in etcd patroni haproxy; do fact "$unit" "${active[$unit]:-unknown}"; done
list stale "${stale[@]}"
list old_units "${old_units[@]}"
list daemon_reload "${needs_reload[@]}"

# Disk and memory.
if has node || has voter; then
  folder=$PF_DATA_FOLDER; has node || folder=/var/lib
  while [ ! -d "$folder" ]; do folder=${folder%/*}; folder=${folder:-/}; done
  read -r blocks size < <(stat -f -c '%a %S' "$folder")
  free=$(( blocks * size / 1048576 )) room="$free MB free for $PF_DATA_FOLDER"
  if [[ ! -d $PF_DATA_DIR/base ]] && (( free < PF_DISK )); then check "disk" Fail "$room, $PF_DISK needed"
  elif (( free < PF_DISK_WARN )); then check "disk" Warn "$room"
  else check "disk" Pass "$room"; fi
  while read -r key value _; do [ "$key" = MemTotal: ] && { memory=$(( value / 1024 )); break; }; done < /proc/meminfo
  if (( memory < PF_MEMORY )); then check "memory" Fail "$memory MB, $PF_MEMORY needed"
  elif (( memory < PF_MEMORY_WARN )); then check "memory" Warn "$memory MB"
  else check "memory" Pass "$memory MB"; fi
fi

# Our own address, and the names.
if has node || has voter; then
  read -r own < <(hostname -I); own=" $own "
  if [[ ! $PF_ADDRESS =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
    check "address" Fail "$PF_ADDRESS is a name: set ansible_host or postgresql_address to this node's IPv4 address"
  elif [[ $own != *" $PF_ADDRESS "* ]]; then check "address" Fail "$PF_ADDRESS is not an address of this host, which has$own"
  else check "address" Pass "$PF_ADDRESS"; fi
fi
# What /etc/hosts says first counts; only names that it lacks are asked for.
declare -A known
while read -r address names; do
  [[ $address == [0-9]*.* ]] || continue
  for name in ${names%%#*}; do known[$name]=${known[$name]:-$address}; done
done < /etc/hosts
wrong=() asked=
while read -r name address; do
  [ -n "$name" ] || continue
  seen=${known[$name]:-}
  if [ -z "$seen" ]; then asked+="$name $address"$'\n'
  elif [ "$seen" != "$address" ]; then wrong+=("$name is $seen here, not $address;"); fi
done <<< "$PF_NAMES"
[ -n "$asked" ] && while read -r line; do wrong+=("$line"); done < <(
  while read -r name address; do
    [ -n "$name" ] || continue
    (
      read -r seen _ < <(timeout 1 getent ahostsv4 "$name")
      [ -z "$seen" ] || [ "$seen" = "$address" ] || echo "$name is $seen here, not $address;"
    ) &
  done <<< "$asked"
  wait
)
if [ ${wrong[0]+x} ]; then check "name resolution" Warn "${wrong[*]} /etc/hosts will say so"
else check "name resolution" Pass "no other meaning of the cluster's names"; fi

# Ports: free, or held by the service that shall have them.
declare -A holder
while read -r _ _ _ address _ who; do
  who=${who#*((\"} pid=${who#*pid=}; holder[${address##*:}]+=" ${address%:*}=${who%%\"*}=${pid%%,*}"
done < <(ss -H -ltnp 2>&-)
busy=()
port() {  # port NUMBER PROGRAM UNIT
  local entry at by pid
  for entry in ${holder[$1]}; do
    at=${entry%%=*} pid=${entry##*=} by=${entry#*=} by=${by%=*}
    # Another loopback address is another socket, and HAProxy's service address is one.
    [[ $at == 127.* && $at != 127.0.0.1 ]] && continue
    [[ $by == "$2"* && ${active[$3]} == active ]] && continue
    # An etcd that waits for the other voters runs before its unit is active.
    content "/proc/$pid/cgroup"
    [[ $by == "$2"* && $text == *"/$3.service"* ]] || busy+=("$1 is held by ${by:-another program}")
  done
}
if has node; then
  port "$PF_PG_PORT" postgres patroni; port "$PF_REST_PORT" patroni patroni
  for p in $PF_HAPROXY_PORTS; do port "$p" haproxy haproxy; done
fi
if has voter; then for p in $PF_ETCD_PORTS; do port "$p" etcd etcd; done; fi
if [ ${busy[0]+x} ]; then join "${busy[@]}"; check "ports" Fail "$text"; else check "ports" Pass "free, or ours already"; fi

# The firewall: its rules and where they are, the networks of this host, and where sshd lets others in.
read -r firewall rules before <<< "$PF_FIREWALL"
firewall_kept=false firewall_loaded=false firewall_trial=false networks=() ssh_ports=()
[ -e "$rules" ] && firewall_kept=true
[ -e "$before" ] && firewall_trial=true
[ -x /usr/sbin/nft ] && raw nft true || raw nft false
if [ "$firewall" = nftables ]; then
  $firewall_kept && nft list chain inet pgfleet input > /dev/null 2>&1 && firewall_loaded=true
  while read -r network _; do networks+=("\"$network\""); done < <(ip -4 route show scope link proto kernel)
  for p in "${!holder[@]}"; do
    for entry in ${holder[$p]}; do [[ $entry == *=sshd && $entry != 127.* && $entry != "[::1]"* ]] && { ssh_ports+=("$p"); break; }; done
  done
fi
raw firewall_kept $firewall_kept
raw firewall_loaded $firewall_loaded
raw firewall_trial $firewall_trial
list networks "${networks[@]}"
list ssh_ports "${ssh_ports[@]}"

# Peers: a refusal is an answer, silence is a firewall or a host that is down. In a cluster that works every port is open, so
# one process tries them in turn; what it could not connect to within a second is then tried again, all at once.
closed=$PF_PEERS
if [ -n "$PF_PEERS" ]; then
  exec {open}< <(for target in $PF_PEERS; do { exec 3<> "/dev/tcp/${target%:*}/${target#*:}"; } 2>&- && echo "$target" || break; done) && trying=$!
  while read -rt 1 -u "$open" target; do closed=" $closed "; closed=${closed/ $target / }; done
  exec {open}<&-; kill "$trying" 2>&-
  closed=${closed# }; closed=${closed% }
fi
if [ -n "${closed// }" ]; then
  silent=()
  while read -r target verdict; do
    [ "$verdict" = ok ] || silent+=("$target ($verdict)")
  done < <(
    pids=()
    for target in $closed; do
      (
        answer=$( { exec 3<>"/dev/tcp/${target%:*}/${target#*:}"; } 2>&1 ) && answer=ok
        case $answer in ok|*"Connection refused"*) echo "$target ok" ;; *) echo "$target ${answer##*: }" ;; esac
      ) & pids+=("$!:$target")
    done
    ( read -rt 3 <> <(:); for entry in "${pids[@]}"; do kill "${entry%%:*}" 2>&- && echo "${entry#*:} no answer in 3 s"; done ) & watchdog=$!
    for entry in "${pids[@]}"; do wait "${entry%%:*}" 2>&-; done
    kill "$watchdog" 2>&-
  )
fi
if [ ${silent[0]+x} ]; then join "${silent[@]}"; check "reachability" Fail "no way to $text"
elif [ -n "$PF_PEERS" ]; then check "reachability" Pass "every peer answers on its ports"; fi

# Leftovers of an earlier cluster, and data that is elsewhere.
scope= bootstrap=null data= asks_for_tls=false rest_tls=false rest_trusts=false etcd_protocol=http etcd_known=false etcd_user= section= ours=false passwords= called=
[ -r /etc/patroni/config.yml ] && while read -r key value; do
  case $key in '#') [[ $value == *'(pgfleet).'* ]] && ours=true ;; scope:) scope=${value//\"/} ;; name:) called=${called:-${value//\"/}} ;; dcs:) bootstrap=$value ;; data_dir:) data=${value//\"/} ;; sslmode:) asks_for_tls=true ;;
    etcd3: | restapi: | ctl: | bootstrap: | postgresql:) section=$key ;;
    protocol:) [ $section = etcd3: ] && etcd_protocol=$value ;;
    username:) [ $section = etcd3: ] && etcd_user=${value//\"/} ;;
    password:) [[ $section == restapi: || $section == postgresql: ]] && passwords+=$value ;;
    certfile:) [ $section = restapi: ] && rest_tls=true ;;
    cacert:) case $section in ctl:) rest_trusts=true ;; etcd3:) etcd_known=true ;; esac ;;
  esac
done < /etc/patroni/config.yml
raw bootstrap "${bootstrap:-null}"
raw asks_for_tls "$asks_for_tls"
raw rest_tls "$rest_tls"
raw rest_trusts "$rest_trusts"
fact etcd_protocol "$etcd_protocol"
raw etcd_known "$etcd_known"
fact etcd_user "$etcd_user"
# Which passwords Patroni and the roles of its own have: their sum, which tells nothing of them. The one of its REST API is random.
mark=
$ours && read -r mark _ < <(printf %s "$passwords" | sha256sum)
fact passwords "$mark"
passwords=
filled() { local f; for f in "$1"/* "$1"/.[!.]*; do [ -e "$f" ] && [ "${f##*/}" != lost+found ] && return 0; done; return 1; }
left=()
if has node; then
  [ -n "$scope" ] && [ "$scope" != "$PF_CLUSTER" ] && left+=("/etc/patroni/config.yml belongs to the cluster $scope, not to $PF_CLUSTER")
  [ -z "$scope" ] && filled "$PF_DATA_DIR" && left+=("$PF_DATA_DIR is not empty and no Patroni of ours keeps it")
fi
[ "$scope" = "$PF_CLUSTER" ] || called=
member=false etcd_client= etcd_peer= etcd_trusts=false
if has voter; then
  [ -d "$PF_ETCD_DIR/member" ] && member=true
  state= initial=
  [ -r /etc/default/etcd ] && while IFS='=' read -r key value; do
    case $key in ETCD_INITIAL_CLUSTER_STATE) state=${value//\"/} ;; ETCD_INITIAL_CLUSTER) initial=${value//\"/} ;; ETCD_DATA_DIR) dir=${value//\"/} ;; ETCD_NAME) $member && called=${called:-${value//\"/}} ;;
      ETCD_ADVERTISE_CLIENT_URLS) etcd_client=${value//\"/} ;; ETCD_LISTEN_PEER_URLS) etcd_peer=${value//\"/} ;;
      ETCD_PEER_TRUSTED_CA_FILE) etcd_trusts=true ;;
    esac
  done < /etc/default/etcd
  $member && [ "$dir" != "$PF_ETCD_DIR" ] && left+=("$PF_ETCD_DIR holds an etcd member that /etc/default/etcd does not know")
fi
[ "${called:-$PF_NAME}" = "$PF_NAME" ] || check "name" Fail "$PF_ADDRESS is the cluster's node $called, and $PF_NAME in the inventory"
raw etcd_member "$member"
fact etcd_state "$state"
# How its settings say that it speaks, http or https: with clients, and with the other voters.
fact etcd_client "${etcd_client%%:*}"
fact etcd_peer "${etcd_peer%%:*}"
raw etcd_trusts "$etcd_trusts"
fact scope "$scope"
# The system identifier is the first number of the control file.
system=
[ -r "$PF_DATA_DIR/global/pg_control" ] && read -r system < <(od -An -tu8 -N8 "$PF_DATA_DIR/global/pg_control")
fact system "$system"
# Which etcd cluster this is, which PostgreSQL cluster it remembers, and whether it asks who somebody is.
etcd_cluster= initialize= etcd_waits=false etcd_asks=false etcd_users='[]' etcd_admin= etcd_alarm= members=()
[ -r /etc/pgfleet/etcd-admin ] && IFS=: read -r etcd_admin etcd_word < /etc/pgfleet/etcd-admin
# Gives the voter of this host requests over one connection: tell_etcd TOKEN PATH BODY [PATH BODY ...]. What it says to all of them is in $told.
tell_etcd() {
  local token=${1:+Authorization: $1$'\r\n'} port=${PF_ETCD_PORTS%% *} tls=/etc/pgfleet/tls question= part last
  shift
  while (( $# )); do
    (( $# == 2 )) && last=$'Connection: close\r\n' || last=
    printf -v part 'POST %s HTTP/1.1\r\nHost: etcd\r\n%s%sContent-Length: %s\r\n\r\n%s' "$1" "$token" "$last" "${#2}" "$2"
    question+=$part; shift 2
  done
  case $etcd_client in
    https:*) exec {answer}< <(printf %s "$question" | timeout 3 openssl s_client -quiet -verify_return_error -CAfile $tls/ca.crt \
      -cert $tls/node.crt -key $tls/node.key -verify_ip "$PF_ADDRESS" -connect "$PF_ADDRESS:$port") ;;
    *) exec {answer}<> "/dev/tcp/$PF_ADDRESS/$port" && printf %s "$question" >&"$answer" ;;
  esac || return
  told=
  while read -rt 2 -u "$answer" line || [ -n "$line" ]; do told+=$line; done
  exec {answer}<&-
}
ask_etcd() {
  local token= users=() told=
  if [ -n "$etcd_admin" ]; then
    tell_etcd '' /v3/auth/authenticate "{\"name\":\"$etcd_admin\",\"password\":\"$etcd_word\"}"
    [[ $told =~ \"token\":\"([^\"]+)\" ]] && token=${BASH_REMATCH[1]} users=(/v3/auth/user/list '{}')
  fi
  tell_etcd "$token" /v3/maintenance/status '{}' /v3/kv/range "{\"key\":\"$PF_INITIALIZE_KEY\",\"serializable\":true}" \
    /v3/kv/range "{$PF_MEMBER_KEYS,\"keys_only\":true,\"serializable\":true}" "${users[@]}"
  [[ $told =~ \"cluster_id\":\"([0-9]+)\" ]] && etcd_cluster=${BASH_REMATCH[1]}
  [[ $told =~ \"value\":\"([^\"]+)\" ]] && initialize=${BASH_REMATCH[1]}
  local rest=$told
  while [[ $rest =~ \"key\":\"([^\"]+)\" ]]; do
    [ "${BASH_REMATCH[1]}" = "$PF_INITIALIZE_KEY" ] || members+=("\"${BASH_REMATCH[1]}\"")
    rest=${rest#*"${BASH_REMATCH[0]}"}
  done
  [[ $told =~ \"users\":(\[[^]]*\]) ]] && etcd_users=${BASH_REMATCH[1]}
  [[ $told =~ memberID:[0-9]+\ alarm:([A-Z]+) ]] && etcd_alarm=${BASH_REMATCH[1]}
  [[ -n $token || $told == *'user name is empty'* || $told == *'CommonName of client'* ]] && etcd_asks=true
}
if has voter && [ "${active[etcd]}" = active ]; then
  ask_etcd 2> /dev/null
  # A run ended between new settings and the restart with them: it speaks in the old way.
  [[ -z $etcd_cluster && " ${stale[*]} " == *'"etcd"'* ]] && etcd_waits=true
fi
[ -z "$etcd_alarm" ] || check "etcd" Fail "it takes no writes, its alarm $etcd_alarm stands: 'pgfleet status' says what ends it"
list members "${members[@]}"
raw etcd_waits "$etcd_waits"
raw etcd_asks "$etcd_asks"
raw etcd_users "$etcd_users"
fact etcd_admin "$etcd_admin"
fact etcd_cluster "$etcd_cluster"
fact initialize "$initialize"
fact etcd_initial_cluster "$initial"
if [[ $scope == "$PF_CLUSTER" && -n $data && $data != "$PF_DATA_DIR" && -d $data/base ]]; then
  check "data" Fail "the cluster's data is in $data, and the variables say $PF_DATA_DIR. A deploy moves no data and changes no major version: set postgresql_version and postgresql_data_folder back"
fi
if [ ${left[0]+x} ] && [ "$PF_LEFTOVERS" = wipe ]; then join "${left[@]}"; check "leftovers" Warn "$text"
elif [ ${left[0]+x} ]; then join "${left[@]}"; check "leftovers" Fail "$text. Move it away if it is not needed any more"
else check "leftovers" Pass "none of another cluster"; fi

join "${facts[@]}"; printf '{"facts":{%s},' "$text"
join "${checks[@]}"; printf '"checks":[%s]}\n' "$text"
