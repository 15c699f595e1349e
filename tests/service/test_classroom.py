"""What a teacher uses: ./classroom.sh, and the settings of the environment `classroom`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import CHECKOUT, served


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is set up already, and that only says what it would serve."""
    shutil.copy(CHECKOUT / "classroom.sh", tmp_path)
    (tmp_path / "setup.sh").touch()
    (tmp_path / "run.sh").write_text('#!/bin/sh\necho "$PAMPS_ENV $*"\n')
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    return tmp_path


def classroom(checkout: Path, database: str, *arguments: str, typed: str = "") -> str:
    environment = os.environ | {"PAMPS_DB__uri": database, "COLUMNS": "500"}
    return subprocess.run(
        [checkout / "classroom.sh", *arguments],
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
    ).stdout


def test_serving(checkout, other_database):
    served = classroom(checkout, other_database, "--port", "9000")
    assert served == "classroom --host 0.0.0.0 --port 9000\n"


def test_a_lesson(checkout, other_database):
    """A class behind one address signs up; then all is put back, while the server runs."""
    settings = {"PAMPS_ENV": "classroom", "PAMPS_DB__uri": other_database}
    settings["PAMPS_SECURITY__ARGON2_MEMORY_COST"] = "8"
    with served(settings) as (process, client):
        for n in range(30):
            account = {"username": f"aluna{n}", "email": f"aluna{n}@example.com", "password": "1"}
            assert client.post("/user/", json=account).status_code == 201
        assert "Are you sure?" in classroom(checkout, other_database, "--reset", typed="n\n")
        assert client.get("/user/aluna29/").status_code == 200
        printed = classroom(checkout, other_database, "--reset", typed="y\n")
        assert "added 30 users and 300 posts; each user's password is pamps" in printed
        assert len(client.get("/user/?limit=100").json()) == 30
        assert client.get("/user/aluna29/").status_code == 404
        process.terminate()
