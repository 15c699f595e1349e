#!/bin/sh
# Create the role and the slot of the standby, on a new primary without Patroni. SECRETS is the folder
# with the secrets.
set -eu
: "${SECRETS:=/run/secrets}"
export SECRETS
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --output /dev/null <<'SQL'
\set replication `cat "$SECRETS/replication_password"`
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication';
SELECT pg_create_physical_replication_slot('standby', true);
SQL
