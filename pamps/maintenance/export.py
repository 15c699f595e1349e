"""Export: everything that is a user's, as one JSON document.

All of it is from one snapshot of the database, and read in batches, so that an account of any size
takes little memory. See docs/decisions/0026-export.md.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import IsolationLevel

from pamps.db import Query, Row, Transaction
from pamps.models.export_rows import exported_batch, exported_lists, exported_user
from pamps.postgres.connection import DATABASE

USER = Query(exported_user())
BATCHES = {name: Query(exported_batch(items)) for name, items in exported_lists().items()}


@asynccontextmanager
async def open_snapshot() -> AsyncIterator[Transaction]:
    """Begin a transaction that only reads, and always the state of its first query.

    It has a connection of its own, which those of the pool do not have to wait for. Raises
    psycopg.Error and FolderError.
    """
    connection = await DATABASE.connect()
    try:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            # A part may be on its way to a slow client for longer than a transaction may be idle.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield Transaction(connection)
    finally:
        await connection.close()


async def export_in_parts(snapshot: Transaction, user_id: int, user: Row) -> AsyncIterator[bytes]:
    """Yield the document part by part; `user` is the result of the query USER.

    Raises psycopg.Error.
    """
    yield f'{{"exported_at":"{user["exported_at"]}","profile":{user["profile"]}'.encode()
    for name, query in BATCHES.items():
        before, cursor = f',\n"{name}":[', 0
        while batch := await query.first(snapshot, user_id=user_id, cursor=cursor):
            if batch["items"] is None:
                break
            yield f"{before}\n{batch['items']}".encode()
            before, cursor = ",", batch["cursor"]
        yield b"]" if cursor else f"{before}]".encode()
    yield b"}\n"
