"""Errors of the database as responses, whichever driver raises them."""

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlmodel import SQLModel, text

from tests.databases import here, locked

# A statement, and the response to its error; `{id}` is the id of the user ana.
STATEMENTS = {
    "an e-mail that is taken": (
        """INSERT INTO "user" (email, username, password)
        VALUES ('Ana@pamps.com', 'bob', '$argon2$')""",
        (409, "Email already taken"),
    ),
    "a name that is taken": (
        """INSERT INTO "user" (email, username, password)
        VALUES ('bob@pamps.com', 'ANA', '$argon2$')""",
        (409, "Username already taken"),
    ),
    "a post that does not exist": (
        'INSERT INTO "like" (user_id, post_id) VALUES ({id}, 0)',
        (404, "Post not found"),
    ),
    "a user who does not exist": (
        "INSERT INTO social (from_id, to_id) VALUES ({id}, 0)",
        (404, "User not found"),
    ),
    "a caller whose account was deleted": (
        "INSERT INTO post (text, user_id) VALUES ('x', 0)",
        (401, "Could not validate credentials"),
    ),
    "a standby": (
        "SET LOCAL transaction_read_only = on; DELETE FROM post",
        (503, "The database cannot serve this now, try again"),
    ),
    "a table that was renamed": (
        "SELECT * FROM renamed",
        (503, "The database cannot serve this now, try again"),
    ),
    "a row that is locked": (
        """SET LOCAL lock_timeout = '10ms'; SELECT * FROM "user" FOR UPDATE""",
        (503, "The database cannot serve this now, try again"),
    ),
    "a connection that is lost": (
        "SELECT pg_terminate_backend(pg_backend_pid())",
        (503, "The database cannot serve this now, try again"),
    ),
}


@pytest.fixture
def client() -> TestClient:
    """An application with a route of each driver: the API's, and one in the workshop's style."""
    from pamps.db import ActiveSession, transaction
    from pamps.errors import EXCEPTION_HANDLERS

    app = FastAPI(exception_handlers=EXCEPTION_HANDLERS)

    @app.post("/psycopg")
    async def run(statement: str) -> None:
        async with transaction() as tx:
            connection = await tx.connection()
            for part in statement.split(";"):
                await connection.execute(part)

    @app.post("/psycopg2")
    def run_in_session(statement: str, session: ActiveSession) -> None:
        session.execute(text(statement))

    return TestClient(app)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("error", STATEMENTS)
def test_responses(client, sign_up, driver, error):
    statement, (status, detail) = STATEMENTS[error]
    statement = statement.format(id=sign_up("ana").id)
    with locked(
        here().render_as_string(hide_password=False), 'SELECT * FROM "user" FOR NO KEY UPDATE'
    ):
        response = client.post(f"/{driver}", params={"statement": statement})
    assert response.status_code == status
    assert response.json() == {"detail": detail}
    assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)


def test_a_bug_is_no_response(client):
    with pytest.raises(psycopg.errors.SyntaxError):
        client.post("/psycopg", params={"statement": "SELEKT"})


def test_each_constraint_has_a_meaning():
    """A new table need not be added anywhere, but marks the column that is the caller's id."""
    from pamps.database_errors import CONSTRAINT_MEANINGS

    for table in SQLModel.metadata.sorted_tables:
        for index in table.indexes:
            if index.unique:
                assert CONSTRAINT_MEANINGS[index.name][0] == 409
                assert index.name.removeprefix(f"uq_{table.name}_") in table.columns
        keys = table.foreign_key_constraints
        callers = [key for key in keys if CONSTRAINT_MEANINGS[key.name][0] == 401]
        to_user = [key for key in keys if key.referred_table.name == "user"]
        # An inbox is stored by what others do.
        assert len(callers) == (bool(to_user) and table.name != "inbox"), table.name
