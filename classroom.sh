#!/usr/bin/env bash
# Serve Pamps to a class, on all addresses of this machine, with the settings of `classroom` in
# pamps/default.toml.
#
#   ./classroom.sh [arguments of pamps serve]
#   ./classroom.sh --reset [--force]   put all back: 30 made-up users and 300 posts, in Portuguese
set -euo pipefail
cd "$(dirname "$0")"
export PAMPS_ENV=classroom
[ "${1:-}" = --reset ] || exec ./run.sh --host 0.0.0.0 "$@"

source ./setup.sh requirements.txt
.venv/bin/pamps reset-db "${@:2}"
.venv/bin/pamps migrate
exec .venv/bin/pamps fake-data --users 30 --posts 300 --seed 1 --lang pt-BR
