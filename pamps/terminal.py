"""What commands share: how they print, ask, fail, and open a session."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

# All else is imported where it is needed, so that no command waits for what it does not use.
if TYPE_CHECKING:
    from sqlmodel import Session


# Prints text as it is.
PlainConsole = partial(Console, markup=False, emoji=False, highlight=False)
stderr = PlainConsole(stderr=True, style="red", soft_wrap=True)
# A column that is folded has room for at least so many characters.
COLUMN_WIDTH = 12

# Arguments and options, under the names that a command's help gives them.
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
Username = Annotated[str, typer.Argument(metavar="USERNAME")]
Password = Annotated[str, typer.Argument(metavar="PASSWORD")]
File = Annotated[Path, typer.Argument(metavar="FILE")]
Force = Annotated[
    bool, typer.Option("--force", "-f", help="Do not ask, and do it in production too.")
]


def escape(value: object) -> str:
    """Return a text in which characters that a terminal would obey or hide are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(value)
    )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table in full: folded at a terminal, and elsewhere with a line for each row."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, style="magenta", overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape(value)) for value in row))
    console = PlainConsole()
    least = COLUMN_WIDTH * len(columns)
    if not console.is_terminal:
        unlimited = console.options.update(max_width=sys.maxsize)
        least = Measurement.get(console, unlimited, table).maximum
    console.width = max(console.width, least)
    console.print(table, crop=False)


def fail(reason: str) -> NoReturn:
    """Print the reason as one red line, and end the command with exit status 1."""
    stderr.print(escape(" ".join(reason.split())))
    raise typer.Exit(1)


def confirm(what: str) -> None:
    """Print what is about to be done, and end the command unless that is confirmed."""
    typer.echo(what)
    typer.confirm("Are you sure?", abort=True)


@contextmanager
def open_session() -> Iterator["Session"]:
    """Open a session with a database of Pamps. Raises SchemaError for any other database."""
    from sqlmodel import Session

    from pamps.db import engine
    from pamps.maintenance import schema

    with Session(engine, expire_on_commit=False) as session:
        schema.check(session.connection())
        yield session


class CommandGroup(TyperGroup):
    """Prints an expected error as one red line; a Python caller of a command gets the exception."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A character that the encoding does not have is escaped, and no error.
            sys.stdout.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            raise
        except Exception as error:
            from pamps.database_errors import explain

            if reason := explain(error):
                fail(reason)
            raise
