"""Databases that do not answer, end, or change under the pool."""

import os
import signal
from pathlib import Path

from sqlalchemy import make_url

from tests import databases
from tests.databases import USERS, execute, locked
from tests.helpers import USER, refused_for_now
from tests.servers import Relay, served, signed_in


def test_timeouts_of_the_database(other_database):
    """They are the database's own, and so hold for whatever connection there is to it."""
    settings = {"DB__lock_timeout": "60", "DB__statement_timeout": "1"}
    with signed_in(other_database, **settings) as client:
        names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
        found = [execute(make_url(other_database), f"SHOW {name}")[0][0] for name in names]
        assert found == ["1s", "1min", "10s"]
        with locked(other_database, USERS):
            for answer in (
                client.post("/post/", json={"text": "hello"}),
                client.patch("/user/me/", json={"bio": "hello"}),
            ):
                assert "database cannot serve" in refused_for_now(answer)
        assert client.post("/post/", json={"text": "hello"}).status_code == 201


def test_a_database_that_takes_no_connections():
    """A new one is waited for, but not for ever, with a session or without."""
    with databases.embedded_server() as server:
        ((folder,),) = execute(make_url(server), "SHOW data_directory")
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        settings = {"PAMPS_DB__uri": server, "PAMPS_DB__connect_timeout": "1"}
        with served(settings) as (process, client), locked(server, "SELECT") as other:
            assert client.get("/post/").status_code == 200
            os.kill(postmaster, signal.SIGSTOP)
            pamps = "FROM pg_stat_activity WHERE application_name = 'pamps'"
            # Again, as one that was just being made is not listed yet.
            while client.get("/post/").status_code == 200:
                other.execute("SELECT pg_stat_clear_snapshot()")
                other.execute(f"SELECT pg_terminate_backend(pid) {pamps}")
            for answer in (client.get("/post/"), client.post("/user/", json=USER)):
                assert "database cannot serve" in refused_for_now(answer)
            os.kill(postmaster, signal.SIGCONT)
            assert client.get("/post/").status_code == 200
            assert client.post("/user/", json=USER).status_code == 201
            process.terminate()


def test_a_database_that_ends_while_it_is_asked(other_database):
    """Its farewell, and that it did not read the question, come at once; nobody waits for more."""
    relay = Relay(other_database)
    settings = {"PAMPS_DB__pool_size": "1", "PAMPS_DB__connect_timeout": "1"}
    settings["PAMPS_DB__uri"] = relay.address.render_as_string(hide_password=False)
    with served(settings) as (process, client):
        for _ in range(30):
            relay.ends = False
            assert client.get("/post/").status_code == 200
            relay.ends = True
            answer = client.get("/post/")
            assert "database cannot serve" in refused_for_now(answer)
        process.terminate()


def test_a_schema_that_changes_under_it(other_database):
    url = make_url(other_database)
    with signed_in(other_database) as client:
        for change, back in (
            ("ALTER TABLE post RENAME text TO x", "ALTER TABLE post RENAME x TO text"),
            ("ALTER TABLE post RENAME TO x", "ALTER TABLE x RENAME TO post"),
        ):
            execute(url, change)
            assert "database cannot serve" in refused_for_now(client.get("/post/"))
            assert "database cannot" in refused_for_now(client.post("/post/", json={"text": "x"}))
            execute(url, back)
            assert client.get("/post/").status_code == 200
