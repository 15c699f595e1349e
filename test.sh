#!/usr/bin/env bash
# Test Pamps: in docker compose if a Docker engine answers, otherwise on the embedded PostgreSQL.
#
#   ./test.sh [--docker | --local] [arguments of pytest]
#   ./test.sh --web [arguments of pytest]            the web client, in Chromium
#   ./test.sh --faults [arguments of tests.faults]   the long form of the faults, almost an hour
set -euo pipefail
cd "$(dirname "$0")"

# A project of its own without ports, so that it does not disturb a `docker compose up`.
compose() {
  set -- --project-name pamps-test --file docker-compose.yaml "$@"
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

in_docker() {
  export PAMPS_DB=pamps_test
  trap 'compose down --volumes' EXIT
  compose up -d --build
  compose exec -T api pamps reset-db --force
  compose exec -T api alembic upgrade head
  compose exec -T api pytest -n 3 --dist worksteal -p no:cacheprovider "$@"
  if [ $# = 0 ]; then
    compose exec -T api python -m tests.fuzz --max-examples 3
    compose exec -T api python -m tests.faults
  fi
}

here() {
  # Each of the many processes that the tests start would compile Pamps.
  unset PYTHONDONTWRITEBYTECODE
  source ./setup.sh requirements-dev.txt
  source ./web/build.sh
  local clean=0
  .venv/bin/ruff check --quiet . || clean=$?
  .venv/bin/ruff format --check --quiet . || clean=$?
  .venv/bin/mypy || clean=$?
  .venv/bin/bandit --quiet --recursive pamps || clean=$?
  # Where the web client cannot be built, that is said, and its tests are left out.
  if alone prepare_web; then
    build_web || clean=$?
    [ $# != 0 ] || check_web || clean=$?
  fi
  .venv/bin/pytest -n 3 --dist worksteal "$@"
  # Arguments select tests of pytest; fuzzing and faults are only for the whole.
  if [ $# = 0 ]; then
    .venv/bin/python -m tests.fuzz --max-examples 3 || clean=$?
    .venv/bin/python -m tests.faults || clean=$?
  fi
  return "$clean"
}

# Fails also where Node or Chromium is missing.
web() {
  source ./setup.sh requirements-dev.txt
  source ./web/build.sh
  alone prepare_web
  build_web
  check_web
  TEST_WEB=1 exec .venv/bin/pytest tests/web tests/test_web*.py tests/service/test_web_build.py "$@"
}

faults() {
  source ./setup.sh requirements-dev.txt
  exec .venv/bin/python -m tests.faults --long "$@"
}

case ${1:-} in
  --docker) shift; in_docker "$@" ;;
  --local) shift; here "$@" ;;
  --web) shift; web "$@" ;;
  --faults) shift; faults "$@" ;;
  *)
    if docker info >/dev/null 2>&1 && compose version >/dev/null 2>&1; then
      in_docker "$@"
    else
      here "$@"
    fi
    ;;
esac
