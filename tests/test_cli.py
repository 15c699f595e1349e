"""The command line, run as a user runs it."""

import contextlib
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from tests import canary
from tests.databases import PAMPS, assert_counters_are_true, execute, query, tables
from tests.helpers import command, sign_in
from tests.servers import CHECKOUT, PRODUCTION, assert_one_red_line, pamps, run


def test_help():
    done = pamps("--help")
    assert done.returncode == 0
    commands = ["serve", "migrate", "shell", "user-list", "create-user", "delete-user"]
    commands += ["set-password", "reset-db", "fake-data", "promote", "demote", "audit"]
    commands += ["backup", "restore", "recount"]
    for word in (*commands, "--install-completion", "╭─ Commands"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("name", "description", "arguments"),
    [
        ("shell", "Opens interactive shell", ""),
        ("user-list", "Lists all users", ""),
        ("create-user", "Create user", "EMAIL USERNAME PASSWORD"),
        ("reset-db", "Resets the database tables", ""),
        ("delete-user", "Delete a user", "USERNAME"),
        ("set-password", "Give a user a new password", "USERNAME"),
        ("promote", "Make a user a superuser", "USERNAME"),
        ("demote", "Make a superuser a user", "USERNAME"),
        ("backup", "Write all", "FILE"),
        ("restore", "Replace all", "FILE"),
    ],
)
def test_help_of_a_command(name, description, arguments):
    """The workshop's commands have its descriptions."""
    told = [line.strip(" │") for line in command(name, "--help").splitlines()]
    usage = next(line for line in told if line.startswith("Usage:"))
    assert re.findall("[A-Z]+", usage.partition("[OPTIONS]")[2]) == arguments.split()
    assert any(line.startswith(description) for line in told)


