"""Migrations: up, down, up again, and no drift between them and the models."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from pamps.models import SQLModel
from tests.databases import execute, tables
from tests.helpers import assert_one_red_line, invoke
from tests.servers import CHECKOUT, PRODUCTION, pamps, served

TABLES = {*SQLModel.metadata.tables, "alembic_version"}


def alembic(address: str, *arguments: str, cwd: Path = CHECKOUT) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("alembic"), *arguments],
        env=os.environ | {"PAMPS_DB__uri": address},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_down_and_up(other_database, checkout):
    assert tables(other_database) == TABLES
    alembic(other_database, "downgrade", "base")
    assert tables(other_database) == {"alembic_version"}
    with ThreadPoolExecutor(2) as pool:  # of two at once, one does it and neither fails
        started = [pool.submit(pamps, "migrate", PAMPS_DB__uri=other_database) for _ in range(2)]
        assert [done.result().returncode for done in started] == [0, 0]
    assert tables(other_database) == TABLES
    # Nothing is left to do, so that a new migration is an empty one.
    message = ["-m", "nothing has changed"]
    alembic(other_database, "revision", "--autogenerate", *message, cwd=checkout)
    (made,) = (checkout / "migrations" / "versions").glob("*_nothing_has_changed.py")
    assert made.read_text().count("pass") == 2


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout to which migrations may be added."""
    for name in ("pamps", "migrations"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    shutil.copy(CHECKOUT / "alembic.ini", tmp_path)
    return tmp_path


def new_migration(checkout: Path, **options: object) -> Path:
    """What `alembic revision -m mine` makes."""
    script = command.revision(Config(checkout / "alembic.ini"), "mine", **options)
    return Path(script.path)


def test_two_migrations_of_one_name_and_day(checkout):
    made = [new_migration(checkout) for _ in range(2)]
    assert made[0] != made[1]
    assert made[0].read_text() != made[1].read_text()


def test_a_migration_of_one_s_own(other_database, checkout):
    """Also one that is made and applied while Pamps serves."""
    settings = {"PAMPS_DB__uri": other_database, "PYTHONPATH": str(checkout)}
    with served(settings) as (process, client):
        assert client.get("/health/ready").status_code == 200
        alembic(other_database, "revision", "--autogenerate", "-m", "mine", cwd=checkout)
        alembic(other_database, "upgrade", "head", cwd=checkout)
        assert client.get("/health/ready").json() == {"status": "ok"}
        process.terminate()
    assert pamps("migrate", **settings).stdout == "The database is up to date.\n"
    with served(settings | PRODUCTION) as (process, client):
        assert client.get("/health/ready").json() == {"status": "ok"}
        process.terminate()
    assert_one_red_line(pamps("migrate", PAMPS_DB__uri=other_database), "newer")


def test_several_heads(other_database, checkout):
    settings = {"PAMPS_DB__uri": other_database, "PYTHONPATH": str(checkout)}
    new_migration(checkout)
    new_migration(checkout, head="72c02c3b3d49", splice=True)
    for name in ("migrate", "serve"):
        assert_one_red_line(pamps(name, **settings), "run alembic merge heads")


def test_serve_refuses_another_schema(on_other_database, monkeypatch):
    """In one line that says what to do, and without touching it."""
    monkeypatch.setattr("pamps.config.ENVIRONMENT", "production")
    url = make_url(on_other_database)
    revisions = {"72c02c3b3d49": "older than this Pamps: run pamps migrate", "x": "newer"}
    for revision, words in revisions.items():
        execute(url, f"UPDATE alembic_version SET version_num = '{revision}'")
        assert_one_red_line(invoke("serve"), words)
    assert_one_red_line(invoke("migrate"), "newer")
    execute(url, "DROP TABLE alembic_version")
    assert_one_red_line(invoke("serve"), "run pamps migrate")
