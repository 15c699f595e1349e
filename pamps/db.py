"""The database: its address, the engine, sessions, migrations."""

from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from sqlalchemy import URL, Boolean, event, inspect, literal_column, make_url, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, SQLModel, create_engine

from pamps import embedded
from pamps.config import HERE, ROOT, settings

Row = TypeVar("Row", bound=SQLModel)


def database_url() -> URL:
    """Where the database is. Every spelling of PostgreSQL's address means psycopg2."""
    url = make_url(settings.db.uri) if settings.db.uri else embedded.ADDRESS
    return url.set(drivername="postgresql+psycopg2")


engine = create_engine(
    database_url(),
    echo=settings.db.echo,
    hide_parameters=True,  # they hold passwords, and errors go to the log
    connect_args=settings.db.connect_args,
    pool_size=settings.db.pool_size,
    max_overflow=0,
)


@event.listens_for(engine, "handle_error")
def _hide_details(context: Any) -> None:
    """PostgreSQL's DETAIL may be a whole row, hash of the password included; errors are logged."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            error.args = tuple(str(word).split("\nDETAIL:")[0] for word in error.args)


if not settings.db.uri:

    @event.listens_for(engine, "do_connect")
    def _start_embedded(*_: Any) -> None:
        embedded.start()


def get_session() -> Iterator[Session]:
    """A session for one request. What is not committed by its end is undone."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


# No more sessions at a time than there are connections: else requests that hold one could wait for
# a thread while those that hold the threads wait for a connection. Closed before the answer leaves.
ActiveSession = Annotated[
    Session, Depends(get_session, scope="function", max_concurrency=settings.db.pool_size)
]


def insert_or_get(session: Session, row: Row) -> tuple[Row, bool]:
    """Stores a row unless its primary key is there; gives what is stored, and whether it is new.

    One statement, so that of two requests at the same time exactly one is told that it is new.
    """
    table = type(row)
    values = row.model_dump(exclude_unset=True)
    statement = insert(table).values(values)
    # Assigns what is there anyway: a conflict that does nothing would return nothing either.
    statement = statement.on_conflict_do_update(
        index_elements=list(inspect(table).primary_key),
        set_={name: statement.excluded[name] for name in values},
    )
    # No transaction has ended or locked the version of a row that was inserted just now.
    is_new = literal_column("xmax = 0", Boolean)
    stored, created = session.execute(statement.returning(table, is_new)).one()
    return stored, created


def change_counter(session: Session, counter: Any, row_id: int, amount: int) -> bool:
    """Adds to a counter of the row with that id, and says whether there is such a row."""
    table = counter.class_
    statement = update(table).where(table.id == row_id).values({counter: counter + amount})
    result = session.exec(statement.execution_options(synchronize_session=False))
    return result.rowcount > 0


def migrate() -> None:
    """Brings the database's schema up to date, with the migrations of the checkout or the wheel."""
    from alembic import command  # here, as it takes long to import and is seldom needed
    from alembic.config import Config

    folder = next(home / "migrations" for home in (ROOT, HERE) if (home / "migrations").is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, "head")
