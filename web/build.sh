# Build and check the web client, with the system's Node or else with one from PyPI. To be sourced
# after setup.sh.

# Print a checksum of the sources and of the built page, which names all other files of its build.
web_state() {
  {
    find web \( -name node_modules -o -name dist -o -name '.*' \) -prune -o -type f -exec cksum {} +
    cksum web/dist/index.html
  } 2>/dev/null | LC_ALL=C sort | cksum
}

is_web_built() { [ "$(cat web/.build/built 2>/dev/null)" = "$(web_state)" ]; }

# Run a step of the build. If it fails, say so in one line.
web_step() {
  local problem=$1
  shift
  mkdir -p web/.build
  "$@" >web/.build/log 2>&1 </dev/null && return
  echo "The web client cannot be built, $problem: see web/.build/log" >&2
  return 1
}

# Vite needs Node 20.19, 22.12 or newer.
has_node() {
  npm --version && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number)
    process.exit(major > 22 || minor >= { 20: 19, 22: 12 }[major] ? 0 : 1)'
} >/dev/null 2>&1

# Have a Node on PATH, and in web/node_modules the packages of the lock file.
prepare_web() {
  local packages
  if ! has_node; then
    PATH="$PWD/.venv/bin:$PATH"
    if ! has_node; then
      echo 'Installing Node from PyPI' >&2
      web_step 'as there is no Node 20.19 or newer' install --require-hashes -r requirements-node.txt || return
    fi
  fi
  packages=$(cat web/package.json web/package-lock.json | cksum)
  [ "$(cat web/node_modules/.made 2>/dev/null)" = "$packages" ] && return
  echo 'Installing the packages of the web client' >&2
  web_step 'as npm cannot install its packages' npm --prefix web ci --no-audit --no-fund \
    --fetch-retries=1 --fetch-retry-mintimeout=1000 || return
  echo "$packages" >web/node_modules/.made
}

# Run a function while no other process sets this checkout up, as setup.sh does.
alone() {
  local status=0
  exec 9>.venv.lock
  .venv/bin/python -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  "$@" || status=$?
  exec 9>&-
  return "$status"
}

build() {
  is_web_built && return  # by another process, in the meantime
  prepare_web || return
  echo 'Building the web client' >&2
  web_step 'as its build failed' npm --prefix web run build || return
  web_state >web/.build/built
}

build_web() { is_web_built || alone build; }

# Check the client's types and run its unit tests; check that its types of the API are up to date.
check_web() {
  local status=0
  npm --prefix web run --silent check || status=$?
  npm --prefix web --silent test || status=$?
  mkdir -p web/.build
  SCHEMA=.build/schema.d.ts npm --prefix web run --silent types >web/.build/log || status=$?
  if ! diff -u web/src/api/schema.d.ts web/.build/schema.d.ts; then
    echo 'web/src/api/schema.d.ts is not that of the API. This mends it: npm --prefix web run types'
    status=1
  fi
  return "$status"
}
