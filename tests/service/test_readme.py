"""The documents: the README's tour gives the output that it shows, and references resolve."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.databases import PAMPS
from tests.servers import CHECKOUT, served

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

README = (CHECKOUT / "README.md").read_text()
DOCUMENTS = ["README.md", "CHANGELOG.md"] + [
    str(path.relative_to(CHECKOUT)) for path in sorted((CHECKOUT / "docs").rglob("*.md"))
]


def normal(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "DATE", text).strip()


def test_tour(other_database, tmp_path):
    tour = README.split("## A tour")[1].split("\n## ")[0]
    transcript = "\n".join(re.findall(r"```console\n(.*?)\n```", tour, re.DOTALL))
    steps = [step.partition("\n") for step in ("\n" + transcript).split("\n$ ")[1:]]
    *steps, (shell, _, session) = steps
    with served({"PAMPS_DB__uri": other_database}) as (process, client):
        script = "".join(f"{command}\necho @@\n" for command, _, _ in steps)
        address = str(client.base_url).rstrip("/")
        script = script.replace("http://127.0.0.1:8000", address).replace(
            ".venv/bin/pamps", str(PAMPS)
        )
        environment = os.environ | {"PAMPS_DB__uri": other_database, "COLUMNS": "80"}
        if not shutil.which("curl"):
            (tmp_path / "curl").write_text(CURL)
            (tmp_path / "curl").chmod(0o755)
            environment["PATH"] += f"{os.pathsep}{tmp_path}"

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


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_references(name):
    document = CHECKOUT / name
    text = document.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("http"):
            path, _, fragment = link.partition("#")
            target = document.parent / path if path else document
            assert target.exists(), link
            headings = re.findall("^#+ (.*)", target.read_text(), re.MULTILINE) if fragment else []
            assert not fragment or fragment in map(anchor, headings), link


def test_the_recipe_shows_the_code():
    """Its listings are what is in the files of bookmarks, which were made by it."""
    recipe = (CHECKOUT / "docs" / "development.md").read_text("utf-8").split("## Recipe: ")[1]
    models = tuple(f"pamps/models/{name}.py" for name in ("columns", "interaction", "bookmark"))
    files = (*models, "pamps/routes/bookmark.py", "tests/test_bookmark.py")
    code = "\n".join((CHECKOUT / file).read_text("utf-8") for file in files)
    listings = re.findall(r"```python\n(.*?)```", recipe.split("\n## ")[0], re.DOTALL)
    blocks = [block.strip("\n") for listing in listings for block in listing.split("\n\n\n")]
    shown = [block for block in blocks if block.startswith(("class ", "def ", "@", "async def "))]
    assert len(shown) >= 9
    for block in shown:
        assert block in code, block
