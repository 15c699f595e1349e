#!/bin/sh
# Create what Pamps and a standby need, on a new primary. SECRETS is the folder with the secrets.
set -eu
: "${SECRETS:=/run/secrets}"
export SECRETS
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --output /dev/null <<'SQL'
\set pamps `cat "$SECRETS/pamps_password"`
\set replication `cat "$SECRETS/replication_password"`
CREATE ROLE pamps LOGIN PASSWORD :'pamps';
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication';
CREATE DATABASE pamps OWNER pamps ENCODING 'UTF8' TEMPLATE template0;
SELECT FROM pg_create_physical_replication_slot('standby', true);
SQL
