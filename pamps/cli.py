"""The command line: `pamps`."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pamps import __version__
from pamps.terminal import Commands, fail, print_table, shown

# All else is imported where a command needs it, so that none waits for what it does not use.
if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlmodel import Session

    from pamps.models import User

logger = logging.getLogger(__name__)
main = typer.Typer(name="Pamps CLI", cls=Commands, no_args_is_help=True)

# Arguments, under the names that a command's help gives them.
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
Username = Annotated[str, typer.Argument(metavar="USERNAME")]
Password = Annotated[str, typer.Argument(metavar="PASSWORD")]
File = Annotated[Path, typer.Argument(metavar="FILE")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pamps {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
]


@main.callback()
def pamps(context: typer.Context, version: Version = False) -> None:
    """Serve and administer Pamps, the microblog."""
    if context.invoked_subcommand == "serve":
        return
    from sqlalchemy import event

    from pamps.db import engine

    event.listen(engine, "begin", _without_timeouts)
    context.call_on_close(lambda: event.remove(engine, "begin", _without_timeouts))


def _without_timeouts(connection: "Connection") -> None:
    """An administrator waits as long as it takes, and looks at what a shell shows."""
    for timeout in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {timeout} = 0")


@contextmanager
def _open_session(**options: Any) -> Iterator["Session"]:
    """A session with a database of Pamps. Raises SchemaError where it is another."""
    from sqlmodel import Session

    from pamps.db import engine
    from pamps.maintenance import schema

    with Session(engine, **options) as session:
        schema.check(session.connection())
        yield session


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Says in one line why a port cannot be had."""
    try:
        yield
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # behind which Python says it once more
        fail(f"cannot listen on {host}, port {port}: {reason}")


