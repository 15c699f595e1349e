#!/usr/bin/env bash
# Bring production up on this machine, from Debian's packages and the files beside this script: HAProxy,
# two API processes, PgBouncer, a primary and a standby of PostgreSQL, and Redis.
#
#   deploy/try.sh up      until Ctrl-C, or until try.sh down; prints the address
#   deploy/try.sh down    from another terminal
#
# Everything is in one folder, and listens on free ports of 127.0.0.1. TRY_DIR is another folder,
# TRY_PORT the port of HAProxy. PAMPS_… variables are settings of the API processes.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
dir=${TRY_DIR:-/tmp/pamps-try-$UID}
python=$checkout/.venv/bin/python
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done # the newest last, so first on PATH
PATH=$PATH:/usr/sbin
unset "${!PG@}"

fail() {
  echo "try.sh: $*" >&2
  exit 1
}

# PostgreSQL and PgBouncer refuse to run as root.
as_owner=()
[ "$UID" != 0 ] || as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)

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

answers() { "$python" -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$1/health/ready')"; }

# Stop a program by a signal, and wait for its end.
stop() {
  local name=$1 signal=$2 pid
  [ -e "$dir/pid/$name" ] || return 0
  pid=$(cat "$dir/pid/$name")
  kill -s "$signal" "$pid" 2>/dev/null || true
  for ((attempt = 0; attempt < 300; attempt++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -s KILL "$pid" 2>/dev/null || true
  rm "$dir/pid/$name"
}

stop_all() {
  trap '' INT TERM
  stop haproxy TERM
  stop api-1 TERM
  stop api-2 TERM
  stop pgbouncer TERM
  stop redis TERM
  stop standby INT # a fast shutdown
  stop primary INT
  rm -rf "$dir"
}

# Copy a configuration file, with the folders and ports of this trial.
fill() {
  sed -e "s|primary port=5432|127.0.0.1 port=$primary|; s|standby port=5432|127.0.0.1 port=$standby|" \
    -e "s|pgbouncer:6432|127.0.0.1:$pgbouncer|; s|listen_port = 6432|listen_port = $pgbouncer|" \
    -e "s|api-1:8000|127.0.0.1:$api_1|; s|api-2:8000|127.0.0.1:$api_2|" \
    -e "s|redis:6379|127.0.0.1:$redis|; s|bind :8080|bind 127.0.0.1:$haproxy|" \
    -e "s|10\.0\.0\.0/8|127.0.0.0/8|; s|0\.0\.0\.0|127.0.0.1|" \
    -e "s|listen_addr = \*|listen_addr = 127.0.0.1|; s|bind \*|bind 127.0.0.1|" \
    -e "s|listen_addresses = '\*'|listen_addresses = '127.0.0.1'|" \
    -e "s|/etc/pgbouncer/|$dir/secrets/|; s|/run/haproxy/|$dir/run/|" \
    -e "s|'8GB'|'128MB'|; s|'24GB'|'1GB'|; s|'20GB'|'1GB'|" \
    "$here/$1" >"$dir/etc/$1"
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

up() {
  local missing=()
  for program in postgres pgbouncer haproxy redis-server; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} = 0 ] || fail "no ${missing[*]} here:" \
    'apt-get install postgresql postgresql-contrib pgbouncer haproxy redis-server'
  [ -x "$python" ] || fail "no $python here: ./run.sh makes it"
  "$python" -c 'import redis' || fail 'no package redis in .venv: ./test.sh --local installs it'
  mkdir -m 700 "$dir" || fail "$dir is there already: deploy/try.sh down"
  trap stop_all EXIT
  trap 'exit 0' INT TERM
  echo $$ >"$dir/try.pid"
  mkdir "$dir"/{etc,lib,log,pid,run}
  mkdir -m 700 "$dir"/{primary,standby}
  "$here/secrets.sh" "$dir/secrets"
  cp -R "$checkout/pamps" "$checkout/migrations" "$dir/lib"
  mv "$dir/lib/migrations" "$dir/lib/pamps/migrations"
  ln -s "$checkout/web" "$dir/lib/web"
  read -r primary standby pgbouncer redis api_1 api_2 haproxy < <(
    "$python" -c "import socket
sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(7)]
print(*(each.getsockname()[1] for each in sockets))"
  )
  haproxy=${TRY_PORT:-$haproxy}
  for file in settings.toml haproxy.cfg pgbouncer.ini postgresql.conf pg_hba.conf redis.conf; do
    fill "$file"
  done
  ln -s "$dir/secrets/secrets.toml" "$dir/etc/.secrets.toml"
  [ "$UID" != 0 ] || chown -R postgres: "$dir"

  "${as_owner[@]}" initdb --pgdata "$dir/primary" --auth trust --encoding UTF8 --locale C >"$dir/log/initdb"
  start_postgresql primary "$primary"
  "${as_owner[@]}" env SECRETS="$dir/secrets" PGHOST="$dir/run" PGPORT="$primary" "$here/primary.sh"
  start_postgresql standby "$standby" env SECRETS="$dir/secrets" PGDATA="$dir/standby" \
    PGHOST=127.0.0.1 PGPORT="$primary" "$here/standby.sh"
  start pgbouncer "${as_owner[@]}" pgbouncer "$dir/etc/pgbouncer.ini"
  start redis "${as_owner[@]}" redis-server "$dir/etc/redis.conf" --port "$redis" --dir "$dir/run"
  # Directly, and not through PgBouncer.
  PAMPS_DB__uri="postgresql://pamps@127.0.0.1:$primary/pamps" "${pamps[@]}" migrate >&2
  start api-1 "${pamps[@]}" serve --port "$api_1"
  start api-2 "${pamps[@]}" serve --port "$api_2"
  wait_for api-1 answers "$api_1"
  wait_for api-2 answers "$api_2"
  start haproxy haproxy -db -f "$dir/etc/haproxy.cfg"
  wait_for haproxy answers "$haproxy"
  echo "http://127.0.0.1:$haproxy"
  echo "Files and logs are in $dir. Ctrl-C, or deploy/try.sh down, takes everything down." >&2
  while :; do
    sleep infinity &
    wait $!
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
  up) up ;;
  down) down ;;
  *) fail 'deploy/try.sh up | down' ;;
esac
