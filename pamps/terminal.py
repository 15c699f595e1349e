"""What commands share: how they print, and how they say that they cannot do what is asked."""

import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

# What is printed stands for itself: nothing in it is markup or the name of an emoji.
PLAIN: Any = {"markup": False, "emoji": False, "highlight": False}
stderr = Console(stderr=True, style="red", soft_wrap=True, **PLAIN)
# A column that is folded has room for so many characters at least.
COLUMN = 12


def shown(value: object) -> str:
    """A text as it is, but what a terminal would obey or hide is written as an escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(value)
    )


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints all of it: folded at a terminal, and elsewhere with a line for each row."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, style="magenta", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))
    console = Console(**PLAIN)
    least = COLUMN * len(columns)
    if not console.is_terminal:
        unlimited = console.options.update(max_width=sys.maxsize)
        least = Measurement.get(console, unlimited, table).maximum
    console.width = max(console.width, least)
    console.print(table, crop=False)


def fail(reason: str) -> NoReturn:
    """Prints the reason as one red line, and ends the command with exit status 1."""
    stderr.print(shown(" ".join(reason.split())))
    raise typer.Exit(1)


class Commands(TyperGroup):
    """Makes an expected error one red line; a Python caller of a command gets it as it is."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # What the encoding does not have is written as an escape, and not left out.
            sys.stdout.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            raise
        except Exception as error:
            from pamps.database_errors import explanation  # here, as it takes long to import

            if told := explanation(error):
                fail(told)
            raise
