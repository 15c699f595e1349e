"""Where settings come from: files and variables, and which of them win."""

import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.servers import CHECKOUT


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder with the files that settings are read from."""
    (tmp_path / "pamps").mkdir()
    for name in ("pamps/config.py", "pamps/default.toml", "alembic.ini"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    (tmp_path / ".secrets.toml").write_text(f'[default.security]\nSECRET_KEY = "{32 * "x"}"\n')
    return tmp_path


def load_from(checkout: Path) -> Any:
    return runpy.run_path(str(checkout / "pamps" / "config.py"))["settings"]


def test_later_sources_replace_lists_and_tables(monkeypatch, checkout):
    monkeypatch.delenv("PAMPS_DB__connect_args", raising=False)  # docker compose sets it
    (checkout / "settings.toml").write_text("""
[default.cors]
allow_origins = ["https://a.example"]
[default.db]
connect_args = {sslmode = "require"}
pool_size = 3
[testing.cors]
allow_origins = ["https://b.example"]
[testing.db]
connect_args = {application_name = "b"}
""")
    loaded = load_from(checkout)
    assert loaded.cors.allow_origins == ["https://b.example"]
    assert loaded.db.connect_args == {"application_name": "b"}
    assert loaded.db.pool_size == 3, "tables of settings are taken key by key"
    with (checkout / ".secrets.toml").open("a") as file:
        file.write("[default.cors]\nallow_origins = []\n[default.db]\nconnect_args = {}\n")
    loaded = load_from(checkout)
    assert loaded.cors.allow_origins == []
    assert loaded.db.connect_args == {}
    monkeypatch.setenv("PAMPS_CORS__allow_origins", '["https://c.example"]')
    monkeypatch.setenv("PAMPS_DB__connect_args", "{keepalives = 1}")
    loaded = load_from(checkout)
    assert loaded.cors.allow_origins == ["https://c.example"]
    assert loaded.db.connect_args == {"keepalives": 1}


def test_variables_with_an_empty_list_or_table(monkeypatch, checkout):
    (checkout / "settings.toml").write_text("""
[default]
db = {connect_args = {sslmode = "require"}, pool_size = 3}
cors = {allow_origins = ["https://a.example"]}
""")
    monkeypatch.setenv("PAMPS_DB__CONNECT_ARGS", "{}")
    monkeypatch.setenv("PAMPS_CORS__allow_origins", "[]")
    loaded = load_from(checkout)
    assert (loaded.db.connect_args, loaded.db.pool_size) == ({}, 3)
    assert loaded.cors.allow_origins == []
    monkeypatch.setenv("PAMPS_DB", "{pool_size = 4, echo = true}")
    loaded = load_from(checkout)
    assert (loaded.db.pool_size, loaded.db.echo, loaded.db.connect_timeout) == (4, True, 5)


@pytest.mark.parametrize("name", ["settings.toml", ".secrets.toml", "settings.local.toml"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Is a directory"),
        (Path("/nowhere"), "is a link to nothing"),
        (b"\xff", "it is not in UTF-8"),
        (b"[default", "Expected ']'"),
        (b"[db]\nuri = 'x'\n", "db is no environment, as default, development"),
        (b"[prod.db]\nuri = 'x'\n", "prod is no environment"),
        (b"uri = 'x'\n", "uri is no environment"),
    ],
)
def test_a_file_that_cannot_be_read(checkout, name, content, words):
    file = checkout / name
    file.unlink(missing_ok=True)
    if content is None:
        file.mkdir()
    elif isinstance(content, Path):
        file.symlink_to(content)
    else:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        load_from(checkout)
    assert stop.value.code.startswith(f"pamps: {file}: ")
    assert words in stop.value.code
    assert "\n" not in stop.value.code


@pytest.mark.parametrize("content", ["[default]\nnothing = 1\n", "[testing.nothing]\nx = 1\n"])
def test_an_unknown_setting_in_a_file(checkout, content):
    (checkout / "settings.toml").write_text(content)
    with pytest.raises(SystemExit, match="nothing: no such setting; there are db, security"):
        load_from(checkout)
