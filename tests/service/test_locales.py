"""Databases with settings of their own: encodings and languages."""

import contextlib
import os
from collections.abc import Iterator

import psycopg2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from tests.databases import execute, working_on
from tests.helpers import Client, assert_one_red_line, command, invoke, sign_in

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


@pytest.fixture
def anonymous() -> TestClient:
    """A client of this process on whichever database it works, as each request connects anew."""
    from pamps.app import app

    return TestClient(app)


def test_text_is_in_utf_8_whatever_else_is_asked_for(
    on_other_database, anonymous, tmp_path, monkeypatch
):
    url = make_url(on_other_database)
    execute(url, f"ALTER DATABASE {url.database} SET client_encoding = 'LATIN1'")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert anonymous.post("/user/", json=USER | {"bio": EMOJI}).status_code == 201
    ana = Client(anonymous, sign_in(anonymous, "ana", USER["password"])["access_token"])
    assert ana.post("/post/", json={"text": EMOJI}).status_code == 201
    assert [post["text"] for post in ana.get("/post/").json()] == [EMOJI]
    assert ana.patch("/user/me/", json={"bio": EMOJI * 2}).json()["bio"] == EMOJI * 2
    assert invoke("backup", tmp_path / "file").returncode == 0
    done = invoke("restore", tmp_path / "file", "--force")
    assert done.returncode == 0, done.stderr
    query = "SELECT encode(convert_to(text, 'UTF8'), 'hex') FROM post"
    assert execute(url, query) == [(EMOJI.encode().hex(),)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_all_text(encoding):
    with database(f"ENCODING '{encoding}' LOCALE 'C'") as address, working_on(address):
        for name in ("migrate", "serve", "user-list"):
            assert_one_red_line(invoke(name), f"the database's encoding is {encoding}")


@pytest.mark.parametrize("options", [(TURKISH, UNICODE), ("LOCALE 'C'",)])
def test_names_are_the_same_in_every_language(options, anonymous):
    with database(*options) as address, working_on(address):
        command("migrate")

        def sign_up(username: str, email: str) -> int:
            user = USER | {"username": username, "email": email}
            return anonymous.post("/user/", json=user).status_code

        assert sign_up("IBRAHIM", "IBRAHIM@pamps.com") == 201
        assert sign_up("ibrahim", "other@pamps.com") == 409
        assert sign_up("other", "ibrahim@pamps.com") == 409
        # Letters beyond ASCII have no case, whatever the database thinks.
        assert sign_up("other", "Émile@pamps.com") == 201
        assert sign_up("another", "émile@pamps.com") == 201
        for name in ("IBRAHIM", "ibrahim", "iBrahim"):
            assert anonymous.post("/token", data=USER | {"username": name}).status_code == 200
            assert anonymous.get(f"/user/{name}/").json()["username"] == "IBRAHIM"
        strange = USER | {"username": "ıbrahım"}
        assert anonymous.post("/token", data=strange).status_code == 401
        assert anonymous.get("/user/ıbrahım/").status_code == 404
        assert command("promote", "ibrahim") == "ibrahim is a superuser\n"
        query = """SELECT username FROM "user" WHERE superuser"""
        assert execute(make_url(address), query) == [("IBRAHIM",)]


@pytest.mark.parametrize("options", [(TURKISH, UNICODE), ("LOCALE 'C'",)])
def test_a_search_finds_the_same_in_every_language(options, anonymous):
    with database(*options) as address, working_on(address):
        command("migrate")
        assert anonymous.post("/user/", json=USER).status_code == 201
        ana = Client(anonymous, sign_in(anonymous, "ana", USER["password"])["access_token"])
        post_id = ana.write("“ILHA”—ΟΔΟΣ; Ёлка İzmir")["id"]
        for q in ("ilha", "οδός", "елка", "izmir", '"ilha οδος"'):
            assert ana.ids("/post/search/", q=q) == [post_id], q
        assert [user["username"] for user in ana.get("/user/search/?q=AN").json()] == ["ana"]


def test_no_index_depends_on_the_language():
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '%lower(%'"
    found = dict(execute(make_url(os.environ["PAMPS_DB__uri"]), query))
    assert set(found) == {"uq_user_email", "uq_user_username", "ix_user_like"}
    for definition in found.values():
        assert definition.count('COLLATE "C"') == definition.count("lower(")
