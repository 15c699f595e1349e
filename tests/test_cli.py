"""The command line, run as a user runs it."""

import os
import re
import socket
import subprocess
import sys

import pytest
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from tests import canary
from tests.databases import PAMPS, query
from tests.helpers import assert_one_red_line, command, invoke, sign_in
from tests.servers import PRODUCTION, pamps, run


def test_help():
    done = pamps("--help")
    assert done.returncode == 0
    commands = ["serve", "migrate", "shell", "user-list", "create-user", "delete-user"]
    commands += ["set-password", "reset-db", "fake-data", "promote", "demote", "audit"]
    commands += ["backup", "restore", "recount", "check"]
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
        ("check", "Check an implementation of the FastAPI workshop", "URL"),
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
    assert command("create-user", "admin@admin.com", "admin", "1234") == "created admin user\n"
    assert sign_in(api_client, "admin", "1234")
    lines = [line.strip() for line in command("user-list").splitlines()]
    assert lines[0] == "Pamps users"
    assert re.fullmatch(r"┃ username\s+┃ email\s+┃", lines[2])
    assert re.fullmatch(r"│ admin\s+│ admin@admin.com\s+│", lines[4])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("create-user user2@pamps.com User1 1234", "Username already taken"),
        ("create-user USER1@pamps.com user2 1234", "Email already taken"),
        ("create-user x a-b 1", "email: Input should be a valid e-mail address; username: "),
        ("create-user b@pamps.com me 1", "username: This name is reserved"),
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
    done = pamps("set-password", "user1", stdin=f"{word}\n", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "changed the password of user1\n")
    assert sign_in(api_client, "user1", word)
    assert (
        command("set-password", "user1", stdin=f"{word} 2\n") == "changed the password of user1\n"
    )
    assert sign_in(api_client, "user1", f"{word} 2")
    assert_one_red_line(invoke("set-password", "user1"), "password: ")


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


def test_an_error_in_the_shell_is_nothing_but_itself(tmp_path):
    (tmp_path / "IPython.py").write_text("raise ImportError")
    done = pamps("shell", stdin="unknown\n", PYTHONPATH=str(tmp_path))
    assert "NameError" in done.stderr
    assert "ImportError" not in done.stderr


@pytest.mark.parametrize("command", ["fake-data", "reset-db"])
def test_not_in_production(api_client_user1, monkeypatch, command):
    from pamps.cli import main

    monkeypatch.setattr("pamps.config.ENVIRONMENT", "production")
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert "production" in result.stderr
    assert query('SELECT username FROM "user"') == [("user1",)]
