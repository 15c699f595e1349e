# Create or update .venv with the packages for serving, those of the lock file given as argument, and
# Pamps itself. To be sourced. PYTHON chooses the interpreter.

lock=$1
serving=(requirements-checkout.txt requirements.txt)
made=$({ pwd; cat "${serving[@]}" requirements.in setup.py; } | cksum)
installed=$({ echo "$made"; cat "$lock"; } | cksum)

is_made() { [ "$(cat .venv/made 2>/dev/null)" = "$made" ]; }
is_up_to_date() { is_made && [ "$(cat ".venv/$lock" 2>/dev/null)" = "$installed" ]; }

# Fall back to pip if uv fails, for example where only pip is configured for the package index.
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
  # If two run at once, such as a server and the tests, one sets it up and the other waits. The lock
  # belongs to the open file, which the shell keeps open after Python has ended.
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
      # Otherwise every command would compile it where PYTHONDONTWRITEBYTECODE is set.
      UV_COMPILE_BYTECODE=1 install --require-hashes -r requirements.txt
      install --no-deps --no-build-isolation -e .
      echo "$made" >.venv/made
    fi
    if ! is_up_to_date; then
      if [ "$lock" != requirements.txt ]; then
        echo "Installing the packages of $lock that are missing"
        install --require-hashes -r "$lock"
      fi
      echo "$installed" >".venv/$lock"
    fi
  } >&2
  exec 9>&-
fi
