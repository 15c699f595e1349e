"""Databases with settings of their own: encodings and languages."""

import contextlib
import os
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import make_url

from tests.databases import execute, working_on
from tests.helpers import assert_one_red_line, command, invoke
from tests.servers import served

USER = {"email": "ana@pamps.com", "username": "ana", "password": "lalala"}
EMOJI = "👨‍👩‍👧 ŝ 日本"
# Where the server can have it; else one whose small letters differ from those of "C" too.
TURKISH = "LOCALE_PROVIDER icu ICU_LOCALE 'tr'"
UNICODE = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'"


@contextlib.contextmanager
def database(*choices: str) -> Iterator[str]:
    """An empty database with the first of these options that the server has, its address."""
    server = make_url(os.environ["TEST_SERVER"])
    name = f"pamps_test_{os.getpid()}_locale"
    for options in choices:
        with contextlib.suppress(psycopg2.Error):
            execute(server, f"CREATE DATABASE {name} TEMPLATE template0 {options}")
            break
    else:
        raise AssertionError(f"no database with {choices}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def test_text_is_in_utf_8_whatever_else_is_asked_for(other_database, tmp_path, monkeypatch):
    url = make_url(other_database)
    execute(url, f"ALTER DATABASE {url.database} SET client_encoding = 'LATIN1'")
    settings = {"PAMPS_DB__uri": other_database, "PGCLIENTENCODING": "LATIN1"}
    with served(settings) as (process, client):
        assert client.post("/user/", json=USER | {"bio": EMOJI}).status_code == 201
        token = client.post("/token", data=USER).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.post("/post/", json={"text": EMOJI}, headers=headers).status_code == 201
        assert [post["text"] for post in client.get("/post/").json()] == [EMOJI]
        me = client.patch("/user/me/", json={"bio": EMOJI * 2}, headers=headers)
        assert me.json()["bio"] == EMOJI * 2
        process.terminate()
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with working_on(other_database):
        command("backup", tmp_path / "file")
        command("restore", tmp_path / "file", "--force")
    query = "SELECT encode(convert_to(text, 'UTF8'), 'hex') FROM post"
    assert execute(url, query) == [(EMOJI.encode().hex(),)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_all_text(encoding):
    with database(f"ENCODING '{encoding}' LOCALE 'C'") as address, working_on(address):
        for name in ("migrate", "serve", "user-list"):
            assert_one_red_line(invoke(name), f"the database's encoding is {encoding}")


@pytest.mark.parametrize("options", [(TURKISH, UNICODE), ("LOCALE 'C'",)])
def test_names_are_the_same_in_every_language(options):
    with database(*options) as address:
        settings = {"PAMPS_DB__uri": address}
        with served(settings | {"PAMPS_RATE_LIMIT__enabled": "false"}) as (process, client):

            def sign_up(username: str, email: str) -> int:
                user = USER | {"username": username, "email": email}
                return client.post("/user/", json=user).status_code

            assert sign_up("IBRAHIM", "IBRAHIM@pamps.com") == 201
            assert sign_up("ibrahim", "other@pamps.com") == 409
            assert sign_up("other", "ibrahim@pamps.com") == 409
            # Letters beyond ASCII have no case, whatever the database thinks.
            assert sign_up("other", "Émile@pamps.com") == 201
            assert sign_up("another", "émile@pamps.com") == 201
            for name in ("IBRAHIM", "ibrahim", "iBrahim"):
                assert client.post("/token", data=USER | {"username": name}).status_code == 200
                assert client.get(f"/user/{name}/").json()["username"] == "IBRAHIM"
            strange = USER | {"username": "ıbrahım"}
            assert client.post("/token", data=strange).status_code == 401
            assert client.get("/user/ıbrahım/").status_code == 404
            process.terminate()
        with working_on(address):
            assert command("promote", "ibrahim") == "ibrahim is a superuser\n"
        query = """SELECT username FROM "user" WHERE superuser"""
        assert execute(make_url(address), query) == [("IBRAHIM",)]


def test_no_index_depends_on_the_language():
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '%lower(%'"
    found = dict(execute(make_url(os.environ["PAMPS_DB__uri"]), query))
    assert set(found) == {"uq_user_email", "uq_user_username"}
    for definition in found.values():
        assert definition.count('COLLATE "C"') == definition.count("lower(")
