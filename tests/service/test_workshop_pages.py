"""The pages about the workshop: what they show comes when its commands are typed here."""

import re
import shutil
import sys
from pathlib import Path

from tests.helpers import command
from tests.servers import CHECKOUT, served
from tests.transcripts import normal, outputs, steps

ENGLISH, PORTUGUESE = (
    (CHECKOUT / "docs" / name).read_text("utf-8") for name in ("workshop.md", "oficina.md")
)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
HERE, THERE = ENGLISH.split("\n## For a class")[0], "http://127.0.0.1:8000"


def test_both_pages_show_the_same():
    assert FENCED.findall(ENGLISH) == FENCED.findall(PORTUGUESE)
    rows = [re.findall(r"^\|.*", page, re.MULTILINE) for page in (ENGLISH, PORTUGUESE)]
    links = [[re.findall(r"\]\(([^)]+)\)", row) for row in page] for page in rows]
    for english, portuguese in zip(*links, strict=True):
        assert len(english) == len(portuguese)


def assert_like(printed: str, shown: str) -> None:
    """`…` at the end of what is shown stands for any text."""
    beginning, cut, _ = normal(shown).partition("…")
    whole = normal(printed)
    assert whole.startswith(beginning) if cut else whole == beginning


def test_the_commands(other_database, tmp_path):
    for name in ("pamps", "migrations"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    shutil.copy(CHECKOUT / "alembic.ini", tmp_path)
    (tmp_path / "city.diff").write_text(re.findall(r"^```diff\n(.*?)^```", HERE, re.S | re.M)[0])
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("pamps", "alembic", "python"):
        script = f'#!/bin/sh\nexec "{Path(sys.executable).with_name(name)}" "$@"\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    settings = {"PAMPS_DB__uri": other_database, "PYTHONPATH": str(tmp_path)}
    settings["PAMPS_SECURITY__REFRESH_TOKEN_REPLAY_SECONDS"] = "3"
    typed = steps(HERE)
    with served(settings | {"PAMPS_RATE_LIMIT__enabled": "false"}) as (process, client):
        address = str(client.base_url).rstrip("/")
        commands = [step.command.replace(THERE, address) for step in typed]
        commands = [command.replace("sleep 11", "sleep 3.1") for command in commands]
        printed = outputs([f"cd {tmp_path}", *commands], programs, **settings)[1:]
        process.terminate()
    assert len(printed) == len(typed) > 15
    for step, output in zip(typed, printed, strict=True):
        assert_like(output.replace(f"{tmp_path}/", ""), step.output)


def test_the_commands_of_the_class():
    """They are there; test_classroom.py and others test what they do."""
    scripts = [step.command for step in steps(ENGLISH.split("\n## For a class")[1])]
    assert scripts[:2] == ["./classroom.sh", "./classroom.sh --reset"]
    for script in scripts[2:]:
        invocation = script.removeprefix("PAMPS_ENV=classroom .venv/bin/pamps ")
        assert invocation != script
        command(invocation.split()[0], "--help")
