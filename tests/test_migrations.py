"""Migrations: up, down, up again, and no drift between them and the models."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.databases import tables
from tests.test_cli import pamps

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
