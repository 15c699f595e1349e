"""Files that commands write: whole or not at all, and readable by their owner only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pamps.maintenance import MaintenanceError


class FileError(MaintenanceError):
    """A file cannot be written."""


def check_target(file: Path, *, overwrite: bool) -> None:
    """Raise FileError if a path is no file, or if there is one that must not be overwritten."""
    if file.exists() and not file.is_file():
        raise FileError(f"cannot write {file}: it is no file")
    if file.exists() and not overwrite:
        raise FileError(f"{file} is there already: add --force to overwrite it")


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """Provide an empty file to write, which is renamed to `file` at the end. Raises FileError."""
    try:
        with TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
            new = Path(folder, file.name)
            new.touch(0o600)
            yield new
            new.rename(file)
    except OSError as error:
        raise FileError(f"cannot write {file}: {error.strerror}") from error
