"""`db.embedded_dir`: a folder that no other user of the machine can read, write or lock in.

It holds the embedded PostgreSQL, and the secret of an installation that has no other.
"""

import fcntl
import os
import secrets
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from pamps.config import PUBLIC_SECRETS, ROOT, settings

FOLDER: Path = ROOT.joinpath(os.path.expanduser(settings.db.embedded_dir)).resolve()  # noqa: PTH111
# What Pamps itself puts there; the data of an older PostgreSQL may be kept as data-15.
CONTENT = ("data", "new", "socket", "start.lock", "users.lock", "secret")


class EmbeddedError(Exception):
    """Pamps cannot work with its folder, or with the PostgreSQL in it; says why and what to do."""


def make_folder() -> None:
    """Makes the folder, or closes it to other users. Raises EmbeddedError and OSError."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = FOLDER.stat().st_mode
    if not mode & 0o077:
        return
    # A folder that has other things in it may be meant for others: it must not be closed to them.
    ours = all(path.name.partition("-")[0] in CONTENT for path in FOLDER.iterdir())
    if ours and not mode & stat.S_ISVTX:
        FOLDER.chmod(0o700)
    elif mode & 0o022:
        raise EmbeddedError(
            f"db.embedded_dir: other users may write in {FOLDER}: choose a folder of its own"
        )


def open_file(path: Path) -> IO[bytes]:
    """Opens a file that only its owner can open, to read and append. Raises OSError.

    It belongs to whom its folder belongs, so that he can open what root has made.
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
    """Locks a file of `open_file`. Raises BlockingIOError, and EmbeddedError if nobody can lock it.

    NFS wants it open for reading to share a lock, and for writing to have it alone.
    """
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        raise EmbeddedError(
            f"db.embedded_dir: {file.name} cannot be locked ({error.strerror}):"
            " choose a folder on a disk of this machine"
        ) from error


@lru_cache(maxsize=1)
def secret_key() -> str:
    """What signs tokens: the configured secret, or one of this installation where that is public.

    Raises EmbeddedError where it cannot be kept.
    """
    configured: str = settings.security.SECRET_KEY
    if not configured.startswith(PUBLIC_SECRETS):
        return configured
    path = FOLDER / "secret"
    try:
        make_folder()
        # Written aside and then linked, so that of two that start at once both get the first one.
        new = path.with_name(f"new-{secrets.token_hex(8)}")
        if not path.exists():
            try:
                with open_file(new) as file:
                    file.write(secrets.token_urlsafe(48).encode())
                with suppress(FileExistsError):
                    os.link(new, path)
            finally:
                new.unlink(missing_ok=True)
        with open_file(path) as file:
            file.seek(0)
            secret = file.read().decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise EmbeddedError(
            f"security.SECRET_KEY: everybody can read it, and one for this installation cannot be"
            f" kept in {path} ({reason}): set another SECRET_KEY, or db.embedded_dir"
        ) from error
    if len(secret) < 64:
        raise EmbeddedError(f"security.SECRET_KEY: {path} is damaged: remove it")
    return secret
