"""Transcripts of a terminal in the documents: the commands, and what they print."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# For machines without curl: the options of it that the tour uses.
CURL = f"""#!{sys.executable}
import argparse, httpx
parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-s", action="store_true")
parser.add_argument("-w", default="")
parser.add_argument("-X", dest="method")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d", dest="content")
args = parser.parse_args()
headers = {{"Content-Type": "application/x-www-form-urlencoded"}}
headers |= dict(line.split(": ", 1) for line in args.H)
method = args.method or ("POST" if args.content else "GET")
answer = httpx.request(method, args.url, headers=headers, content=args.content)
print(answer.text, end=args.w.replace("\\\\n", "\\n"))
"""


class Step(NamedTuple):
    command: str
    output: str


def steps(text: str) -> list[Step]:
    """The commands in the blocks of a document. Lines that begin with `>` continue a command."""
    transcript = "\n".join(re.findall(r"^```console\n(.*?)\n```", text, re.DOTALL | re.MULTILINE))
    blocks = re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]
    parsed = [re.fullmatch(r"(.*(?:\n> .*)*)\n?((?:.|\n)*)", block) for block in blocks]
    return [Step(found[1].replace("\n> ", "\n"), found[2]) for found in parsed if found]


def run(command: str, typed: str, folder: Path, **variables: str) -> str:
    """What a command prints. Programs that `folder` has are found before others."""
    if not shutil.which("curl"):
        (folder / "curl").write_text(CURL)
        (folder / "curl").chmod(0o755)
    environment = os.environ | {"COLUMNS": "80"} | variables
    environment["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        input=typed,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def outputs(commands: list[str], folder: Path, **variables: str) -> list[str]:
    """What commands print that are typed in one shell."""
    script = "".join(f"{command}\necho @@\n" for command in commands)
    return run("bash", script, folder, **variables).split("@@\n")[:-1]


def normal(text: str) -> str:
    """A text without what differs at each run."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE", text)
    text = re.sub(r"\b(\d{4}_\d\d_\d\d_)?[0-9a-f]{12}(?=_| -> |, )", "REVISION", text)
    return text.strip()
