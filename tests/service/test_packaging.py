"""What a wheel takes along, and the scripts that no other test runs."""

import importlib
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from venv import EnvBuilder

import pytest
from sqlalchemy import make_url

from tests.databases import execute
from tests.servers import CHECKOUT, run

PIP = [sys.executable, "-m", "pip"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, with a web client of two files in it."""
    folder = tmp_path_factory.mktemp("checkout")
    # From a copy, as a build leaves its traces beside the sources.
    for name in ("setup.py", "requirements.in", "README.md", "MANIFEST.in", "pamps", "migrations"):
        (folder / name).symlink_to(CHECKOUT / name)
    for name in ("index.html", "assets/index-0a1b2c3d.js"):
        (folder / "web/dist" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "web/dist" / name).write_text(name)
    command = [*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "."]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("pamps-*.whl")
    return wheel


def test_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    versions = {
        f"pamps/{p.relative_to(CHECKOUT)}" for p in CHECKOUT.glob("migrations/versions/*.py")
    }
    assert versions
    files = {"default.toml", "migrations/env.py", "mail/templates/en/reset_password.jinja"}
    assert {*(f"pamps/{name}" for name in files), *versions} <= names
    assert "Requires-Python: >=3.11" in text
    assert "Requires-Dist: fastapi" in text
    assert "Provides-Extra: embedded" in text


def test_an_installed_wheel_has_the_web_client(wheel, tmp_path):
    EnvBuilder(symlinks=True).create(tmp_path)
    python = tmp_path / "bin" / "python"
    command = [*PIP, "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    # Where find_build() is imported from; and what Pamps needs, which this environment has.
    code = "from pamps.middleware import web; print(web.__file__, web.find_build())"
    found = run([python, "-c", code], PYTHONPATH=sysconfig.get_path("purelib")).stdout.split()
    assert found[0].startswith(f"{tmp_path}/lib/")
    assert found[1] == f"{tmp_path}/share/pamps/web"
    assert (tmp_path / "share/pamps/web/assets/index-0a1b2c3d.js").is_file()


def test_the_locks_agree():
    """What ./run.sh installs stays as it is when ./test.sh installs the rest."""
    pins = [
        set(re.findall("^[a-z0-9-]+==[^ ]+", (CHECKOUT / name).read_text(), re.M))
        for name in ("requirements.txt", "requirements-checkout.txt", "requirements-dev.txt")
    ]
    serving = {pin for pin in pins[0] | pins[1] if not pin.startswith("uv==")}
    assert serving <= pins[2]


def test_docker_has_a_project_of_its_own(tmp_path):
    """The tests neither take a `docker compose up` over nor down, nor its ports."""
    told = tmp_path / "told"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >> {told}\n')
    docker.chmod(0o755)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([CHECKOUT / "test.sh", "--docker", "-x"], env=os.environ | path, check=True)
    calls = [line for line in told.read_text().splitlines() if line != "compose version"]
    assert len(calls) == 5
    own = "compose --project-name pamps-test --file docker-compose.yaml "
    assert all(call.startswith(own) for call in calls)
    assert "ports:" not in (CHECKOUT / "docker-compose.yaml").read_text()


def test_backups_are_in_no_commit_and_no_image():
    for name, pattern in ((".gitignore", "*.backup"), (".dockerignore", "**/*.backup")):
        assert pattern in (CHECKOUT / name).read_text().splitlines()


def test_scripts_have_no_line_endings_of_windows():
    """Whatever git is told to do with text."""
    assert "*.sh text eol=lf" in (CHECKOUT / ".gitattributes").read_text().splitlines()
    others = {".venv", "node_modules"}
    scripts = [path for path in CHECKOUT.rglob("*.sh") if not others & set(path.parts)]
    assert scripts
    assert not any(b"\r" in script.read_bytes() for script in scripts)


def test_create_databases():
    """Twice, as at a second start; the blank after the comma is the workshop's."""
    server = make_url(os.environ["TEST_SERVER"])
    names = [f"made_{os.getpid()}_a", f"made_{os.getpid()}_b"]
    environment = {
        "POSTGRES_DBS": ", ".join(names),
        "POSTGRES_USER": server.username,
        "PGDATABASE": server.database,
        "PGHOST": server.query.get("host") or server.host,
        "PGPORT": str(server.port or 5432),
        "PGPASSWORD": server.password or "",
    }
    script = CHECKOUT / "postgres" / "create-databases.sh"
    programs = subprocess.check_output(
        [
            sys.executable,
            "-c",
            "from pamps.postgres import cluster; print(cluster.find_program_folder())",
        ],
        text=True,
    ).strip()
    path = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run([script], env=os.environ | environment | path, check=True)
    try:
        owners = "SELECT datname, rolname FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid"
        assert {(name, name) for name in names} <= set(execute(server, owners))
    finally:
        for name in names:
            execute(server, f"DROP DATABASE {name}", f"DROP ROLE {name}")


def test_bench():
    """What measures Pamps finds in it what it measures."""
    for name in ("mail", "patterns", "run", "sign_in"):
        importlib.import_module(f"bench.{name}")
