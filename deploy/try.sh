#!/usr/bin/env bash
# Bring production up on this machine, from Debian's packages and the files beside this script: HAProxy,
# two API processes, PgBouncer, a primary and a standby of PostgreSQL, and Redis.
#
#   deploy/try.sh up [--patroni]   until Ctrl-C, or until try.sh down; prints the address
#   deploy/try.sh down             from another terminal
#
# With --patroni, Patroni and etcd promote the standby when the primary is lost. Everything is in one
# folder, and listens on free ports of 127.0.0.1. TRY_DIR is another folder, TRY_PORT the port of
# HAProxy. PAMPS_… variables are settings of the API processes.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
dir=$(realpath -m "${TRY_DIR:-/tmp/pamps-try-$UID}")
python=$checkout/.venv/bin/python
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done # the newest last, so first on PATH
PATH=$PATH:/usr/sbin
unset "${!PG@}"
waiting='' # what keeps this script waiting, once everything is up

fail() {
  echo "try.sh: $*" >&2
  exit 1
}

# PostgreSQL and PgBouncer refuse to run as root.
owner=$(id -un)
as_owner=()
if [ "$UID" = 0 ]; then
  owner=postgres
  as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

# Write a script that runs a program in the foreground, and start it. `run/NAME` starts it again.
start() {
  local name=$1
  shift
  {
    echo '#!/bin/sh'
    printf 'exec >>%q 2>&1\nexec' "$dir/log/$name"
    printf ' %q' "$@"
    echo
  } >"$dir/run/$name"
  chmod +x "$dir/run/$name"
  # In a session of its own, so that Ctrl-C reaches this script alone.
  setsid "$dir/run/$name" </dev/null &
  echo $! >"$dir/pid/$name"
  echo "$name" >>"$dir/started"
}

