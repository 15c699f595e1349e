"""The pages that build a like and a timeline: their listings run, and do what the pages say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.databases import execute, locked
from tests.helpers import command
from tests.servers import CHECKOUT

ENGLISH, PORTUGUESE = (
    (CHECKOUT / "docs" / f"{name}.md").read_text("utf-8")
    for name in ("from-simple-to-real", "do-simples-ao-real")
)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LISTINGS = dict(re.findall(r"^`(\w+\.py)`\n\n```python\n(.*?)^```", ENGLISH, re.DOTALL | re.M))

# Whose like step2.py stores. A lock with OFFSET would also lock the row that it skips, the author.
LIKER = 'SELECT id FROM "user" ORDER BY id OFFSET 1 LIMIT 1'
LOCK = f'SELECT * FROM "user" WHERE id = ({LIKER}) FOR UPDATE'
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
    AND datname = current_database()
"""


@pytest.fixture
def folder(on_other_database: str, tmp_path: Path) -> Path:
    """The listings, and the data that the pages use, but less of it."""
    command("fake-data", "--users", "60", "--posts", "500", "--seed", "1")
    for name, listing in LISTINGS.items():
        (tmp_path / name).write_text(listing)
    return tmp_path


def start(folder: Path, database: str, *names: str) -> subprocess.Popen[str]:
    """Run listings, one after the other in one process."""
    imports = "; ".join(f"import {name}" for name in names)
    return subprocess.Popen(
        [sys.executable, "-c", imports],
        cwd=folder,
        env=os.environ | {"PAMPS_DB__uri": database},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_both_pages_have_the_same_listings():
    assert FENCED.findall(ENGLISH) == FENCED.findall(PORTUGUESE)
    assert len(LISTINGS) == ENGLISH.count("```python") == 10


def test_the_race(folder, on_other_database):
    """As many look for the like before one is stored as there are sessions."""
    from pamps.db import MAX_SESSIONS

    with start(folder, on_other_database, "step2") as process:
        with locked(on_other_database, LOCK):
            while execute(make_url(on_other_database), WAITING) != [(MAX_SESSIONS,)]:
                assert process.poll() is None
        first, *others = process.stdout.read().splitlines()
    assert first == "answers {200: 45, 201: 5}, rows 5, like_count 0"
    assert len(others) == 4


def test_all_others(folder, on_other_database):
    likes, timelines = ("step3", "step4", "step5"), ("timeline1", "timeline2", "timeline3")
    with start(folder, on_other_database, *likes, *timelines) as process:
        printed = process.stdout.read()
    shown = re.findall(r"step[345].py\n(answers .*?)\n```", ENGLISH, re.DOTALL)
    assert re.findall("^answers .*", printed, re.MULTILINE) == "\n".join(shown).split("\n")
    quiet, busy, without, with_index, *lateral = re.findall(r"^\[.*\]$", printed, re.MULTILINE)
    assert [quiet, busy] == lateral
    assert without == with_index
    assert busy != "[]"
    indexes = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_post_user%'"
    assert execute(make_url(on_other_database), indexes) == [(2,)]
