"""The command `pamps check`."""

import os
from typing import Annotated
from urllib.parse import urlsplit

import typer

from pamps.terminal import fail, stderr

from .model import Group, Language, Text

ADDRESS = Text(
    "the URL must be that of an API, like http://127.0.0.1:8000",
    "a URL deve ser a de uma API, como http://127.0.0.1:8000",
)


def terminal_language() -> Language:
    """Return the language of the terminal, by the variables that POSIX has for it."""
    values = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = next((value for value in values if value), "")
    return Language.pt if language.lower().startswith("pt") else Language.en


def _base(url: str, language: Language) -> str:
    """Return the URL without the slash at its end; `http://` may be missing."""
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        is_right = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        is_right = False
    if not is_right or parts.username is not None or parts.query or parts.fragment:
        fail(ADDRESS.to(language))
    return url.rstrip("/")


def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the API is.")],
    only: Annotated[list[Group] | None, typer.Option(help="Only this part. Repeatable.")] = None,
    lang: Annotated[
        Language | None, typer.Option(help="The report's language.", show_default="the terminal's")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Check an implementation of the FastAPI workshop and its challenges, in any language.

    Signs up users of its own and writes as them; deletes nothing. The exit status is the number of
    failures, or 1 if there are none but something could not be tried.
    """
    import asyncio

    from . import report
    from .runner import Outcome, Result, run_checks

    language = lang or terminal_language()
    base = _base(url, language)

    async def run() -> list[Result]:
        with stderr.status(base) as status:
            return await run_checks(
                base, only or (), lambda check: status.update(check.title.to(language))
            )

    results = asyncio.run(run())
    if json:
        typer.echo(report.to_json(base, results, language))
    else:
        report.print_report(base, results, language)
    numbers = report.count(results)
    raise typer.Exit(numbers[Outcome.failed] or min(numbers[Outcome.not_tried], 1))
