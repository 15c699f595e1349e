"""The commands of administrators: accounts, superusers, migrations, backups, made-up data."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pamps.terminal import File, Force, Username, confirm, escape, fail, open_session, print_table

# All else is imported where a command needs it, so that none waits for what it does not use.
if TYPE_CHECKING:
    from sqlmodel import Session

    from pamps.models import User


def _find_user(session: "Session", username: str) -> "User":
    from sqlmodel import select

    from pamps.models.types import fold_case
    from pamps.models.user import IS_NAMED, User

    users = session.exec(select(User).where(IS_NAMED), params={"username": fold_case(username)})
    return users.first() or fail(f"User not found: {username}")


def delete_user(
    username: Username,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
) -> None:
    """Delete a user with all their posts, likes and follows, for good."""
    from pamps.audit import record_at_terminal
    from pamps.db import describe_database
    from pamps.maintenance.deletion import DELETE_ACCOUNT, delete_rows

    with open_session() as session:
        user = _find_user(session, username)
        if not force:
            account, user_id = f"{user.username}, {user.email}", user.id
            session.rollback()  # holds no lock while somebody reads
            confirm(
                f"This deletes {escape(account)}, and all that is theirs, in {describe_database()}."
            )
            user = _find_user(session, username)
            if user.id != user_id:  # the name was given up and taken meanwhile
                fail(f"{username} is somebody else now: nothing was deleted")
        record_at_terminal(session, "delete account", user)
        if not session.execute(DELETE_ACCOUNT.statement, {"account_id": user.id}).first():
            fail(f"User not found: {username}")
        session.commit()
        delete_rows(session, user.id)
    typer.echo(f"deleted {username} user")


def promote(username: Username) -> None:
    """Make a user a superuser, who may delete posts, and disable and delete accounts."""
    _set_superuser(username, True)
    typer.echo(f"{username} is a superuser")


def demote(username: Username) -> None:
    """Make a superuser a user like any other."""
    _set_superuser(username, False)
    typer.echo(f"{username} is no superuser")


def _set_superuser(username: str, superuser: bool) -> None:
    from sqlmodel import col, update

    from pamps.audit import record_at_terminal
    from pamps.models import User

    with open_session() as session:
        user = _find_user(session, username)
        # Always write: the value read may be stale.
        session.exec(update(User).where(col(User.id) == user.id).values(superuser=superuser))
        record_at_terminal(session, "promote" if superuser else "demote", user)
        session.commit()


def audit() -> None:
    """List what administrators did, the latest last."""
    from sqlmodel import col, select

    from pamps.models import Audit

    columns = "date", "actor", "action", "target", "address"
    with open_session() as session:
        acts = session.exec(select(Audit).order_by(col(Audit.id)))
        rows = (
            (f"{act.date:%Y-%m-%d %H:%M:%S}Z", act.actor, act.action, act.target, act.address)
            for act in acts
        )
        print_table("Pamps audit", columns, rows)


def _read_password() -> str:
    """Read a password: the first line of a pipe, or typed twice at a terminal."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("the password must be in UTF-8")


def set_password(username: Username) -> None:
    """Give a user a new password, asked for or read from a pipe, and end all their sessions."""
    from pamps.audit import record_at_terminal
    from pamps.models.password import NewPassword
    from pamps.security import get_password_hash
    from pamps.sessions import END_ALL_SESSIONS
    from pamps.throttling import CLEAR_ACCOUNT_ATTEMPTS, account_key

    with open_session() as session:
        _find_user(session, username)
        session.rollback()  # holds no lock while somebody types
        password = _read_password()
        user = _find_user(session, username)
        new = NewPassword(email=user.email, username=user.username, password=password)
        user.password = get_password_hash(new.password)
        session.flush()
        session.execute(END_ALL_SESSIONS.statement, {"user_id": user.id})
        session.execute(CLEAR_ACCOUNT_ATTEMPTS.statement, {"subject": account_key(user.username)})
        record_at_terminal(session, "set password", user)
        session.commit()
    typer.echo(f"changed the password of {username}")


def migrate() -> None:
    """Bring the database's schema up to date."""
    from pamps.maintenance import schema

    schema.migrate()
    typer.echo("The database is up to date.")


def recount() -> None:
    """Recalculate all counters and correct wrong ones."""
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
    from pamps.db import describe_database
    from pamps.maintenance import schema

    if (problem := schema.problem()) in schema.NOT_OURS:
        raise schema.SchemaError(problem)
    database, tables = describe_database(), schema.tables()
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


def export(
    username: Username,
    file: File,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")] = False,
) -> None:
    """Write everything that is a user's to a file, as JSON."""
    from pamps.audit import record_at_terminal
    from pamps.maintenance import export_file

    with open_session() as session:
        user = _find_user(session, username)
        size = export_file.write(file, user.id, overwrite=force)
        record_at_terminal(session, "export account", user)
        session.commit()
    typer.echo(f"exported {user.username} to {file} ({size:,} bytes)")


def restore(file: File, force: Force = False) -> None:
    """Replace all that is in the database by a backup."""
    from pamps.db import describe_database
    from pamps.maintenance import backup

    pg_restore = backup.find_pg_restore(file)
    _confirm_unless_forced(force, f"This replaces all that is in {describe_database()} by {file}.")
    problem = backup.restore(file, pg_restore)
    typer.echo(f"restored {file} in {describe_database()}")
    if problem:
        typer.echo(f"but {problem}")


def fake_data(
    users: Annotated[int, typer.Option(min=1, help="How many users.")] = 100,
    posts: Annotated[int, typer.Option(min=0, help="How many posts, replies included.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same data.")] = None,
    lang: Annotated[
        Literal["pt-BR", "en"] | None,
        typer.Option(help="The language of names and texts. Without it: both."),
    ] = None,
) -> None:
    """Fill the database with made-up users, their posts, and what they do."""
    from pamps.config import ENVIRONMENT
    from pamps.maintenance import fake

    if ENVIRONMENT == "production":
        fail("made-up users share a known password: not in production")
    with open_session() as session:
        fake.load(session, users, posts, seed, lang)
        session.commit()
    typer.echo(f"added {users} users and {posts} posts; each user's password is {fake.PASSWORD}")
