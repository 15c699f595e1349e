#!/usr/bin/env bash
# Serves Pamps from this checkout, database included. Arguments go to `pamps serve`.
set -euo pipefail
cd "$(dirname "$0")"
source ./setup.sh requirements.txt
[ "${PAMPS_ENV:-development}" = development ] || .venv/bin/pamps migrate  # there serve does it
exec .venv/bin/pamps serve "$@"
