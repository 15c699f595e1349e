"""The folder `db.embedded_dir`, which other users of the machine cannot read, write or lock.

It holds the data of the embedded PostgreSQL, and the secret that signs tokens where none is set.
"""

import fcntl
import os
import secrets
import stat
from functools import cache
from pathlib import Path
from typing import IO

from pamps.config import ROOT, settings
from pamps.settings import PUBLIC_SECRETS

FOLDER = ROOT.joinpath(os.path.expanduser(settings.db.embedded_dir)).resolve()  # noqa: PTH111
# The files that Pamps creates there. Data of an older PostgreSQL may be kept as data-15.
CONTENT = ("data", "new", "socket", "start.lock", "users.lock", "secret")


class FolderError(Exception):
    """The folder, or the PostgreSQL in it, cannot be used. The text says why and what to do."""


def make_folder() -> None:
    """Create the folder, or deny other users access to it. Raises FolderError and OSError."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = FOLDER.stat().st_mode
    if not mode & 0o077:
        return
    # If it has files that Pamps did not create, other users may need access to the folder.
    only_pamps = all(path.name.partition("-")[0] in CONTENT for path in FOLDER.iterdir())
    if only_pamps and not mode & stat.S_ISVTX:
        FOLDER.chmod(0o700)
    elif mode & 0o022:
        raise FolderError(
            f"db.embedded_dir: other users may write in {FOLDER}: choose a folder of its own"
        )


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read and append, or create it; only its owner can. Raises OSError.

    The owner is that of the folder, who can then open a file that root has created.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    if os.fstat(file).st_mode & 0o077:
        os.fchmod(file, 0o600)
    owner = path.parent.stat()
    if os.geteuid() == 0 and os.fstat(file).st_uid != owner.st_uid:
        os.fchown(file, owner.st_uid, owner.st_gid)
    return os.fdopen(file, "a+b")


def lock(file: IO[bytes], operation: int) -> None:
    """Lock a file that `open_file` opened. `operation` is that of `fcntl.flock`.

    NFS needs the file open for reading for a shared lock, and for writing for an exclusive one.
    Raises BlockingIOError if another process has the lock, FolderError if locks do not work here.
    """
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        raise FolderError(
            f"db.embedded_dir: {file.name} cannot be locked ({error.strerror}):"
            " choose a folder on a disk of this machine"
        ) from error


@cache
def secret_key() -> str:
    """Return the secret that signs tokens.

    It is `security.SECRET_KEY`, or if that is public, one that is generated once and kept in the
    folder. Raises FolderError if it cannot be kept there.
    """
    configured = settings.security.SECRET_KEY
    if not configured.startswith(PUBLIC_SECRETS):
        return configured
    path = FOLDER / "secret"
    try:
        make_folder()
        with open_file(path) as file:
            if file.tell() == 0:
                file.write(secrets.token_urlsafe(48).encode())
            file.seek(0)
            # Processes that start at the same time may each append a secret: all use the first.
            secret = file.read(64).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise FolderError(
            f"security.SECRET_KEY: everybody can read it, and a generated one cannot be kept"
            f" in {path} ({reason}): set another SECRET_KEY, or db.embedded_dir"
        ) from error
    if len(secret) < 64:
        raise FolderError(f"security.SECRET_KEY: {path} is damaged: remove it")
    return secret
