"""The folder of the embedded PostgreSQL: closed to others, locked, copied and moved."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters import (
    CONNECT,
    WRITE,
    assert_refused,
    environment,
    processes,
    start,
    user,
    write,
)
from tests.servers import is_running


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_can_read_or_lock(folder, umask):
    """Nor what an earlier Pamps has left open."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o755)
    lock = folder / "start.lock"
    lock.touch()
    lock.chmod(0o666)
    done = subprocess.run(
        [sys.executable, "-c", CONNECT + "show('SELECT 1')"],
        env=environment(folder),
        capture_output=True,
        umask=umask,
    )
    assert done.stdout == b"1\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    files = {"start.lock": 0o600, "users.lock": 0o600}
    assert modes == {"pamps": 0o700, "data": 0o700} | files
    assert (folder / "data" / "server.log").stat().st_mode & 0o777 == 0o600


def test_a_folder_of_others_stays_as_it_is(folder):
    folder.mkdir()
    (folder / "theirs").touch()
    folder.chmod(0o1777)
    assert_refused(start(folder), "db.embedded_dir: other users may write in", "folder of its own")
    assert folder.stat().st_mode & 0o7777 == 0o1777
    folder.chmod(0o755)
    assert start(folder).stdout == "started\n"
    assert folder.stat().st_mode & 0o7777 == 0o755


def test_locks_are_for_reading_and_writing(used_folder):
    """NFS shares no lock of a file that is open for writing only, as this one does not."""
    script = """
import errno, fcntl, os, sys
flock = fcntl.flock
def strict(file, operation):
    mode = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
    wanted = os.O_RDONLY if operation & fcntl.LOCK_SH else os.O_WRONLY
    if mode not in (wanted, os.O_RDWR):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    flock(file, operation)
fcntl.flock = strict
"""
    command = [sys.executable, "-c", script + CONNECT + WRITE]
    done = subprocess.run(command, env=environment(used_folder), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_folder_that_cannot_lock(used_folder):
    """As one without a lock server on NFS; here it is the system that says so."""
    script = """
import errno, fcntl, os, sys
def flock(file, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = flock
from pamps.postgres import embedded
try:
    embedded.start()
except embedded.FolderError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(used_folder),
        capture_output=True,
        text=True,
    )
    assert_refused(done, "db.embedded_dir: ", "cannot be locked", "choose a folder on a disk")


def test_the_home_folder(folder):
    done = start(Path("~/pamps"), HOME=str(folder.parent))
    assert done.stdout == "started\n", done.stderr
    assert (folder / "data").is_dir()


def test_a_copy_of_a_folder_in_use(folder, used_folder):
    original = used_folder
    with user(original) as (_, started):
        copy = original.with_name("copy")
        subprocess.run(["cp", "-a", original, copy], check=True)
        pid = (original / "data" / "postmaster.pid").read_text().split()[0]
        assert_refused(
            start(copy), f"{copy} was moved or copied from {original}", f"kill -INT {pid}"
        )
        with user(original) as (_, again):
            assert again == started
    shutil.rmtree(copy)
    subprocess.run(["cp", "-a", original, copy], check=True)
    with user(copy), user(original):
        assert is_running(copy)
        assert is_running(original)
    assert write(copy) == 2


def test_a_folder_that_was_moved_while_in_use(used_folder):
    moved = used_folder.with_name("moved")
    with user(used_folder):
        pid = int((used_folder / "data" / "postmaster.pid").read_text().split()[0])
        used_folder.rename(moved)
        assert_refused(start(moved), f"moved or copied from {used_folder}", f"kill -INT {pid}")
        os.kill(pid, signal.SIGINT)
        while processes(used_folder / "data"):
            pass
        assert write(moved) == 2
    # What still thought that it is where it was has made a new one, or nothing.
    shutil.rmtree(used_folder, ignore_errors=True)


def test_a_copy_made_by_root_without_regard_to_owners(used_folder):
    copy = used_folder.with_name("copy")
    subprocess.run(["cp", "-r", used_folder, copy], check=True, umask=0o022)
    if os.geteuid() == 0:
        done = start(copy)
        assert_refused(done, "belongs to root", "chown -R ")
        subprocess.run(done.stderr.split("as root: ")[1], shell=True, check=True)
    assert write(copy) == 2
    assert (copy / "data").stat().st_mode & 0o777 == 0o700


def test_a_path_too_long_for_a_socket(folder):
    deep = folder / ("x" * 90) / "with 'quotes', and commas"
    assert write(deep) == 1


AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
# What the interpreter of the tests lies in may be closed to others.
AS_NOBODY += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
AS_NOBODY += ["--securebits=+no_setuid_fixup"]


# Nobody else can become another user, and without that this test would repeat others: an ordinary
# user runs all tests of the folder as what this one becomes. As root, as in CI, it is not left out.
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_and_root_after_him(folder):
    shutil.chown(folder.parent, "nobody", "nogroup")
    assert write(folder, AS_NOBODY) == 1
    owner = (folder / "data").stat().st_uid
    assert owner == pwd.getpwnam("nobody").pw_uid
    assert write(folder) == 2
    assert (folder / "data").stat().st_uid == owner
