"""Requests that schemathesis makes up from the documentation, sent to a running `pamps serve`.

    python -m tests.fuzz [arguments of `st run`]

First as nobody, then as a user. Any answer that the documentation does not allow is a failure. This
file is also the hook by which schemathesis signs in.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import httpx
import schemathesis

from tests.databases import embedded_server, migrated_database
from tests.servers import CHECKOUT, served

ADDRESS = "FUZZ_ADDRESS"


class Account:
    """A new account whenever the last one is signed out, deleted, or has another password."""

    def get(self, _case: object, _context: object) -> str:
        name = f"user_{uuid.uuid4().hex[:20]}"
        account = {"username": name, "password": name, "email": f"{name}@pamps.com"}
        with httpx.Client(base_url=os.environ[ADDRESS]) as client:
            client.post("/user/", json=account).raise_for_status()
            return client.post("/token", data=account).json()["access_token"]

    def set(self, case: schemathesis.Case, token: str, _context: object) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


@schemathesis.hook
def filter_case(_context: object, case: schemathesis.Case) -> bool:
    """No `newer_than` where it is a 422 that no schema could say: by a cursor, or an order."""
    query = case.query or {}
    is_oldest_first = "/post/user/" in case.path and query.get("order") != "newest"
    return "newer_than" not in query or ("cursor" not in query and not is_oldest_first)


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case, _arguments: object) -> None:
    """Use no Idempotency-Key twice: it belongs to the request that it was first sent with."""
    key = (case.headers or {}).get("Idempotency-Key", "")
    if re.fullmatch("[ -~]{1,255}", key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex + key[32:]


if ADDRESS in os.environ:
    schemathesis.auth()(Account)


def main(*arguments: str) -> int:
    with contextlib.ExitStack() as stack:
        server = os.environ.get("PAMPS_DB__uri") or stack.enter_context(embedded_server())
        database = stack.enter_context(migrated_database(server))
        settings = {"PAMPS_ENV": "testing", "PAMPS_DB__uri": database}
        process, client = stack.enter_context(served(settings))
        address = str(client.base_url)
        command = [Path(sys.executable).with_name("st")]
        command += ["--config-file", CHECKOUT / "tests" / "schemathesis.toml"]
        command += ["run", f"{address}/openapi.json", "--checks", "all", "--warnings", "off"]
        command += arguments
        hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz", "PYTHONPATH": str(CHECKOUT)}
        folder = stack.enter_context(tempfile.TemporaryDirectory())  # it leaves files
        results = [
            subprocess.run(command, env=os.environ | hooks | more, cwd=folder).returncode
            for more in ({}, {ADDRESS: address})
        ]
        process.terminate()
    return int(any(results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
