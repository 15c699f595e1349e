"""Settings: where they come from, and what happens when one is wrong."""

import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_cli import pamps, run

CHECKOUT = Path(__file__).parent.parent
SECRET = "0123456789abcdef0123456789abcdef"
# What every command does first. It is quicker alone.
LOAD = [sys.executable, "-c", "import pamps.config"]
WRONG = [
    ("PAMPS_ENV", "staging", "PAMPS_ENV: must be one of development, testing, production"),
    ("PAMPS_DB", "pamps_test", "db: must be a table"),
    ("PAMPS_DB__uri", "mysql://localhost/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://u:p@h:port/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "sqlite:///x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__url", "x", "db.url: there is no such setting"),
    ("PAMPS_DB__echo", "perhaps", "db.echo: must be true or false"),
    ("PAMPS_DB__pool_size", "ten", "db.pool_size: must be a whole number"),
    ("PAMPS_DB__pool_size", "true", "db.pool_size: must be a whole number"),
    ("PAMPS_DB__pool_size", "0", "db.pool_size: must be from 1 to"),
    ("PAMPS_DB__connect_args", "[1]", "db.connect_args: must be a table"),
    ("PAMPS_SECURITY__SECRET_KEY", "", "security.SECRET_KEY: is missing"),
    ("PAMPS_SECURITY__SECRET_KEY", "12345", "security.SECRET_KEY: must be text"),
    ("PAMPS_SECURITY__ALGORITHM", "none", "security.ALGORITHM: must be one of HS256"),
    ("PAMPS_SECURITY__ACCESS_TOKEN_EXPIRE_MINUTES", "-5", "ACCESS_TOKEN_EXPIRE_MINUTES: must be"),
    ("PAMPS_POST__max_length", "1.5", "post.max_length: must be a whole number"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_value_stops_with_one_line_that_names_it(name, value, words):
    done = run(LOAD, **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith("pamps: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(value) < 5 or value not in done.stderr


@pytest.mark.parametrize(
    "secret",
    [
        None,
        "",
        "x" * 31,
        "development-only-secret-that-everyone-can-read",
        "troque_por_favor_no_secrets_toml",
    ],
)
def test_production_wants_a_secret_of_its_own(secret):
    environment = {} if secret is None else {"PAMPS_SECURITY__SECRET_KEY": secret}
    done = run(LOAD, PAMPS_ENV="production", **environment)
    assert done.returncode == 1
    assert "security.SECRET_KEY: " in done.stderr


def test_production_with_a_secret():
    environment = {"PAMPS_ENV": "production", "PAMPS_SECURITY__SECRET_KEY": SECRET}
    assert run(LOAD, **environment).returncode == 0


def test_every_setting_is_explained():
    lines = (CHECKOUT / "pamps" / "default.toml").read_text().splitlines()
    defaults = tomllib.loads("\n".join(lines))["default"]
    for table in defaults.values():
        for key in table:
            at = next(n for n, line in enumerate(lines) if line.startswith(f"{key} = "))
            before = [line for line in lines[:at] if line.split(" = ")[0] not in table]
            assert before[-1].startswith("#"), key


@pytest.mark.parametrize("prefix", ["postgresql://", "postgres://", "postgresql+psycopg2://"])
def test_every_spelling_means_psycopg2(prefix, monkeypatch):
    from pamps.config import settings
    from pamps.db import database_url

    monkeypatch.setitem(settings.db, "uri", f"{prefix}u:p@h:5432/name")
    url = database_url().render_as_string(hide_password=False)
    assert url == "postgresql+psycopg2://u:p@h:5432/name"


def test_later_sources_win():
    script = "from pamps.config import settings as s; print(s.post.max_length, s.db.pool_size)"
    command = [sys.executable, "-c", script]
    assert run(command).stdout == "255 10\n"
    assert run(command, PAMPS_POST__max_length="500").stdout == "500 10\n"


def test_a_command_says_it_in_one_line_too():
    done = pamps("user-list", PAMPS_DB__echo="perhaps")
    assert (done.returncode, done.stderr) == (1, "pamps: db.echo: must be true or false\n")
