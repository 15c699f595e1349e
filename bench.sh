#!/usr/bin/env bash
# Measure Pamps and the floor: see docs/performance.md. Needs wrk.
set -euo pipefail
cd "$(dirname "$0")"
source ./setup.sh requirements-dev.txt
exec .venv/bin/python -m bench.run "$@"
