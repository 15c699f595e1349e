#!/bin/sh
# Copy the primary to PGDATA, unless that was done before, and run a command: standby.sh postgres …
# SECRETS is the folder with the secrets. PGHOST and PGPORT are those of the primary.
set -eu
: "${SECRETS:=/run/secrets}"
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  PGPASSWORD=$(cat "$SECRETS/replication_password")
  export PGPASSWORD
  # The password is kept in postgresql.auto.conf, with what else the standby needs.
  pg_basebackup --username replication --pgdata "$PGDATA" --write-recovery-conf \
    --slot standby --checkpoint fast
fi
exec "$@"