IMPORTED = """
import sys
from pamps.cli import main
try:
    main()
finally:
    names = "dynaconf", "fastapi", "starlette", "uvicorn", "jose", "alembic", "sqlmodel"
    print("imported:", *[name for name in names if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], []),
        (["user-list"], ["dynaconf", "sqlmodel"]),
        (["create-user", "ana@pamps.com", "ana", "1"], ["dynaconf", "sqlmodel"]),
        (["delete-user", "--force", "user1"], ["dynaconf", "sqlmodel"]),
        (["audit"], ["dynaconf", "sqlmodel"]),
    ],
)
def test_a_command_imports_what_it_needs(api_client_user1, arguments, expected):
    """What is large and slow to import is left to the commands that use it."""
    done = run([sys.executable, "-c", IMPORTED, *arguments])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["imported:", *expected]


def test_create_user_and_user_list(api_client):
    done = pamps("create-user", "admin@admin.com", "admin", "1234")
    assert (done.returncode, done.stdout) == (0, "created admin user\n")
    assert sign_in(api_client, "admin", "1234")
    listed = pamps("user-list")
    assert listed.returncode == 0
    lines = [line.strip() for line in listed.stdout.splitlines()]
    assert lines[0] == "Pamps users"
    assert re.fullmatch(r"┃ username\s+┃ email\s+┃", lines[2])
    assert re.fullmatch(r"│ admin\s+│ admin@admin.com\s+│", lines[4])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("create-user user2@pamps.com User1 1234", "Username already taken"),
        ("create-user USER1@pamps.com user2 1234", "Email already taken"),
        ("create-user x a-b 1", "email: Input should be a valid e-mail address; username: "),
        ("create-user b@pamps.com me 1", "username: This name is a word of the API's paths"),
        ("delete-user nobody", "User not found: nobody"),
        ("set-password nobody", "User not found: nobody"),
        ("promote nobody", "User not found: nobody"),
        ("demote nobody", "User not found: nobody"),
    ],
)
def test_refusals(api_client_user1, arguments, words):
    from pamps.cli import main

    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(words)
    assert query('SELECT username FROM "user"') == [("user1",)]


def test_production_wants_longer_passwords():
    short = pamps("create-user", "b@pamps.com", "b", "1234567", **PRODUCTION)
    assert_one_red_line(short, "password: String should have at least 8 characters")


def test_where_serve_cannot_listen():
    from pamps.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for host in ("127.0.0.1", "nowhere.invalid"):
            result = CliRunner().invoke(main, ["serve", "--host", host, "--port", port])
            assert (result.exit_code, result.stdout) == (1, "")
            line = f"cannot listen on {host}, port {port}: [A-Za-z ,]+\n"
            assert re.fullmatch(line, result.stderr)
            assert "Unknown" not in result.stderr


def test_errors_are_red():
    controller, terminal = pty.openpty()
    command = [PAMPS, "delete-user", "nobody"]
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    subprocess.run(command, stderr=terminal, stdin=terminal, env=environment, check=False)
    assert os.read(controller, 1000).startswith(b"\x1b[31mUser not found: nobody")


def test_create_user_from_python(capsys):
    from pamps.cli import create_user

    user = create_user("user1@pamps.com", "user1", "user1")
    assert user.username == "user1"
    assert capsys.readouterr().out == "created user1 user\n"
    with pytest.raises(IntegrityError):
        create_user("user1@pamps.com", "user1", "user1")


def test_version():
    from importlib.metadata import version

    assert command("--version") == f"pamps {version('pamps')}\n"


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


@pytest.mark.parametrize("columns", ["5", "40", "1000"])
def test_a_pipe_gets_everything(columns):
    insert_strange()
    for name, words in (("user-list", ["ana", PLAIN]), ("audit", ["x" * 200, PLAIN])):
        done = pamps(name, COLUMNS=columns)
        assert done.returncode == 0
        assert done.stdout.splitlines()[4].strip("│ ").split(" │ ")[-1] == PLAIN
        for word in words:
            assert word in done.stdout


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C"}, {"LC_ALL": "POSIX"}],
)
def test_any_encoding_gets_everything(environment):
    insert_strange()
    for name in ("user-list", "audit"):
        done = pamps(name, **environment)
        assert done.returncode == 0, done.stderr
        escaped = PLAIN.encode("ascii", "backslashreplace").decode()
        assert PLAIN in done.stdout or escaped in done.stdout
    assert pamps("--help", **environment).returncode == 0


def at_terminal(*arguments: str, columns: int) -> str:
    """What a terminal of that width shows."""
    controller, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    with subprocess.Popen([PAMPS, *arguments], stdout=terminal, env=environment) as process:
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
    for name, words in (("user-list", PLAIN), ("audit", PLAIN + "x" * 200)):
        told = at_terminal(name, columns=columns)
        if columns == 400:
            assert PLAIN in told
        for letter in set(words) - set(" │"):
            assert told.count(letter) >= words.count(letter)
        told = told.replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
        assert "\x1b" not in told
        assert "\u202e" not in told


def test_delete_user(api_client, sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    bia.like(post)
    ana.like(bia.write())
    from pamps.cli import main
    from pamps.db import engine

    refused = CliRunner().invoke(main, ["delete-user", "ANA"], input="n\n")
    assert refused.exit_code == 1
    assert refused.stdout.startswith("This deletes ana, ana@pamps.com, and all that is theirs, in ")
    assert f"the database {engine.url.database} on " in refused.stdout
    assert ana.get("/user/me/").status_code == 200
    assert command("delete-user", "ANA", stdin="y\n").endswith("deleted ANA user\n")
    assert command("delete-user", "--force", "bia") == "deleted bia user\n"
    assert ana.get("/user/me/").status_code == 401
    assert api_client.get("/post/").json() == []


def test_delete_user_deletes_whom_it_has_shown(api_client, sign_up):
    """And not somebody who has taken the name while it asked."""
    ana = sign_up("ana")
    with subprocess.Popen(
        [PAMPS, "delete-user", "ana"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(process.stdout.fileno(), 1000)
        assert ana.delete("/user/me/").status_code == 204
        other = sign_up("ana")
        _, refused = process.communicate(b"y\n")
    assert process.returncode == 1
    assert b"ana is somebody else now: nothing was deleted" in refused
    assert other.get("/user/me/").status_code == 200


def test_set_password(api_client, api_client_user1):
    """From a pipe; a terminal asks twice."""
    word = f"{canary.WORD} é"
    for environment in ({}, {"PYTHONIOENCODING": "ascii"}):
        done = pamps("set-password", "user1", stdin=f"{word}\n", **environment)
        assert (done.returncode, done.stdout) == (0, "changed the password of user1\n")
        assert sign_in(api_client, "user1", word)
    assert_one_red_line(pamps("set-password", "user1"), "password: ")


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


def test_shell(api_client_user1):
    script = "print('names', session.exec(select(User.username)).all(), engine, settings.db.echo)"
    done = pamps("shell", stdin=script + "\n")
    assert done.returncode == 0
    start = "Auto imports: ['settings', 'engine', 'select', 'session', 'User', 'Post', "
    assert done.stdout.startswith(start)
    assert "names ['user1'] Engine(postgresql+psycopg2://" in done.stdout


def test_shell_shows_the_address_of_the_embedded_database(tmp_path):
    environment = {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(tmp_path / "pamps")}
    assert pamps("migrate", **environment).returncode == 0
    script = "print('', settings, settings.security, engine.url, settings.db.uri, sep='\\n')\n"
    done = pamps("shell", stdin=script, **environment)
    assert done.returncode == 0
    assert len(set(re.findall(r"^postgresql\+psycopg2://.+$", done.stdout, re.MULTILINE))) == 1
    assert done.stdout.count("postgresql+psycopg2://") == 2
    assert os.environ["PAMPS_SECURITY__SECRET_KEY"] not in done.stdout


def test_shell_without_ipython(tmp_path, api_client_user1):
    (tmp_path / "IPython.py").write_text("raise ImportError")
    script = "print('names', session.exec(select(User.username)).all())\n"
    done = pamps("shell", stdin=script, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert "names ['user1']" in done.stdout


def test_reset_db(other_database):
    here = {"PAMPS_DB__uri": other_database}
    production = here | PRODUCTION
    everything = tables(other_database)
    from pamps.cli import main

    refused = CliRunner().invoke(main, ["reset-db"], input="n\n")
    assert refused.exit_code == 1
    assert refused.stdout.startswith("This drops the tables alembic_version, attempt, audit, ")
    assert tables(other_database) == everything
    done = pamps("reset-db", stdin="y\n", **here)
    assert done.returncode == 0
    assert "dropped alembic_version, attempt, audit, " in done.stdout
    assert done.stdout.count(f"in the database {make_url(other_database).database} on ") == 2
    again = pamps("reset-db", "-f", **here)
    assert (again.returncode, again.stdout[:29]) == (0, "There are no tables of Pamps ")
    assert tables(other_database) == set()
    assert_one_red_line(pamps("user-list", **here), "run pamps migrate")
    alembic = [Path(sys.executable).with_name("alembic"), "upgrade", "head"]
    subprocess.run(alembic, cwd=CHECKOUT, env=os.environ | here, check=True, capture_output=True)
    assert tables(other_database) == everything
    assert pamps("reset-db", "-f", **production).returncode == 0
    assert tables(other_database) == set()


def test_reset_db_leaves_what_others_have(other_database):
    here, url = {"PAMPS_DB__uri": other_database}, make_url(other_database)
    execute(url, "CREATE TABLE theirs (user_id bigint)", "CREATE SCHEMA others")
    execute(url, 'CREATE TABLE others."user" (id int)')
    before = tables(other_database)
    for depends, words in (
        ('CREATE VIEW names AS SELECT username FROM "user"', "view names depends on table"),
        (
            'ALTER TABLE theirs ADD FOREIGN KEY (user_id) REFERENCES "user"',
            "constraint theirs_user_id_fkey on table theirs depends on table",
        ),
    ):
        execute(url, depends)
        done = pamps("reset-db", "--force", **here)
        assert_one_red_line(done, "nothing was dropped: ")
        assert words in done.stderr
        assert tables(other_database) == before
    execute(url, "DROP VIEW names", "ALTER TABLE theirs DROP CONSTRAINT theirs_user_id_fkey")
    assert pamps("reset-db", "--force", **here).returncode == 0
    assert tables(other_database) == {"theirs"}
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


def test_databases_that_are_not_ours(other_database, monkeypatch):
    """Nobody works on them, and each is called what it is."""
    from pamps.cli import main
    from pamps.db import engine

    url = make_url(other_database)
    other = create_engine(url.set(drivername="postgresql+psycopg2"))
    monkeypatch.setattr(engine, "pool", other.pool)
    theirs = 'CREATE TABLE "user" (id int, email text, username text, password text'
    for statements, words in (
        ([f"{theirs}, avatar text, bio text)"], "a database of the FastAPI workshop"),
        ([f"{theirs})"], "not a database of Pamps"),
        (["DROP TABLE alembic_version", "CREATE TABLE alembic_version (x int)"], "not a database"),
    ):
        execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        execute(url, "CREATE TABLE alembic_version (version_num text)")
        execute(url, "INSERT INTO alembic_version VALUES ('d989fa6bfe59')", *statements)
        before = tables(other_database)
        for name, arguments in EVERY_COMMAND.items():
            result = CliRunner().invoke(main, [name, *arguments])
            assert (result.exit_code, result.stdout) == (1, ""), name
            assert words in result.stderr, name
            assert result.stderr.count("\n") == 1, name
        assert tables(other_database) == before
    other.dispose()


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
    done = pamps("user-list", PAMPS_DB__uri=away)
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
    done = pamps("user-list", PAMPS_DB__uri=stranger)
    assert_one_red_line(done, "permission denied for table alembic_version; its owner can GRANT ")
    assert "stranger" not in done.stderr
    execute(make_url(other_database), f"GRANT SELECT ON alembic_version TO stranger_{os.getpid()}")
    done = pamps("user-list", PAMPS_DB__uri=stranger)
    grant = 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "user" to that user'
    assert_one_red_line(done, grant)
    execute(make_url(other_database), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    for right in ("", "USAGE"):  # the second is what everybody has in a new database
        if right:
            execute(make_url(other_database), f"GRANT {right} ON SCHEMA public TO PUBLIC")
        done = pamps("migrate", PAMPS_DB__uri=stranger)
        assert_one_red_line(done, "; its owner can GRANT USAGE, CREATE ON SCHEMA public to that")


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
def test_another_schema_or_server(other_database, statement, words):
    url = make_url(other_database)
    execute(url, statement.format(url.database))
    name, *arguments = ["audit"] if "audit" in statement else ["create-user", "a@b.com", "a", "1"]
    done = pamps(name, *arguments, PAMPS_DB__uri=other_database)
    assert_one_red_line(done, words)


DUMP = """
SELECT u.id - (SELECT min(id) FROM "user"), regexp_replace(username, '\\d+$', ''), bio, post_count,
    follower_count, following_count FROM "user" AS u ORDER BY 1
