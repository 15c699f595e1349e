"""What commands print: to a terminal, into a pipe, in any encoding."""

import contextlib
import os
import pty
import subprocess
import sys

import pytest

from tests import canary
from tests.databases import PAMPS
from tests.helpers import sign_in
from tests.servers import pamps, run


def test_errors_are_red():
    controller, terminal = pty.openpty()
    command = [PAMPS, "delete-user", "nobody"]
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    subprocess.run(command, stderr=terminal, stdin=terminal, env=environment, check=False)
    assert os.read(controller, 1000).startswith(b"\x1b[31mUser not found: nobody")


# What a terminal or Rich would make something else of.
STRANGE = "2001:db8:100:1234::1 [red]:smile: \x1b[31m \u202e é 日本"


PLAIN = STRANGE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


def insert_strange() -> None:
    from sqlmodel import Session

    from pamps.db import engine
    from pamps.maintenance.fake import PASSWORD_HASH
    from pamps.models import Audit, User

    with Session(engine) as session:
        session.add(User(email=STRANGE, username="ana", password=PASSWORD_HASH))
        session.add(Audit(actor="x" * 200, action="a", target_id=1, target="b", address=STRANGE))
        session.commit()


# Runs several commands in one process, each as `pamps` would.
COMMANDS = """
import sys
from pamps.cli import main
for command in sys.argv[1:]:
    main([command], standalone_mode=False)
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "5"},
        {"COLUMNS": "1000"},
        {"COLUMNS": "40", "PYTHONIOENCODING": "ascii"},
        {"LANG": "C", "LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
    ],
)
def test_a_pipe_gets_everything(environment):
    """However wide a terminal would be, and in any encoding."""
    insert_strange()
    done = run([sys.executable, "-c", COMMANDS, "user-list", "audit"], **environment)
    assert done.returncode == 0, done.stderr
    ascii_only = "PYTHONIOENCODING" in environment
    plain = PLAIN.encode("ascii", "backslashreplace").decode() if ascii_only else PLAIN
    last = [line.strip("│| ").split(" │ ")[-1] for line in done.stdout.splitlines()]
    assert [text.split(" | ")[-1] for text in last].count(plain) == 2
    for word in ("ana", "x" * 200):
        assert word in done.stdout


def test_help_in_an_encoding_without_its_frames():
    assert pamps("--help", PYTHONIOENCODING="ascii").returncode == 0


def at_terminal(*commands: str, columns: int) -> str:
    """What a terminal of that width shows."""
    controller, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    command = [sys.executable, "-c", COMMANDS, *commands]
    with subprocess.Popen(command, stdout=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # at the end
            while more := os.read(controller, 1000):
                shown += more
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize("columns", [5, 60, 400])
def test_a_terminal_shows_everything_as_it_is(columns):
    insert_strange()
    told = at_terminal("user-list", "audit", columns=columns)
    if columns == 400:
        assert told.count(PLAIN) == 2
    for letter in set(PLAIN + "x") - set(" │"):
        assert told.count(letter) >= (PLAIN + PLAIN + "x" * 200).count(letter)
    told = told.replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_set_password_at_a_terminal(api_client, api_client_user1):
    controller, terminal = pty.openpty()
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    command = [PAMPS, "set-password", "user1"]
    with subprocess.Popen(command, start_new_session=True, **streams) as process:
        for words in (b"Password: ", b"confirmation: "):
            shown = b""
            while words not in shown:
                shown += os.read(controller, 1000)
            os.write(controller, f"{canary.WORD}\n".encode())
    assert process.returncode == 0
    assert sign_in(api_client, "user1", canary.WORD)
