"""Backups: what was there comes back to the last row, and a restore that fails changes nothing."""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import psycopg2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import NullPool, create_engine, make_url

from tests import canary
from tests.databases import embedded_server, execute, query, tables, working_on
from tests.helpers import Client, create_account, invoke, sign_in
from tests.servers import pamps

ODD = "two\nlines\r\n, a tab\t, \\n \\. \\N, 'single' and \"double\", %s, {}, 🐦 é"
DEFINITIONS = (
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position",
    "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
)


def contents(address: str) -> dict[str, list[tuple]]:
    """All that is in a database: every row, and what the tables, indexes and sequences are."""
    url = make_url(address)
    rows = {name: sorted(execute(url, f'TABLE "{name}"'), key=repr) for name in tables(address)}
    return rows | {query: execute(url, query) for query in DEFINITIONS}


# All sessions have ended, no mail is sent again, and numbers of transactions and positions mean
# nothing in another log.
NO_ROWS = "session", "ticket", "mail", "event", "write_position"
NOT_RESTORED: dict[str, list] = {table: [] for table in NO_ROWS}


def fill(address: str) -> None:
    """Stores some of everything."""
    from sqlmodel import Session

    from pamps.models import (
        Attempt,
        Audit,
        Block,
        Entry,
        Event,
        IdempotencyKey,
        Inbox,
        Mail,
        Mute,
        Notification,
        Post,
        PrimaryEpoch,
        Social,
        SQLModel,
        Tag,
        Ticket,
        User,
        UserSession,
        WritePosition,
    )

    def user(name: str, bio: str | None) -> User:
        email = f"{name}@pamps.com"
        return User(username=name, email=email, password=f"$argon2{canary.WORD}", bio=bio)

    url = make_url(address).set(drivername="postgresql+psycopg2")
    with Session(create_engine(url, poolclass=NullPool)) as session:
        ana, bia = user("ana", ODD), user("bia", None)
        session.add_all([ana, bia])
        session.flush()
        named = {"mention_ids": [bia.id, ana.id], "tags": ["é", ODD, "{}", '"']}
        posts = [Post(text=f"{ODD} {n}", user_id=ana.id, **named) for n in range(250)]
        session.add_all(posts)
        session.add_all([PrimaryEpoch(id=1), WritePosition(caller=0, position=1)])
        session.flush()
        # What a user has done to a post: a like, and whatever else there is.
        for mapper in SQLModel._sa_registry.mappers:
            if {column.name for column in mapper.primary_key} == {"user_id", "post_id"}:
                session.add(mapper.class_(user_id=bia.id, post_id=posts[0].id))
        session.add_all(
            [
                Post(text="\\.", user_id=bia.id, parent_id=posts[0].id),
                Social(from_id=ana.id, to_id=bia.id),
                Block(from_id=ana.id, to_id=bia.id),
                Mute(from_id=bia.id, to_id=ana.id),
                Entry(user_id=ana.id, id=posts[0].id, post_id=posts[0].id, author_id=ana.id),
                Tag(tag="é_🐦", post_id=posts[0].id, user_id=ana.id),
                Inbox(user_id=ana.id, unread_count=1),
                UserSession(
                    sid=2**62,
                    user_id=ana.id,
                    token_hash=bytes(range(256)),
                    user_agent=ODD,
                    expires=datetime(2030, 1, 1, tzinfo=UTC),
                ),
                Event(kind="post", user_id=ana.id, subject_id=posts[0].id),
                Attempt(subject=b"\0\\", address=b""),
                Mail(kind="verify_email", recipient=ODD, language="en", user_id=ana.id, key=b"\0"),
                IdempotencyKey(key=b"\0", user_id=ana.id, request=b"", status=201, answer=b"\xff"),
                Audit(actor="x", action="y", target_id=bia.id, target="z", address=ODD),
            ]
        )
        session.flush()
        session.add(Ticket(hash=b"\0", sid=2**62, expires=datetime(2030, 1, 1, tzinfo=UTC)))
        session.add(Notification(user_id=ana.id, kind="like", from_id=bia.id, post_id=posts[0].id))
        session.commit()


