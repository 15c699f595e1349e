"""How a command says that it cannot: in one red line, with exit status 1."""

from typing import Any, NoReturn

import psycopg2
import typer
from psycopg2.errors import UndefinedTable
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from typer.core import TyperGroup

from pamps.embedded import EmbeddedError
from pamps.errors import collision
from pamps.schema import MISSING, SchemaError

stderr = Console(stderr=True, style="red", highlight=False, soft_wrap=True)


def fail(reason: str) -> NoReturn:
    """One red line, and exit status 1."""
    stderr.print(" ".join(reason.split()), markup=False)
    raise typer.Exit(1)


class Commands(TyperGroup):
    """Makes an expected error one red line; a Python caller of a command gets it as it is."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except IntegrityError as error:
            if told := collision(error):
                fail(told[1])
            raise
        except ValidationError as error:
            fail("; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors()))
        except ProgrammingError as error:
            if not isinstance(error.orig, UndefinedTable):
                raise
            fail(MISSING)
        except (OperationalError, psycopg2.OperationalError) as error:
            fail(f"the database does not answer: {getattr(error, 'orig', error)}")
        except (EmbeddedError, SchemaError) as error:
            fail(str(error))
