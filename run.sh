#!/usr/bin/env bash
# Serve Pamps from this checkout, with its database. Arguments go to `pamps serve`.
set -euo pipefail
cd "$(dirname "$0")"
source ./setup.sh requirements.txt
source ./web/build.sh
build_web || true  # without the web client there is still the API
[ "${PAMPS_ENV:-development}" = development ] || .venv/bin/pamps migrate  # in development, serve migrates
exec .venv/bin/pamps serve "$@"
