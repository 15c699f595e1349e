"""The README's tour: pasted line by line, it gives the README's output."""

import os
import re
import subprocess
from pathlib import Path

from tests.databases import PAMPS
from tests.test_serve import served

README = (Path(__file__).parent.parent / "README.md").read_text()


def normal(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE", text).strip()


def test_tour(folder):
    tour = README.split("## A tour")[1].split("\n## ")[0]
    transcript = "\n".join(re.findall(r"```console\n(.*?)\n```", tour, re.DOTALL))
    steps = [step.partition("\n") for step in ("\n" + transcript).split("\n$ ")[1:]]
    *steps, (shell, _, session) = steps
    with served(folder) as (process, client):
        script = "".join(f"{command}\necho @@\n" for command, _, _ in steps)
        address = str(client.base_url).rstrip("/")
        script = script.replace("http://127.0.0.1:8000", address).replace(
            ".venv/bin/pamps", str(PAMPS)
        )
        environment = os.environ | {"PAMPS_ENV": "development", "PAMPS_DB__uri": ""}
        environment |= {"PAMPS_DB__embedded_dir": str(folder), "COLUMNS": "80"}

        def run(command: str, typed: str) -> str:
            return subprocess.run(
                command, shell=True, input=typed, env=environment, capture_output=True, text=True
            ).stdout

        outputs = run("bash", script).split("@@\n")
        for (command, _, expected), output in zip(steps, outputs, strict=False):
            assert normal(output) == normal(expected), command
        assert shell == ".venv/bin/pamps shell"
        typed = "\n".join(re.findall(r"In \[\d+\]: (.*)", session))
        printed = run(f"{PAMPS} shell", typed)
        for expected in [session.splitlines()[0], *re.findall(r"Out\[\d+\]: (.*)", session)]:
            assert expected in printed
        process.terminate()
