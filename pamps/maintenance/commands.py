"""The commands that maintain the database: migrations, backups, counters, made-up data."""

from typing import Annotated

import typer

from pamps.terminal import File, Force, confirm, fail, open_session

# All else is imported where a command needs it, so that none waits for what it does not use.


def migrate() -> None:
    """Bring the database's schema up to date."""
    from pamps.maintenance import schema

    schema.migrate()
    typer.echo("The database is up to date.")


def recount() -> None:
    """Count again what profiles and posts have counters of, and put right what is wrong."""
    from pamps.maintenance.recount import recount

    with open_session() as session:
        changed = recount(session)
    for counter, rows in changed.items():
        typer.echo(f"{counter}: corrected in {rows} row{'s' if rows > 1 else ''}")
    if not changed:
        typer.echo("All counters are right: nothing was changed.")


def _confirm_unless_forced(force: bool, what: str) -> None:
    from pamps.config import ENVIRONMENT

    if not force and ENVIRONMENT == "production":
        fail("this is production: add --force if you mean it")
    if not force:
        confirm(what)


def reset_db(force: Force = False) -> None:
    """Resets the database tables"""
    from pamps.db import description
    from pamps.maintenance import schema

    if (problem := schema.problem()) in schema.NOT_OURS:
        raise schema.SchemaError(problem)
    database, tables = description(), schema.tables()
    if problem == schema.MISSING:
        typer.echo(f"There are no tables of Pamps in {database}.")
        return
    names = ", ".join(tables)
    _confirm_unless_forced(force, f"This drops the tables {names} in {database}.")
    schema.drop(tables)
    typer.echo(f"dropped {names} in {database}")


def backup(
    file: File,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")] = False,
) -> None:
    """Write all that is in the database to a file."""
    from pamps.maintenance import backup

    size = backup.write(file, overwrite=force)
    typer.echo(f"backed up to {file} ({size:,} bytes)")


def restore(file: File, force: Force = False) -> None:
    """Replace all that is in the database by a backup."""
    from pamps.db import description
    from pamps.maintenance import backup

    pg_restore = backup.find_pg_restore(file)
    _confirm_unless_forced(force, f"This replaces all that is in {description()} by {file}.")
    problem = backup.restore(file, pg_restore)
    typer.echo(f"restored {file} in {description()}")
    if problem:
        typer.echo(f"but {problem}")


def fake_data(
    users: Annotated[int, typer.Option(min=1, help="How many users.")] = 100,
    posts: Annotated[int, typer.Option(min=0, help="How many posts, replies included.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same data.")] = None,
) -> None:
    """Fill the database with made-up users, posts, replies, likes and follows."""
    from pamps.config import ENVIRONMENT
    from pamps.maintenance import fake

    if ENVIRONMENT == "production":
        fail("made-up users share a known password: not in production")
    with open_session() as session:
        fake.load(session, users, posts, seed)
        session.commit()
    typer.echo(f"added {users} users and {posts} posts; each user's password is {fake.PASSWORD}")
