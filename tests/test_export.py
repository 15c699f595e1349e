"""The export of everything that is a user's."""

import json
import re

import jsonschema_rs
import pytest
from sqlalchemy import Column
from sqlalchemy.sql import visitors

from tests import canary
from tests.databases import execute, here
from tests.exports import compare
from tests.helpers import (
    Client,
    assert_one_red_line,
    command,
    invoke,
    sign_in,
    superuser,
)
from tests.servers import CHECKOUT

EXPORT = "/user/me/export/"
ODD = 'two\nlines\r\n, "quotes" \\ 🐦 é \u2028 </script> \x7f'
DECISION = CHECKOUT / "docs" / "decisions" / "0026-export.md"
SCHEMA = CHECKOUT / "docs" / "export.schema.json"


def dsn() -> str:
    return here().set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def ana(api_client, sign_up) -> Client:
    """Somebody with something in every list, and more than a batch of posts."""
    ana, bia, caio = sign_up("ana", bio=ODD), sign_up("bia"), sign_up("caio")
    root = superuser(api_client)
    first = ana.write(f"{ODD} @bia @caio #tag #é")
    many = f"SELECT 'post ' || n, {ana.id} FROM generate_series(1, 300) AS n"
    execute(here(), f"INSERT INTO post (text, user_id) {many}")
    reply = ana.write("reply", bia.write("hello @ana")["id"])
    ana.patch(f"/post/{first['id']}/", json={"text": f"{ODD} edited #tag"})
    for post in (first, reply):
        bia.like(post)
        bia.repost(post)
        ana.like(post)
        ana.repost(post)
        assert ana.post(f"/post/{post['id']}/bookmark/").status_code == 201
    ana.follow(bia, caio)
    bia.follow(ana)
    ana.post("/user/me/notifications/read/", json={"up_to": ana.ids("/user/me/notifications/")[1]})
    for n, path in enumerate(("block", "mute")):
        other = sign_up(f"other{n}")
        assert ana.post(f"/user/{path}/{other.id}").status_code == 201
        assert other.post(f"/user/{path}/{ana.id}").status_code == 201
    root.delete(f"/post/{ana.write('bad')['id']}/")
    command("promote", "ana")
    caio_post = caio.write()
    ana.delete(f"/post/{caio_post['id']}/")
    sign_in(api_client, "ana")
    return ana


def test_the_document_is_what_is_in_the_tables(ana, tmp_path):
    response = ana.get(EXPORT)
    assert response.status_code == 200
    name = re.escape(f"pamps-ana-{response.json()['exported_at'][:10]}.json")
    assert re.fullmatch(f'attachment; filename="{name}"', response.headers["content-disposition"])
    assert response.headers["cache-control"] == "no-store"
    canary.assert_unseen(response.text)
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(response.json())
    file = tmp_path / "ana.json"
    file.write_bytes(response.content)
    counts = compare(file, "ana", dsn())
    assert list(counts) == [
        name for name in response.json() if name not in ("exported_at", "profile")
    ]
    assert counts["posts"] > 300
    acts = [
        (act["action"].split()[0], act["own"], act["target"]) for act in response.json()["audit"]
    ]
    assert acts == [("delete", False, "ana"), ("promote", False, "ana"), ("delete", True, "caio")]


def test_a_new_account(sign_up, tmp_path):
    response = sign_up("ana").get(EXPORT)
    document = response.json()
    assert [len(items) for name, items in document.items() if isinstance(items, list)] == (
        [0] * 9 + [1, 0]
    )
    (tmp_path / "file").write_bytes(response.content)
    assert compare(tmp_path / "file", "ana", dsn()) == {"sessions": 1}


def test_the_schema_is_that_of_the_models():
    """To write it: `Export.model_json_schema()`, with an indent of 2 and a new line at the end."""
    from pamps.models.export import Export

    assert SCHEMA.read_text() == json.dumps(Export.model_json_schema(), indent=2) + "\n"


