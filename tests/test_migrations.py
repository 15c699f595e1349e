"""Migrations: up, down, up again, and no drift between them and the models."""

import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import make_url

from tests.databases import execute, tables
from tests.test_cli import PRODUCTION, assert_one_red_line, pamps

CHECKOUT = Path(__file__).parent.parent


TABLES = {"user", "post", "social", "like", "session", "attempt", "audit", "idempotency"}
TABLES |= {"alembic_version"}


def alembic(address: str, *arguments: str, cwd: Path = CHECKOUT) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("alembic"), *arguments],
        env=os.environ | {"PAMPS_DB__uri": address},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_down_and_up(other_database, tmp_path):
    assert tables(other_database) == TABLES
    alembic(other_database, "downgrade", "base")
    assert tables(other_database) == {"alembic_version"}
    with ThreadPoolExecutor(2) as pool:  # of two at once, one does it and neither fails
        started = [pool.submit(pamps, "migrate", PAMPS_DB__uri=other_database) for _ in range(2)]
        assert [done.result().returncode for done in started] == [0, 0]
    assert tables(other_database) == TABLES
    # Nothing is left to do, so that a new migration is an empty one.
    shutil.copy(CHECKOUT / "alembic.ini", tmp_path)
    shutil.copytree(CHECKOUT / "migrations", tmp_path / "migrations")
    message = ["-m", "nothing has changed"]
    alembic(other_database, "revision", "--autogenerate", *message, cwd=tmp_path)
    (made,) = (tmp_path / "migrations" / "versions").glob("*_nothing_has_changed.py")
    assert made.read_text().count("pass") == 2


def test_the_code_s_revision_is_the_last_one():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from pamps.schema import REVISION

    scripts = ScriptDirectory.from_config(Config(CHECKOUT / "alembic.ini"))
    assert scripts.get_heads() == [REVISION]


def test_serve_refuses_another_schema(other_database):
    """In one line that says what to do, and without touching it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    revisions = {"72c02c3b3d49": "older than this Pamps: run pamps migrate", "x": "newer"}
    for revision, words in revisions.items():
        change = f"UPDATE alembic_version SET version_num = '{revision}' RETURNING 1"
        execute(make_url(other_database), change)
        settings = PRODUCTION | {"PAMPS_DB__uri": other_database}
        assert_one_red_line(pamps("serve", "--port", port, **settings), words)
    assert_one_red_line(pamps("migrate", PAMPS_DB__uri=other_database), "newer")
    execute(make_url(other_database), "DROP TABLE alembic_version")
    assert_one_red_line(pamps("serve", "--port", port, **settings), "run pamps migrate")
