"""The commands for accounts and superusers."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pamps.terminal import Username, confirm, fail, open_session, print_table, shown

# All else is imported where a command needs it, so that none waits for what it does not use.
if TYPE_CHECKING:
    from sqlmodel import Session

    from pamps.models import User


def _find_user(session: "Session", username: str) -> "User":
    from pamps.models.types import folded
    from pamps.models.user import user_named

    return session.exec(user_named(folded(username))).first() or fail(f"User not found: {username}")


def delete_user(
    username: Username,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
) -> None:
    """Delete a user with all their posts, likes and follows, for good."""
    from pamps.audit import record_at_terminal
    from pamps.db import description
    from pamps.maintenance.deletion import DELETE_ACCOUNT, delete_rows

    with open_session() as session:
        user = _find_user(session, username)
        if not force:
            account, user_id = f"{user.username}, {user.email}", user.id
            session.rollback()  # holds no lock while somebody reads
            confirm(f"This deletes {shown(account)}, and all that is theirs, in {description()}.")
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
        # Even if nothing seems to change: another command may have changed it since.
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
    from pamps.models.user import NewPassword
    from pamps.security import get_password_hash
    from pamps.sessions import END_ALL_SESSIONS
    from pamps.throttling import PARDON, account_key

    with open_session() as session:
        _find_user(session, username)
        session.rollback()  # holds no lock while somebody types
        password = _read_password()
        user = _find_user(session, username)
        new = NewPassword(email=user.email, username=user.username, password=password)
        user.password = get_password_hash(new.password)
        session.flush()
        session.execute(END_ALL_SESSIONS.statement, {"user_id": user.id})
        session.execute(PARDON.statement, {"subject": account_key(user.username)})
        record_at_terminal(session, "set password", user)
        session.commit()
    typer.echo(f"changed the password of {username}")
