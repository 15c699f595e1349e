"""When `web/build.sh` builds the web client. Node and npm are stand-ins that note their calls."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import CHECKOUT

NODE = "#!/bin/sh\n"
NPM = """#!/bin/sh
echo "$*" >>calls
case "$*" in
  *fail*) exit 1 ;;
  *ci*) mkdir -p web/node_modules ;;
  *build) mkdir -p web/dist && cat web/src/main.ts >web/dist/index.html ;;
esac
"""
# As setup.sh has it.
SCRIPT = """
set -euo pipefail
install() { echo "install $*" >>calls && cp tools/* .venv/bin/; }
source web/build.sh
build_web
"""


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("web/src", ".venv/bin", "tools", "path"):
            (folder / name).mkdir(parents=True)
        (folder / ".venv/bin/python").symlink_to(sys.executable)
        (folder / "web/build.sh").symlink_to(CHECKOUT / "web/build.sh")
        for name in ("package.json", "package-lock.json", "src/main.ts"):
            (folder / "web" / name).write_text(name)
        for program in ("bash", "sh", "cat", "cksum", "cp", "find", "mkdir", "sort"):
            (folder / "path" / program).symlink_to(shutil.which(program))
        self.provide("path")

    def provide(self, place: str, node: str = NODE, npm: str = NPM) -> None:
        for name, program in (("node", node), ("npm", npm)):
            file = self.folder / place / name
            file.write_text(program)
            file.chmod(0o755)

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", "-c", SCRIPT],
            cwd=self.folder,
            env=os.environ | {"PATH": str(self.folder / "path")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self) -> tuple[int, list[str]]:
        """Its exit status, and what it says."""
        process = self.start()
        output, errors = process.communicate()
        assert output == ""
        return process.returncode, errors.splitlines()

    def calls(self) -> list[str]:
        """What was called of npm and pip since the last time, without options."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.partition(" --no-audit")[0] for line in lines if line != "--version"]


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path)


CI, BUILD = "--prefix web ci", "--prefix web run build"


def test_it_is_built_once(checkout):
    lines = ["Installing the packages of the web client", "Building the web client"]
    assert checkout.build() == (0, lines)
    assert checkout.calls() == [CI, BUILD]
    assert checkout.build() == (0, [])
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("src/main.ts", [BUILD]),
        ("src/new.ts", [BUILD]),
        ("dist/index.html", [BUILD]),
        ("package-lock.json", [CI, BUILD]),
        ("node_modules/vue.js", []),
    ],
)
def test_what_it_is_built_from_has_changed(checkout, name, calls):
    checkout.build()
    checkout.calls()
    (checkout.folder / "web" / name).write_text("changed")
    assert checkout.build()[0] == 0
    assert checkout.calls() == calls


def test_files_that_are_gone(checkout):
    (checkout.folder / "web/src/old.ts").write_text("")
    checkout.build()
    checkout.calls()
    (checkout.folder / "web/src/old.ts").unlink()
    checkout.build()
    assert checkout.calls() == [BUILD]
    (checkout.folder / "web/dist/index.html").unlink()
    checkout.build()
    assert checkout.calls() == [BUILD]


def test_two_at_once(checkout):
    processes = [checkout.start() for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        process.communicate()
    assert checkout.calls() == [CI, BUILD]


@pytest.mark.parametrize("node", ["#!/bin/sh\nexit 1\n", None])
def test_node_from_pypi(checkout, node):
    """Where there is none, or one that is too old."""
    checkout.provide("tools")
    if node:
        checkout.provide("path", node)
    else:
        (checkout.folder / "path/node").unlink()
    assert checkout.build()[0] == 0
    assert checkout.calls() == ["install --require-hashes -r requirements-node.txt", CI, BUILD]
    (checkout.folder / "web/src/main.ts").write_text("changed")
    checkout.build()
    assert checkout.calls() == [BUILD]


def test_no_node(checkout):
    (checkout.folder / "path/node").unlink()
    status, lines = checkout.build()
    assert status == 1
    problem = "The web client cannot be built, as there is no Node 20.19 or newer"
    assert lines == ["Installing Node from PyPI", f"{problem}: see web/.build/log"]


@pytest.mark.parametrize(
    ("step", "problem"), [("ci", "npm cannot install"), ("build", "its build")]
)
def test_npm_fails(checkout, step, problem):
    checkout.provide("path", npm=NPM.replace("*fail*", f"*{step}*"))
    status, lines = checkout.build()
    assert (status, problem in lines[-1]) == (1, True)
    checkout.provide("path")
    assert checkout.build()[0] == 0