class _ServerSetting:
    """The default of an option, read only when it is needed: loading the settings takes long."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> object:
        from pamps.config import settings

        return getattr(settings.server, self.name)

    def __str__(self) -> str:  # in the command's help
        return str(self())


HOST, PORT, WORKERS = map(_ServerSetting, ("host", "port", "workers"))


@main.command()
def serve(
    host: Annotated[str, typer.Option(default_factory=HOST, help="The address to listen on.")],
    port: Annotated[
        int, typer.Option(default_factory=PORT, min=1, max=65535, help="The port to listen on.")
    ],
    workers: Annotated[
        int, typer.Option(default_factory=WORKERS, min=1, help="How many processes.")
    ],
) -> None:
    """Serve the API."""
    from pamps import server
    from pamps.config import ENVIRONMENT, settings
    from pamps.db import description, engine
    from pamps.folder import secret_key
    from pamps.maintenance import schema
    from pamps.observability import logs, metrics

    with ExitStack() as stack:
        if settings.metrics.port:
            with _listening(settings.metrics.host, settings.metrics.port):
                stack.enter_context(metrics.serve_metrics())
        with _listening(host, port):
            listener = stack.enter_context(server.listen(host, port))
        secret_key()  # which workers cannot say in one line that they cannot have
        if ENVIRONMENT == "development":
            schema.migrate()
        elif problem := schema.problem():
            fail(problem)
        engine.dispose()  # as only the workers need connections from now on
        if not settings.log.json_lines:  # which nothing else may stand between
            url = server.url(host, port)
            docs = f", its documentation: {url}/docs" if settings.server.docs else ""
            typer.echo(f"Pamps: {url}{docs}")
        logs.configure()
        logger.info("serving %s", description())
        os.environ["PAMPS_SERVER__workers"] = str(workers)  # by which each chooses its pool_size
        server.run(listener, workers)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from pamps.maintenance import schema

    schema.migrate()
    typer.echo("The database is up to date.")


@main.command()
def shell() -> None:
    """Opens interactive shell"""
    from sqlmodel import select

    from pamps.config import settings
    from pamps.db import engine
    from pamps.models import Like, Post, Social, User

    uri = settings.db.uri or engine.url.render_as_string()  # of the embedded PostgreSQL
    db = settings.db.model_copy(update={"uri": uri})
    shown_settings = settings.model_copy(update={"db": db})
    with _open_session() as session, tempfile.TemporaryDirectory() as folder:
        _vars: dict[str, object] = {"settings": shown_settings, "engine": engine}
        _vars |= {"select": select, "session": session}
        _vars |= {table.__name__: table for table in (User, Post, Social, Like)}
        typer.echo(f"Auto imports: {list(_vars)}")
        try:
            from IPython import start_ipython
        except ImportError:
            import code

            code.InteractiveConsole(_vars).interact(banner="")
        else:
            start_ipython(argv=[f"--ipython-dir={folder}", "--no-banner"], user_ns=_vars)


@main.command()
def user_list() -> None:
    """Lists all users"""
    from sqlmodel import col, select

    from pamps.models.user import NOT_DELETED, User

    with _open_session() as session:
        users = session.exec(select(User).where(NOT_DELETED).order_by(col(User.id)))
        rows = ((user.username, user.email) for user in users)
        print_table("Pamps users", ("username", "email"), rows)


@main.command()
def create_user(
    email: Email,
    username: Username,
    password: Password,
    superuser: Annotated[bool, typer.Option("--superuser", help="One who administers.")] = False,
) -> Any:
    """Create user"""
    from pamps.models.session import record
    from pamps.models.user import UserRequest
    from pamps.security import get_password_hash

    with _open_session(expire_on_commit=False) as session:
        request = UserRequest(email=email, username=username, password=password)
        user = request.user(get_password_hash(password))
        user.superuser = superuser
        session.add(user)
        if superuser:
            session.flush()
            session.add(record("create superuser", user))
        session.commit()
    typer.echo(f"created {username} user")
    return user


def _find_user(session: "Session", username: str) -> "User":
    from pamps.models.user import folded, user_named

    return session.exec(user_named(folded(username))).first() or fail(f"User not found: {username}")


def _ask(what: str) -> None:
    """Says what is about to be done, and ends the command unless that is confirmed."""
    typer.echo(what)
    typer.confirm("Are you sure?", abort=True)


@main.command()
def delete_user(
    username: Username,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
) -> None:
    """Delete a user and all that is theirs, for good."""
    from pamps.db import description
    from pamps.maintenance.deletion import DELETE_ACCOUNT, delete_rows
    from pamps.models.session import record

    with _open_session() as session:
        user = _find_user(session, username)
        if not force:
            account, user_id = f"{user.username}, {user.email}", user.id
            session.rollback()  # nothing is held while somebody reads
            _ask(f"This deletes {shown(account)}, and all that is theirs, in {description()}.")
            user = _find_user(session, username)
            if user.id != user_id:  # the name was given up and taken meanwhile
                fail(f"{username} is somebody else now: nothing was deleted")
        audit = record("delete account", user)
        if not session.execute(DELETE_ACCOUNT.statement, {"account_id": user.id}).first():
            fail(f"User not found: {username}")
        session.add(audit)
        session.commit()
        delete_rows(session, user.id)
    typer.echo(f"deleted {username} user")


@main.command()
def recount() -> None:
    """Count again what profiles and posts have counters of, and put right what is wrong."""
    from pamps.maintenance.recount import recount

    with _open_session() as session:
        changed = recount(session)
    for counter, rows in changed.items():
        typer.echo(f"{counter}: corrected in {rows} row{'s' if rows > 1 else ''}")
    if not changed:
        typer.echo("All counters are right: nothing was changed.")


@main.command()
def promote(username: Username) -> None:
    """Make a user a superuser, who may delete posts, and disable and delete accounts."""
    _set_superuser(username, True)
    typer.echo(f"{username} is a superuser")


@main.command()
def demote(username: Username) -> None:
    """Make a superuser a user like any other."""
    _set_superuser(username, False)
    typer.echo(f"{username} is no superuser")


def _set_superuser(username: str, superuser: bool) -> None:
    from sqlmodel import col, update

    from pamps.models import User
    from pamps.models.session import record

    with _open_session() as session:
        user = _find_user(session, username)
        # Also where nothing seems to change: another command may have changed it since.
        session.exec(update(User).where(col(User.id) == user.id).values(superuser=superuser))
        session.add(record("promote" if superuser else "demote", user))
        session.commit()


@main.command()
def audit() -> None:
    """List what administrators did, the latest last."""
    from sqlmodel import col, select

    from pamps.models import Audit

    columns = "date", "actor", "action", "target", "address"
    with _open_session() as session:
        acts = session.exec(select(Audit).order_by(col(Audit.id)))
        rows = (
            (f"{act.date:%Y-%m-%d %H:%M:%S}Z", act.actor, act.action, act.target, act.address)
            for act in acts
        )
        print_table("Pamps audit", columns, rows)


def _read_password() -> str:
    """A password: from a pipe its first line, and at a terminal typed twice."""
    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("the password must be in UTF-8")


@main.command()
def set_password(username: Username) -> None:
    """Give a user a new password, asked for or read from a pipe, and end all their sessions."""
    from pamps.middleware.rate_limit import pardon
    from pamps.models.session import end_sessions, record
    from pamps.models.user import NewPassword
    from pamps.security import get_password_hash

    with _open_session() as session:
        _find_user(session, username)
        session.rollback()  # nothing is held while somebody types
        password = _read_password()
        user = _find_user(session, username)
        new = NewPassword(email=user.email, username=user.username, password=password)
        user.password = get_password_hash(new.password)
        session.flush()
        end_sessions(session, user.id)
        pardon(session, user.username)
        session.add(record("set password", user))
        session.commit()
    typer.echo(f"changed the password of {username}")


Force = Annotated[
    bool, typer.Option("--force", "-f", help="Do not ask, and do it in production too.")
]


def _be_sure(force: bool, what: str) -> None:
    from pamps.config import ENVIRONMENT

    if not force and ENVIRONMENT == "production":
        fail("this is production: add --force if you mean it")
    if not force:
        _ask(what)


@main.command()
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
    _be_sure(force, f"This drops the tables {names} in {database}.")
    schema.drop(tables)
    typer.echo(f"dropped {names} in {database}")


@main.command()
def backup(
    file: File,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")] = False,
) -> None:
    """Write all that is in the database to a file."""
    from pamps.maintenance import backup

    size = backup.write(file, overwrite=force)
    typer.echo(f"backed up to {file} ({size:,} bytes)")


@main.command()
def restore(file: File, force: Force = False) -> None:
    """Replace all that is in the database by a backup."""
    from pamps.db import description
    from pamps.maintenance import backup

    pg_restore = backup.read(file)
    _be_sure(force, f"This replaces all that is in {description()} by {file}.")
    advice = backup.restore(file, pg_restore)
    typer.echo(f"restored {file} in {description()}")
    if advice:
        typer.echo(f"but {advice}")


@main.command()
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
    with _open_session() as session:
        fake.load(session, users, posts, seed)
        session.commit()
    typer.echo(f"added {users} users and {posts} posts; each user's password is {fake.PASSWORD}")
