# Sourced by run.sh and test.sh: makes .venv with the locked requirements and Pamps itself, unless it
# is there and up to date. PYTHON chooses the interpreter.

up_to_date=$({ pwd; cat requirements-dev.txt requirements.in setup.py; } | cksum)

is_up_to_date() { [ "$(cat .venv/up_to_date 2>/dev/null)" = "$up_to_date" ]; }

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
  if ! is_up_to_date; then
    echo "Setting up .venv with $("$python" --version) …" >&2
    "$python" -m venv --clear .venv
    pip=(.venv/bin/python -m pip -qq --disable-pip-version-check install)
    "${pip[@]}" --require-hashes -r requirements-dev.txt
    "${pip[@]}" --no-deps --no-build-isolation -e .
    echo "$up_to_date" >.venv/up_to_date
  fi
  exec 9>&-
fi
