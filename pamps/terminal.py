"""What commands share: how they print, and how they say that they cannot do what is asked."""

from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import TyperException

stderr = Console(stderr=True, style="red", highlight=False, soft_wrap=True, emoji=False)


def fail(reason: str) -> NoReturn:
    """Prints the reason as one red line, and ends the command with exit status 1."""
    stderr.print(" ".join(reason.split()), markup=False)
    raise typer.Exit(1)


class Commands(TyperGroup):
    """Makes an expected error one red line; a Python caller of a command gets it as it is."""

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
