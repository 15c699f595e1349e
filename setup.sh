# Sourced with the name of a lock: makes .venv with what serving needs, that lock and Pamps itself,
# unless it is there and up to date. PYTHON chooses the interpreter.

lock=$1
serving=(requirements-checkout.txt requirements.txt)
made=$({ pwd; cat "${serving[@]}" requirements.in setup.py; } | cksum)
installed=$({ echo "$made"; cat "$lock"; } | cksum)

is_made() { [ "$(cat .venv/made 2>/dev/null)" = "$made" ]; }
is_up_to_date() { is_made && [ "$(cat ".venv/$lock" 2>/dev/null)" = "$installed" ]; }

# With pip where uv cannot, as where only pip knows the registry.
install() {
  VIRTUAL_ENV="$PWD/.venv" .venv/bin/python -m uv pip install "$@" ||
    .venv/bin/python -m pip --disable-pip-version-check install "$@"
}

if ! is_up_to_date; then
  for python in ${PYTHON:-python3 python3.13 python3.12 python3.11} ''; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
  done
  if [ -z "$python" ]; then
    echo 'Pamps needs Python 3.11 or newer, and there is none on PATH or in PYTHON.' >&2
    exit 1
  fi
  # Of two at once, as a server and the tests, one sets it up and the other waits. The lock is that of
  # the open file, which the shell keeps when Python has ended.
  exec 9>.venv.lock
  "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  {
    if ! is_made; then
      echo "Making .venv with $("$python" --version)"
      "$python" -m venv --clear .venv
      echo 'Installing uv and PostgreSQL'
      .venv/bin/python -m pip --disable-pip-version-check install \
        --require-hashes -r requirements-checkout.txt
      echo "Installing $(grep -c == requirements.txt) packages for serving"
      # Compiled now, or else each command does it where PYTHONDONTWRITEBYTECODE is set.
      UV_COMPILE_BYTECODE=1 install --require-hashes -r requirements.txt
      install --no-deps --no-build-isolation -e .
      echo "$made" >.venv/made
    fi
    if ! is_up_to_date; then
      if [ "$lock" != requirements.txt ]; then
        echo "Installing what else of $(grep -c == "$lock") packages is missing"
        install --require-hashes -r "$lock"
      fi
      echo "$installed" >".venv/$lock"
    fi
  } >&2
  exec 9>&-
fi
