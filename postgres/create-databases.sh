#!/usr/bin/env bash
# Create each database in POSTGRES_DBS ("pamps, pamps_test"), owned by a user of the same name. Existing
# databases are left as they are.
set -euo pipefail

for database in ${POSTGRES_DBS//,/ }; do
  echo "Database: $database"
  psql -v ON_ERROR_STOP=1 -v name="$database" --username "$POSTGRES_USER" <<'SQL'
SELECT format('CREATE USER %I PASSWORD %L', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
SQL
done
