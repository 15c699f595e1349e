"""The documents: the READMEs' tours give the output that they show, and references resolve."""

import re

import pytest

from tests.databases import PAMPS
from tests.servers import CHECKOUT, served
from tests.transcripts import normal, outputs, run, steps

ENGLISH, PORTUGUESE = "README.md", "README.pt-BR.md"
DOCUMENTS = [ENGLISH, PORTUGUESE, "CHANGELOG.md"] + [
    str(path.relative_to(CHECKOUT)) for path in sorted((CHECKOUT / "docs").rglob("*.md"))
]
# Documents that are there in both languages.
TRANSLATED = {
    "docs/oficina.md": "docs/workshop.md",
    "docs/verificador.md": "docs/check.md",
    "docs/do-simples-ao-real.md": "docs/from-simple-to-real.md",
    "docs/oficina.md#para-uma-turma": "docs/workshop.md#for-a-class",
}


def read(name: str) -> str:
    return (CHECKOUT / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "heading"), [(ENGLISH, "## A tour"), (PORTUGUESE, "## Um passeio")]
)
def test_tour(other_database, tmp_path, name, heading):
    *tour, (shell, session) = steps(read(name).split(heading)[1].split("\n## ")[0])
    with served({"PAMPS_DB__uri": other_database}) as (process, client):
        address = str(client.base_url).rstrip("/")
        commands = [
            step.command.replace("http://127.0.0.1:8000", address).replace(
                ".venv/bin/pamps", str(PAMPS)
            )
            for step in tour
        ]
        printed = outputs(commands, tmp_path, PAMPS_DB__uri=other_database)
        for step, output in zip(tour, printed, strict=True):
            assert normal(output) == normal(step.output), step.command
        assert shell == ".venv/bin/pamps shell"
        typed = "\n".join(re.findall(r"In \[\d+\]: (.*)", session))
        printed_there = run(f"{PAMPS} shell", typed, tmp_path, PAMPS_DB__uri=other_database)
        for expected in [session.splitlines()[0], *re.findall(r"Out\[\d+\]: (.*)", session)]:
            assert expected in printed_there
        process.terminate()


def test_the_readmes_say_the_same():
    """They have the same sections, rows of tables, names of code, and links."""

    def skeleton(text: str) -> list[str]:
        text = re.sub(r"\n```console\n.*?```", "", text, flags=re.DOTALL)
        text = re.sub(r"^\[(Em português|In English)\]\(.*\)$", "", text, flags=re.MULTILINE)
        links = "|".join(map(re.escape, sorted(TRANSLATED, reverse=True)))
        text = re.sub(links, lambda link: TRANSLATED[link[0]], text)
        return sorted(re.findall(r"^#+ |^\||^- |\]\([^)]+\)|`[^`]+`", text, flags=re.MULTILINE))

    assert skeleton(read(ENGLISH)) == skeleton(read(PORTUGUESE))


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_references(name):
    document = CHECKOUT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if not link.startswith("http"):
            path, _, fragment = link.partition("#")
            target = document.parent / path if path else document
            assert target.exists(), link
            headings = re.findall("^#+ (.*)", target.read_text(), re.MULTILINE) if fragment else []
            assert not fragment or fragment in map(anchor, headings), link


def test_the_recipe_shows_the_code():
    """Its listings are what is in the files of bookmarks, which were made by it."""
    recipe = read("docs/development.md").split("## Recipe: ")[1]
    models = tuple(f"pamps/models/{name}.py" for name in ("columns", "interaction", "bookmark"))
    files = (*models, "pamps/routes/bookmark.py", "tests/test_bookmark.py")
    code = "\n".join(map(read, files))
    listings = re.findall(r"```python\n(.*?)```", recipe.split("\n## ")[0], re.DOTALL)
    blocks = [block.strip("\n") for listing in listings for block in listing.split("\n\n\n")]
    shown = [block for block in blocks if block.startswith(("class ", "def ", "@", "async def "))]
    assert len(shown) >= 9
    for block in shown:
        assert block in code, block