@pytest.fixture
def here(on_other_database) -> str:
    """The address of a filled database, on which the commands in this process work."""
    fill(on_other_database)
    return on_other_database


def assert_refused(done: CompletedProcess[str], words: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stdout
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.fixture(params=["server", "embedded"])
def database(request) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a database, and the variables that lead Pamps to it."""
    if request.param == "server":
        address = request.getfixturevalue("other_database")
        yield address, {"PAMPS_DB__uri": address}
        return
    with embedded_server() as address:
        folder = Path(str(make_url(address).query["host"])).parent
        variables = {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(folder)}
        assert pamps("migrate", **variables).returncode == 0
        yield address, variables


def test_what_was_there_comes_back(database, tmp_path):
    address, variables = database
    url, file = make_url(address), tmp_path / "pamps.backup"
    fill(address)
    before = contents(address)
    assert all(before[table] for table in tables(address))
    done = pamps("backup", file, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"backed up to {file} ({file.stat().st_size:,} bytes)\n"
    assert file.stat().st_mode & 0o777 == 0o600
    if variables["PAMPS_DB__uri"]:
        execute(
            url,
            "DELETE FROM post",
            "ALTER TABLE post DROP COLUMN edited_at",
            'CREATE TABLE newer (id int, user_id bigint REFERENCES "user")',
            'CREATE VIEW names AS SELECT username FROM "user"',
        )
    else:
        assert pamps("reset-db", "-f", **variables).returncode == 0
        assert tables(address) == set()
    done = pamps("restore", file, stdin="y\n", **variables)
    assert done.returncode == 0, done.stderr
    place = f"{url.database} on "
    if not variables["PAMPS_DB__uri"]:
        place = str(url.query["host"]).removesuffix("/socket")
    what, _, restored = done.stdout.partition("\nAre you sure? [y/N]: ")
    for words, told in ((what, "This replaces all that is in"), (restored, f"restored {file} in")):
        assert words.startswith(f"{told} the database ")
        assert place in words
    assert contents(address) == before | NOT_RESTORED
    assert execute(url, "SHOW statement_timeout") == [("5s",)]  # which is in no backup
    insert = "INSERT INTO post (text, user_id) SELECT 'new', min(id) FROM \"user\" RETURNING id"
    used = "SELECT max(id) FROM (SELECT id FROM post UNION ALL SELECT id FROM repost) AS used"
    ((last_id,),) = execute(url, used)
    assert execute(url, insert) == [(last_id + 1,)]


def test_a_backup_in_an_empty_database(here, tmp_path):
    """By a user who may do no more than that, and who has none of the extensions yet."""
    file, before, url = tmp_path / "pamps.backup", contents(here), make_url(here)
    assert invoke("backup", file).returncode == 0
    role = f"restorer_{os.getpid()}"
    execute(
        url,
        "DROP SCHEMA public CASCADE",
        f"CREATE ROLE {role} LOGIN PASSWORD '{canary.WORD}'",
        f"CREATE SCHEMA public AUTHORIZATION {role}",
        f"GRANT CREATE ON DATABASE {url.database} TO {role}",
    )
    restorer = url.set(username=role, password=canary.WORD)
    try:
        with working_on(restorer.render_as_string(hide_password=False)):
            done = invoke("restore", "-f", file)
            assert done.returncode == 0, done.stderr
        assert contents(here) == before | NOT_RESTORED
    finally:
        execute(url, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def test_a_database_that_is_set_back_revives_no_token(on_other_database, tmp_path):
    """Ids are given to other users then, here to a superuser."""
    from pamps.app import app
    from pamps.maintenance.backup import OTHERS

    file, anonymous = tmp_path / "pamps.backup", TestClient(app)

    def sign_up(name: str) -> tuple[Client, str]:
        id_, token = create_account(anonymous, name)
        client = Client(anonymous, token)
        client.id = id_
        return client, sign_in(anonymous, name)["refresh_token"]

    assert invoke("backup", file).returncode == 0
    ana, refresh_token = sign_up("ana")
    while query(OTHERS) != [(0,)]:
        pass  # PostgreSQL has not ended the connection that was closed.
    assert invoke("restore", "-f", file).returncode == 0
    bia, _ = sign_up("bia")
    assert bia.id == ana.id
    assert invoke("promote", "bia").returncode == 0
    for method, path in (
        ("GET", "/user/me/"),
        ("POST", "/post/"),
        ("DELETE", "/user/me/"),
        ("POST", "/user/bia/disable/"),
    ):
        response = ana.request(method, path, json={"text": "x"})
        assert response.status_code == 401, (method, path)
    again = anonymous.post("/refresh_token", json={"refresh_token": refresh_token})
    assert again.status_code == 401
    assert bia.get("/user/me/").json()["superuser"] is True


def test_a_file_that_is_no_good_changes_nothing(here, tmp_path):
    file, before = tmp_path / "pamps.backup", contents(here)
    assert invoke("backup", file).returncode == 0
    good = file.read_bytes()
    no_backup = [b"", good[:3], random.Random(7).randbytes(5000), b"SELECT 1;\n"]
    # The rows are compressed, and at the end.
    cut = [good[:length] for length in (200, len(good) // 2, len(good) - 1)]
    changed = [good[: -place - 7] + b"damaged" + good[-place:] for place in (200, 1000)]
    for content in no_backup + cut + changed:
        file.write_bytes(content)
        assert_refused(invoke("restore", "-f", file), f"cannot restore {file}: pg_restore: ")
    # In the SQL before them, which pg_restore does not read.
    file.write_bytes(good.replace(b"COPY public", b"COPY damage"))
    assert_refused(invoke("restore", "-f", file), 'schema "damage" does not exist')
    assert_refused(invoke("restore", "-f", tmp_path / "none"), "No such file or directory")
    assert_refused(invoke("restore", "-f", tmp_path), "cannot restore")
    # Nobody is asked about it before.
    assert_refused(invoke("restore", tmp_path / "none"), "No such file or directory")
    assert contents(here) == before


def test_a_backup_of_something_else_changes_nothing(here, tmp_path):
    from pamps.postgres import programs

    file, before = tmp_path / "other.backup", contents(here)
    pg_dump = programs.folders("pg_dump")[0] / "pg_dump"
    programs.run(pg_dump, "--format=custom", "--table=audit", f"--file={file}", f"--dbname={here}")
    assert_refused(invoke("restore", "-f", file), "it is no backup of Pamps")
    assert contents(here) == before


def test_restore_spares_what_is_not_ours(here, tmp_path):
    file, url = tmp_path / "pamps.backup", make_url(here)
    assert invoke("backup", file).returncode == 0
    execute(url, 'DROP TABLE "user" CASCADE')
    for statement in (
        "UPDATE alembic_version SET version_num = 'theirs'",
        "DROP TABLE alembic_version",
    ):
        execute(url, statement)
        before = tables(here)
        assert_refused(invoke("restore", "-f", file), "this is not a database of Pamps")
        assert tables(here) == before


def test_not_while_others_are_connected(here, tmp_path):
    file = tmp_path / "pamps.backup"
    with psycopg2.connect(here) as other:
        assert invoke("backup", file).returncode == 0
        before = contents(here)
        words = "others are connected to the database (1): stop them first"
        assert_refused(invoke("restore", "-f", file), words)
        assert contents(here) == before
    other.close()
    assert invoke("restore", "-f", file).returncode == 0


def test_restore_asks(here, tmp_path, monkeypatch):
    file, before = tmp_path / "pamps.backup", contents(here)
    assert invoke("backup", file).returncode == 0
    execute(make_url(here), "DELETE FROM post")
    assert invoke("restore", file, stdin="n\n").returncode == 1
    with monkeypatch.context() as production:
        production.setattr("pamps.config.ENVIRONMENT", "production")
        assert_refused(invoke("restore", file), "this is production: add --force")
        assert contents(here) != before
        assert invoke("restore", "--force", file).stdout.startswith(f"restored {file} in ")
    assert contents(here) == before | NOT_RESTORED


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("72c02c3b3d49", "but the database's schema is older than this Pamps: run pamps migrate"),
        (
            "ffffffffffff",
            "but the database's schema is newer than this Pamps: install the Pamps that made it",
        ),
    ],
)
def test_a_backup_of_another_version(here, tmp_path, version, words):
    execute(make_url(here), f"UPDATE alembic_version SET version_num = '{version}'")
    file = tmp_path / "pamps.backup"
    assert invoke("backup", file).returncode == 0
    restored, advice = invoke("restore", "-f", file).stdout.splitlines()
    assert restored.startswith(f"restored {file} in ")
    assert advice == words


def test_a_failed_backup_leaves_what_was_there(here, tmp_path, monkeypatch):
    folder, file = tmp_path / "backups", tmp_path / "backups" / "pamps.backup"
    assert_refused(invoke("backup", file), f"cannot write {file}: No such file or directory")
    folder.mkdir()
    assert_refused(invoke("backup", folder), f"cannot write {folder}: it is no file")
    file.write_text("old")
    half = 'for word; do case $word in --file=*) echo half > "${word#--file=}"; esac; done'
    program(monkeypatch, tmp_path, "pg_dump", f"{half}; echo no room >&2; exit 1")
    assert_refused(invoke("backup", file), f"{file} is there already: add --force to overwrite it")
    assert_refused(invoke("backup", "--force", file), "pg_dump: no room")
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(file.name, "old")]


def program(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, script: str) -> None:
    """Puts a script in the place of all programs of PostgreSQL."""
    monkeypatch.setattr("pamps.postgres.programs.find_spec", lambda _: None)
    monkeypatch.setattr("pamps.postgres.programs.DEBIAN", folder / "none")
    path = folder / name
    version = f'[ "$1" = --version ] && echo "{name} (PostgreSQL) 99.1" && exit'
    path.write_text(f"#!/bin/sh\n{version}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_password_is_not_among_the_arguments(here, tmp_path, monkeypatch):
    from pamps.config import settings

    url = make_url(here)
    url = url.set(password=url.password or canary.WORD)
    monkeypatch.setitem(vars(settings.db), "connect_args", {"application_name": "its backup"})
    told = tmp_path / "told"
    program(monkeypatch, tmp_path, "pg_dump", f'echo "$PGPASSWORD@ $*" > {told}')
    with working_on(url.render_as_string(hide_password=False)):
        assert invoke("backup", tmp_path / "pamps.backup").returncode == 0
    password, _, arguments = told.read_text().partition("@")
    assert password == url.password
    assert "password=" not in arguments
    assert f"dbname={url.database}" in arguments
    assert "application_name='its backup'" in arguments


@pytest.mark.parametrize("version", [None, "14.9"])
def test_without_the_programs(here, tmp_path, monkeypatch, version):
    file, before = tmp_path / "pamps.backup", contents(here)
    for command, name in (("backup", "pg_dump"), ("restore", "pg_restore")):
        program(monkeypatch, tmp_path, name, "")
        path = tmp_path / name
        if version:
            path.write_text(path.read_text().replace("99.1", version))
        else:
            path.unlink()
        result = invoke(command, file, *(["-f"] if command == "restore" else []))
        assert_refused(result, f"no {name} of PostgreSQL ")
        assert "pip install 'pamps[embedded]'" in result.stderr
    assert not file.exists()
    assert contents(here) == before


def test_a_database_without_tables_has_no_backup(here, tmp_path):
    execute(make_url(here), "DROP TABLE alembic_version")
    assert_refused(invoke("backup", tmp_path / "pamps.backup"), "run pamps migrate")
    assert list(tmp_path.iterdir()) == []
