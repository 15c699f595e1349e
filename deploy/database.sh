#!/bin/sh
# Create the role and the database of Pamps, on a new primary. SECRETS is the folder with the secrets;
# Patroni gives the address.
set -eu
: "${SECRETS:=/run/secrets}"
export SECRETS
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname "${1:-postgres}" <<'SQL'
\set pamps `cat "$SECRETS/pamps_password"`
CREATE ROLE pamps LOGIN PASSWORD :'pamps';
CREATE DATABASE pamps OWNER pamps ENCODING 'UTF8' TEMPLATE template0;
SQL