def test_every_column_is_exported_or_left_out_with_a_reason():
    """A new table fails this until somebody has decided, in the list of docs/decisions."""
    from pamps.models import SQLModel
    from pamps.models.export import ExportedProfile
    from pamps.models.export_rows import exported_lists

    def columns(*elements: object) -> set[str]:
        found = (part for element in elements for part in visitors.iterate(element))
        return {str(part) for part in found if isinstance(part, Column)}

    lists = [exported.items for exported in exported_lists().values()]
    exported = {f"user.{name}" for name in ExportedProfile.model_fields}
    exported |= {name for items in lists for name in columns(*items.selected_columns)}
    owners = {name for items in lists for name in columns(items.whereclause)}
    tables = SQLModel.metadata.tables
    everything = {str(column) for table in tables.values() for column in table.columns}
    references = {
        str(key.parent)
        for table in tables.values()
        for key in table.foreign_keys
        if key.target_fullname in ("user.id", "inbox.user_id")
    }
    needed = (everything - exported - owners) | (references - owners)
    text = DECISION.read_text().partition("**Left out.**")[2].partition("\n\nWhat others")[0]
    listed = set(re.findall("`([a-z_.]+)`", text))
    of_tables = {str(c) for name in listed & set(tables) for c in tables[name].columns}
    assert needed - of_tables - listed == set()
    assert {
        name
        for name in listed
        if not needed & {name, *map(str, getattr(tables.get(name), "columns", ()))}
    } == set()


def test_head(sign_up):
    """It begins no export, and says what a GET would be called."""
    ana = sign_up("ana")
    whole, head = ana.get(EXPORT), ana.head(EXPORT)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-disposition", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert "content-length" not in head.headers


def test_it_takes_a_fresh_sign_in(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = api_client.post("/refresh_token", json=body).json()["access_token"]
    response = Client(api_client, refreshed).get(EXPORT)
    assert (response.status_code, response.json()["detail"]) == (401, "A fresh sign-in is required")


def test_a_few_a_day(api_client_user1, api_client_user2, rate_limits):
    for _ in range(5):
        assert api_client_user1.head(EXPORT).status_code == 200
        assert api_client_user1.get(EXPORT).status_code == 200
    refused = api_client_user1.get(EXPORT)
    assert refused.status_code == 429
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert api_client_user2.get(EXPORT).status_code == 200


def test_the_longest_time(api_client_user1, monkeypatch, caplog):
    from pamps.routes import export

    monkeypatch.setattr(export, "MAX_SECONDS", 0)
    with pytest.raises(json.JSONDecodeError):
        api_client_user1.get(EXPORT).json()
    assert "an export ended early: TimeoutError()" in caplog.messages


def test_command(ana, tmp_path):
    file = tmp_path / "ana.json"
    printed = command("export", "Ana", file)
    assert printed == f"exported ana to {file} ({file.stat().st_size:,} bytes)\n"
    assert file.stat().st_mode & 0o777 == 0o600
    before, document = file.read_bytes(), json.loads(file.read_text())
    ours, theirs = document | {"exported_at": ""}, ana.get(EXPORT).json() | {"exported_at": ""}
    act = theirs["audit"].pop()
    assert ours == theirs
    assert (act["action"], act["target"], act["own"]) == ("export account", "ana", False)
    assert_one_red_line(invoke("export", "ana", file), "is there already: add --force")
    assert file.read_bytes() == before
    assert command("export", "ana", file, "--force")
    assert json.loads(file.read_text())["audit"][-1] == act
    assert_one_red_line(invoke("export", "nobody", tmp_path / "x"), "User not found: nobody")
    assert_one_red_line(invoke("export", "ana", tmp_path / "no" / "x"), "No such file")
    assert_one_red_line(invoke("export", "ana", tmp_path), "it is no file")
    assert [path.name for path in tmp_path.iterdir()] == ["ana.json"]


def test_a_command_that_fails_leaves_nothing(ana, tmp_path, monkeypatch):
    from pamps.maintenance import export

    monkeypatch.setattr(export.BATCHES["sessions"], "_sql", b"SELECT 1 / 0, $1::bigint, $2::bigint")
    assert_one_red_line(invoke("export", "ana", tmp_path / "file"), "division by zero")
    assert list(tmp_path.iterdir()) == []
    assert "export account" not in command("audit")
