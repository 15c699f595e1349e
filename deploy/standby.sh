#!/bin/sh
# Copy the primary to PGDATA, unless that was done before, and run a command: standby.sh postgres …
# SECRETS is the folder with the secrets. PGHOST and PGPORT are those of the primary.
set -eu
: "${SECRETS:=/run/secrets}"
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  PGPASSWORD=$(cat "$SECRETS/replication_password")
  export PGPASSWORD
  # The password is kept in postgresql.auto.conf, with what else the standby needs. Part of a copy,
  # as it is left when this is interrupted, must not be taken for the whole.
  rm -rf "$PGDATA.new"
  pg_basebackup --username replication --pgdata "$PGDATA.new" --write-recovery-conf \
    --slot standby --checkpoint fast
  mv -T "$PGDATA.new" "$PGDATA"
fi
exec "$@"