"""
POSTS = """
SELECT id - first, text, date, user_id - (SELECT min(id) FROM "user"), parent_id - first,
    like_count, reply_count FROM post, (SELECT min(id) AS first FROM post) AS x ORDER BY 1
"""


def test_fake_data(api_client):
    printed = command("fake-data", "--users", "100", "--posts", "1000", "--seed", "7")
    assert "added 100 users and 1000 posts; each user's password is pamps" in printed
    assert "100%" in printed
    assert_counters_are_true()
    users, posts = query(DUMP), query(POSTS)
    assert (len(users), len(posts)) == (100, 1000)
    replies = [post for post in posts if post[4] is not None]
    assert 200 < len(replies) < 400
    assert all(reply[4] < reply[0] for reply in replies)
    followers = sorted(user[4] for user in users)
    assert followers[-1] > 5 * max(followers[50], 1)
    name = api_client.get("/user/").json()[0]["username"]
    assert sign_in(api_client, name, "pamps")


def test_the_same_seed_gives_the_same_data():
    from pamps.cli import main
    from pamps.db import engine
    from pamps.models import SQLModel

    dumps = []
    for seed in ("7", "7", "8"):
        command = ["fake-data", "--users", "20", "--posts", "50", "--seed", seed]
        assert CliRunner().invoke(main, command).exit_code == 0
        dumps.append((query(DUMP), query(POSTS)))
        with engine.begin() as connection:
            for table in reversed(SQLModel.metadata.sorted_tables):
                connection.execute(table.delete())
    assert dumps[0] == dumps[1] != dumps[2]


@pytest.mark.parametrize("command", ["fake-data", "reset-db"])
def test_not_in_production(api_client_user1, monkeypatch, command):
    from pamps.cli import main

    monkeypatch.setattr("pamps.config.ENVIRONMENT", "production")
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert "production" in result.stderr
    assert query('SELECT username FROM "user"') == [("user1",)]
