"""Commands on databases that are empty, somebody else's, away, or closed to this user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute, tables, working_on
from tests.helpers import assert_one_red_line, command, invoke
from tests.servers import CHECKOUT, PRODUCTION, pamps


def test_reset_db(on_other_database):
    everything = tables(on_other_database)
    refused = invoke("reset-db", stdin="n\n")
    assert refused.returncode == 1
    assert refused.stdout.startswith("This drops the tables alembic_version, attempt, audit, ")
    assert tables(on_other_database) == everything
    dropped = command("reset-db", stdin="y\n")
    assert "dropped alembic_version, attempt, audit, " in dropped
    assert dropped.count(f"in the database {make_url(on_other_database).database} on ") == 2
    assert command("reset-db", "-f").startswith("There are no tables of Pamps ")
    assert tables(on_other_database) == set()
    assert_one_red_line(invoke("user-list"), "run pamps migrate")
    alembic = [Path(sys.executable).with_name("alembic"), "upgrade", "head"]
    there = {"PAMPS_DB__uri": on_other_database}
    subprocess.run(alembic, cwd=CHECKOUT, env=os.environ | there, check=True, capture_output=True)
    assert tables(on_other_database) == everything
    assert pamps("reset-db", "-f", **there | PRODUCTION).returncode == 0
    assert tables(on_other_database) == set()


def test_reset_db_leaves_what_others_have(on_other_database):
    url = make_url(on_other_database)
    execute(url, "CREATE TABLE theirs (user_id bigint)", "CREATE SCHEMA others")
    execute(url, 'CREATE TABLE others."user" (id int)')
    before = tables(on_other_database)
    for depends, words in (
        ('CREATE VIEW names AS SELECT username FROM "user"', "view names depends on table"),
        (
            'ALTER TABLE theirs ADD FOREIGN KEY (user_id) REFERENCES "user"',
            "constraint theirs_user_id_fkey on table theirs depends on table",
        ),
    ):
        execute(url, depends)
        done = invoke("reset-db", "--force")
        assert_one_red_line(done, "nothing was dropped: ")
        assert words in done.stderr
        assert tables(on_other_database) == before
    execute(url, "DROP VIEW names", "ALTER TABLE theirs DROP CONSTRAINT theirs_user_id_fkey")
    assert invoke("reset-db", "--force").returncode == 0
    assert tables(on_other_database) == {"theirs"}
    assert execute(url, 'SELECT * FROM others."user"') == []


EVERY_COMMAND = {
    "user-list": [],
    "create-user": ["ana@pamps.com", "ana", "1"],
    "delete-user": ["-f", "ana"],
    "set-password": ["ana"],
    "promote": ["ana"],
    "demote": ["ana"],
    "audit": [],
    "fake-data": ["--users", "1"],
    "shell": [],
    "migrate": [],
    "serve": [],
    "reset-db": ["-f"],
    "backup": ["/tmp/none.backup"],
}


def test_databases_that_are_not_ours(on_other_database):
    """Nobody works on them, and each is called what it is."""
    url = make_url(on_other_database)
    theirs = 'CREATE TABLE "user" (id int, email text, username text, password text'
    for statements, words in (
        ([f"{theirs}, avatar text, bio text)"], "a database of the FastAPI workshop"),
        ([f"{theirs})"], "not a database of Pamps"),
        (["DROP TABLE alembic_version", "CREATE TABLE alembic_version (x int)"], "not a database"),
    ):
        execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        execute(url, "CREATE TABLE alembic_version (version_num text)")
        execute(url, "INSERT INTO alembic_version VALUES ('d989fa6bfe59')", *statements)
        before = tables(on_other_database)
        for name, arguments in EVERY_COMMAND.items():
            assert_one_red_line(invoke(name, *arguments), words)
        assert tables(on_other_database) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "127.0.0.1", "port": 1}, "Connection refused"),
        ({"host": "somewhere.invalid"}, "could not translate host name to address"),
        ({"host": "127.0.0.1", "port": 1, "query": {"host": "/somewhere"}}, "No such file"),
    ],
)
def test_database_that_does_not_answer(change, words):
    url = make_url("postgresql://someuser@somewhere/somedatabase").set(password=canary.WORD)
    away = url.set(**change).render_as_string(hide_password=False)
    with working_on(away):
        done = invoke("user-list")
    assert_one_red_line(done, f"the database does not answer: {words}")
    for part in ("some", "127.0.0.1", canary.WORD):
        assert part not in done.stderr


@pytest.fixture
def stranger(other_database):
    """The address of the database for a user without rights in it."""
    url, name = make_url(other_database), f"stranger_{os.getpid()}"
    execute(url, f"CREATE ROLE {name} LOGIN PASSWORD '{canary.WORD}'")
    yield url.set(username=name, password=canary.WORD).render_as_string(hide_password=False)
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_missing_rights_name_the_grant(stranger, other_database):
    with working_on(stranger):
        done = invoke("user-list")
        assert_one_red_line(
            done, "permission denied for table alembic_version; its owner can GRANT "
        )
        assert "stranger" not in done.stderr
        execute(
            make_url(other_database), f"GRANT SELECT ON alembic_version TO stranger_{os.getpid()}"
        )
        done = invoke("user-list")
        grant = 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "user" to that user'
        assert_one_red_line(done, grant)
        execute(make_url(other_database), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        for right in ("", "USAGE"):  # the second is what everybody has in a new database
            if right:
                execute(make_url(other_database), f"GRANT {right} ON SCHEMA public TO PUBLIC")
            done = invoke("migrate")
            assert_one_red_line(
                done, "; its owner can GRANT USAGE, CREATE ON SCHEMA public to that"
            )


def test_extensions_that_a_user_may_not_create(stranger, other_database):
    """And may, as they are trusted ones, with no more than a right in the database."""
    url, role = make_url(other_database), make_url(stranger).username
    execute(url, "DROP SCHEMA public CASCADE", f"CREATE SCHEMA public AUTHORIZATION {role}")
    grant = f"GRANT CREATE ON DATABASE {url.database} TO"
    with working_on(stranger):
        done = invoke("migrate")
        assert_one_red_line(done, 'permission denied to create extension "unaccent"; a superuser ')
        assert f"{grant.lower()} that user" in done.stderr.lower()
        execute(url, f"{grant} {role}")
        assert invoke("migrate").returncode == 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER DATABASE {} SET default_transaction_read_only = on", "the database is read-only"),
        ("ALTER TABLE audit RENAME COLUMN target TO x", "column audit.target does not exist"),
        ("ALTER TABLE audit RENAME TO x", 'relation "audit" does not exist'),
        (
            "WITH x AS (UPDATE alembic_version SET version_num = '72c02c3b3d49') SELECT 1;"
            "DROP TABLE audit",
            "older than this Pamps: run pamps migrate",
        ),
    ],
)
def test_another_schema_or_server(on_other_database, statement, words):
    url = make_url(on_other_database)
    execute(url, statement.format(url.database))
    name, *arguments = ["audit"] if "audit" in statement else ["create-user", "a@b.com", "a", "1"]
    assert_one_red_line(invoke(name, *arguments), words)
