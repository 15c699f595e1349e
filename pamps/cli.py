"""The command line: `pamps`."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pamps import __version__
from pamps.check.command import check
from pamps.maintenance import commands
from pamps.terminal import CommandGroup, Email, Password, Username, fail, open_session, print_table

# All else is imported where a command needs it, so that none waits for what it does not use.
if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)
main = typer.Typer(name="Pamps CLI", cls=CommandGroup, no_args_is_help=True)


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
    if context.invoked_subcommand in ("serve", "check"):
        return
    from sqlalchemy import event

    from pamps.db import engine

    event.listen(engine, "begin", _without_timeouts)
    context.call_on_close(lambda: event.remove(engine, "begin", _without_timeouts))


def _without_timeouts(connection: "Connection") -> None:
    """Let a command take as long as it needs, and a shell stay open."""
    for timeout in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {timeout} = 0")


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Fail in one line if the port is not free."""
    try:
        yield
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python repeats the reason in parentheses
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
    from pamps.db import describe_database, engine
    from pamps.folder import secret_key
    from pamps.maintenance import schema
    from pamps.observability import logs, metrics

    with ExitStack() as stack:
        if settings.metrics.port:
            with _listening(settings.metrics.host, settings.metrics.port):
                stack.enter_context(metrics.serve_metrics())
        with _listening(host, port):
            listener = stack.enter_context(server.listen(host, port))
        secret_key()  # fail here, in one line, not in a worker's traceback
        if ENVIRONMENT == "development":
            schema.migrate()
        elif problem := schema.problem():
            fail(problem)
        engine.dispose()  # as only the workers need connections from now on
        if not settings.log.json_lines:  # with log.json, stdout must contain JSON only
            url = server.url(host, port)
            docs = f", its documentation: {url}/docs" if settings.server.docs else ""
            typer.echo(f"Pamps: {url}{docs}")
        logs.configure()
        logger.info("serving %s", describe_database())
        os.environ["PAMPS_SERVER__workers"] = str(workers)  # for the size of their pools
        os.environ["PAMPS_SERVER__host"] = host  # and these for links in mails
        os.environ["PAMPS_SERVER__port"] = str(port)
        if not server.run(listener, workers):
            raise typer.Exit(1)


def shell() -> None:
    """Opens interactive shell"""
    from code import InteractiveConsole
    from functools import partial

    from sqlmodel import select

    from pamps.config import settings
    from pamps.db import engine
    from pamps.models import Like, Post, Social, User

    uri = settings.db.uri or engine.url.render_as_string()  # of the embedded PostgreSQL
    db = settings.db.model_copy(update={"uri": uri})
    shown_settings = settings.model_copy(update={"db": db})
    with open_session() as session, tempfile.TemporaryDirectory() as folder:
        _vars: dict[str, object] = {"settings": shown_settings, "engine": engine}
        _vars |= {"select": select, "session": session}
        _vars |= {table.__name__: table for table in (User, Post, Social, Like)}
        typer.echo(f"Auto imports: {list(_vars)}")
        try:
            from IPython import start_ipython
        except ImportError:
            interact = partial(InteractiveConsole(_vars).interact, banner="")
        else:
            arguments = [f"--ipython-dir={folder}", "--no-banner"]
            interact = partial(start_ipython, argv=arguments, user_ns=_vars)
        interact()  # out here, as an error in it has nothing to do with IPython


def user_list() -> None:
    """Lists all users"""
    from sqlmodel import col, select

    from pamps.models.user import NOT_DELETED, User

    with open_session() as session:
        users = session.exec(select(User).where(NOT_DELETED).order_by(col(User.id)))
        rows = ((user.username, user.email) for user in users)
        print_table("Pamps users", ("username", "email"), rows)


def create_user(
    email: Email,
    username: Username,
    password: Password,
    superuser: Annotated[
        bool, typer.Option("--superuser", help="Make the user a superuser.")
    ] = False,
) -> Any:
    """Create user"""
    from pamps.audit import record_at_terminal
    from pamps.models.user import User, UserRequest
    from pamps.security import get_password_hash

    with open_session() as session:
        request = UserRequest(email=email, username=username, password=password)
        password_hash = get_password_hash(password)
        user = User(**request.model_dump() | {"password": password_hash, "superuser": superuser})
        session.add(user)
        if superuser:
            session.flush()
            record_at_terminal(session, "create superuser", user)
        session.commit()
    typer.echo(f"created {username} user")
    return user


for command in (
    serve,
    commands.migrate,
    shell,
    user_list,
    create_user,
    commands.delete_user,
    commands.recount,
    commands.promote,
    commands.demote,
    commands.audit,
    commands.set_password,
    commands.reset_db,
    commands.backup,
    commands.restore,
    commands.export,
    commands.fake_data,
    check,
):
    main.command()(command)