# Wait until a command succeeds, while the program that it asks runs.
wait_for() {
  local name=$1
  shift
  for ((attempt = 0; attempt < 600; attempt++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$(cat "$dir/pid/$name")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$dir/log/$name" >&2
  fail "$name does not start"
}

answers() { "$python" -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$1')"; }

# Stop a process, if it is still there, and wait for its end.
stop() {
  kill -s "$2" "$1" 2>/dev/null || return 0
  for ((attempt = 0; attempt < 300; attempt++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -s KILL "$1" 2>/dev/null || true
}

stop_all() {
  trap '' INT TERM
  local name signal file
  [ -z "$waiting" ] || kill "$waiting" 2>/dev/null || true
  if [ -e "$dir/started" ]; then
    for name in $(tac "$dir/started"); do
      signal=TERM
      case $name in primary | standby) signal=INT ;; esac # a fast shutdown
      stop "$(cat "$dir/pid/$name")" "$signal"
    done
  fi
  # Of a Patroni that was killed.
  for file in "$dir"/postgres-[12]/postmaster.pid; do
    [ ! -e "$file" ] || stop "$(head -n 1 "$file")" INT
  done
  rm -rf "$dir"
}

# Copy a configuration file, with the folders and ports of this trial: fill FILE [COPY] [NODE OF PATRONI]
fill() {
  local node=${3:-1}
  sed -e "s|primary port=5432|127.0.0.1 port=$primary|; s|standby port=5432|127.0.0.1 port=$standby|" \
    -e "s|pgbouncer:6432|127.0.0.1:$pgbouncer|; s|listen_port = 6432|listen_port = $pgbouncer|" \
    -e "s|api-1:8000|127.0.0.1:$api_1|; s|api-2:8000|127.0.0.1:$api_2|" \
    -e "s|redis:6379|127.0.0.1:$redis|; s|bind :8080|bind 127.0.0.1:$haproxy|" \
    -e "s|10\.0\.0\.0/8|127.0.0.0/8|; s|0\.0\.0\.0|127.0.0.1|" \
    -e "s|listen_addr = \*|listen_addr = 127.0.0.1|; s|bind \*|bind 127.0.0.1|" \
    -e "s|listen_addresses = '\*'|listen_addresses = '127.0.0.1'|" \
    -e "s|/etc/pgbouncer/|$dir/secrets/|; s|/run/haproxy/|$dir/run/|" \
    -e "s|'8GB'|'128MB'|; s|'24GB'|'1GB'|; s|'20GB'|'1GB'|" \
    -e "s|bind :5432|bind 127.0.0.1:$primary|; s|bind :5433|bind 127.0.0.1:$standby|" \
    -e "s|server postgres-1 postgres-1:5432 port 8008|server postgres-1 127.0.0.1:$node_1 port $rest_1|" \
    -e "s|server postgres-2 postgres-2:5432 port 8008|server postgres-2 127.0.0.1:$node_2 port $rest_2|" \
    -e "s|postgres-1:|127.0.0.1:|; s|name: postgres-1|name: postgres-$node|" \
    -e "/127.0.0.1:8008/s|8008|$((node == 1 ? rest_1 : rest_2))|; s|\"\*:5432\"|127.0.0.1:5432|" \
    -e "/127.0.0.1:5432/s|5432|$((node == 1 ? node_1 : node_2))|; s|hosts: etcd.*|host: 127.0.0.1:$etcd|" \
    -e "s|/etc/pamps/|$dir/etc/|" \
    -e "s|/run/postgresql/patroni|$dir/run/postgres-$node|; s|/run/postgresql|$dir/run|; s|username: postgres|username: $owner|" \
    -e "s|/var/lib/postgresql/15/main|$dir/postgres-$node|; s|/usr/lib/postgresql/15/bin|$programs|" \
    "$here/$1" >"$dir/etc/${2:-$1}"
}

# Run PostgreSQL on the data in a folder, with the files beside it.
start_postgresql() {
  start "$1" "${as_owner[@]}" "${@:3}" postgres -D "$dir/$1" -p "$2" \
    -c config_file="$dir/etc/postgresql.conf" -c hba_file="$dir/etc/pg_hba.conf" \
    -c unix_socket_directories="$dir/run"
  wait_for "$1" "${as_owner[@]}" pg_isready --quiet --host "$dir/run" --port "$2" --dbname postgres
}

# Run a command of Pamps with the settings in etc/. From a copy, as in a checkout Pamps reads the
# settings of the checkout.
pamps=(env -C "$dir/etc" "PYTHONPATH=$dir/lib" PAMPS_ENV=production "$python" -m pamps)

# Start a primary, and a standby that copies it.
start_pair() {
  mkdir -m 700 "$dir"/{primary,standby}
  own
  "${as_owner[@]}" initdb --pgdata "$dir/primary" --auth trust --encoding UTF8 --locale C >"$dir/log/initdb"
  start_postgresql primary "$primary"
  for script in database.sh replication.sh; do
    "${as_owner[@]}" env SECRETS="$dir/secrets" PGHOST="$dir/run" PGPORT="$primary" "$dir/etc/$script"
  done
  start_postgresql standby "$standby" env SECRETS="$dir/secrets" PGDATA="$dir/standby" \
    PGHOST=127.0.0.1 PGPORT="$primary" "$dir/etc/standby.sh"
}

# Start etcd and two Patronis, each with its PostgreSQL: the first one becomes the primary.
start_patroni() {
  local secrets node rest
  mapfile -t secrets <"$dir/secrets/patroni.env"
  mkdir -m 700 "$dir"/{etcd,postgres-1,postgres-2}
  own
  start etcd "${as_owner[@]}" etcd --data-dir "$dir/etcd" --log-level warn \
    --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer"
  wait_for etcd answers "$etcd/health"
  for node in 1 2; do
    fill patroni/patroni.yaml "postgres-$node.yaml" "$node"
    start "postgres-$node" "${as_owner[@]}" env "${secrets[@]}" SECRETS="$dir/secrets" \
      patroni "$dir/etc/postgres-$node.yaml"
    rest=$((node == 1 ? rest_1 : rest_2))
    wait_for "postgres-$node" answers "$rest/$([ "$node" = 1 ] && echo primary || echo sync)"
  done
}

# Give everything to the user who runs PostgreSQL.
own() { [ "$UID" != 0 ] || chown -R "$owner:" "$dir"; }

up() {
  local databases=start_pair balancers=(-f "$dir/etc/haproxy.cfg") missing=()
  local needed=(postgres pgbouncer haproxy redis-server)
  if [ "${1:-}" = --patroni ]; then
    databases=start_patroni
    balancers+=(-f "$dir/etc/haproxy-patroni.cfg")
    needed+=(patroni etcd)
  fi
  for program in "${needed[@]}"; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} = 0 ] || fail "no ${missing[*]} here: apt-get install postgresql pgbouncer haproxy" \
    'redis-server, and for --patroni patroni etcd-server'
  [ -x "$python" ] || fail "no $python here: ./run.sh makes it"
  "$python" -c 'import redis' || fail 'no package redis in .venv: ./test.sh --local installs it'
  programs=$(dirname "$(command -v postgres)")
  mkdir -m 700 "$dir" || fail "$dir is there already: deploy/try.sh down"
  trap stop_all EXIT
  trap 'exit 0' INT TERM
  echo $$ >"$dir/try.pid"
  mkdir "$dir"/{etc,lib,log,pid,run}
  # The owner of PostgreSQL may not be allowed to read the checkout.
  cp "$here"/{database,replication,standby}.sh "$dir/etc"
  cd /
  "$here/secrets.sh" "$dir/secrets"
  cp -R "$checkout/pamps" "$checkout/migrations" "$dir/lib"
  mv "$dir/lib/migrations" "$dir/lib/pamps/migrations"
  ln -s "$checkout/web" "$dir/lib/web"
  read -r primary standby node_1 node_2 rest_1 rest_2 etcd peer pgbouncer redis api_1 api_2 haproxy < <(
    "$python" -c "import socket
sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(13)]
print(*(each.getsockname()[1] for each in sockets))"
  )
  haproxy=${TRY_PORT:-$haproxy}
  for file in settings.toml haproxy.cfg pgbouncer.ini postgresql.conf pg_hba.conf redis.conf; do
    fill "$file"
  done
  fill patroni/haproxy.cfg haproxy-patroni.cfg
  ln -s "$dir/secrets/secrets.toml" "$dir/etc/.secrets.toml"

  "$databases"
  start redis "${as_owner[@]}" redis-server "$dir/etc/redis.conf" --port "$redis" --dir "$dir/run"
  start haproxy haproxy -db "${balancers[@]}"
  start pgbouncer "${as_owner[@]}" pgbouncer "$dir/etc/pgbouncer.ini"
  # Directly, and not through PgBouncer.
  PAMPS_DB__uri="postgresql://pamps@127.0.0.1:$primary/pamps" "${pamps[@]}" migrate >&2
  start api-1 "${pamps[@]}" serve --port "$api_1"
  start api-2 "${pamps[@]}" serve --port "$api_2"
  for port in "$api_1" "$api_2"; do wait_for api-2 answers "$port/health/ready"; done
  wait_for haproxy answers "$haproxy/health/ready"
  echo "http://127.0.0.1:$haproxy"
  echo "Files and logs are in $dir. Ctrl-C, or deploy/try.sh down, takes everything down." >&2
  while :; do
    sleep infinity &
    waiting=$!
    wait $waiting
  done
}

down() {
  [ -O "$dir/try.pid" ] || [ "$UID" = 0 ] || fail "nothing is up in $dir"
  [ -e "$dir/try.pid" ] || fail "nothing is up in $dir"
  if kill "$(cat "$dir/try.pid")" 2>/dev/null; then
    while [ -e "$dir" ]; do sleep 0.1; done
  else
    stop_all # of a script that was killed
  fi
}

case ${1:-} in
  up) up "${2:-}" ;;
  down) down ;;
  *) fail 'deploy/try.sh up [--patroni] | down' ;;
esac
