"""Superusers: made at a terminal, what they may do, and what is on record of it."""

import os
import pwd

import pytest

from tests.databases import query
from tests.helpers import Client, at_once, command, sign_in, superuser


@pytest.fixture
def root(api_client: Client) -> Client:
    return superuser(api_client)


def test_nobody_is_born_a_superuser(api_client, api_client_user1):
    ways = {"superuser": True, "is_superuser": True, "disabled": True, "bio": "x"}
    assert api_client_user1.patch("/user/me/", json=ways).status_code == 200
    user = {"username": "ana", "email": "ana@pamps.com", "password": "1234"}
    assert api_client.post("/user/", json=user | ways).status_code == 201
    command("create-user", "bia@pamps.com", "bia", "1234")
    assert query('SELECT count(*) FROM "user" WHERE superuser OR disabled') == [(0,)]
    assert query("SELECT count(*) FROM audit") == [(0,)]


def test_promote_and_demote(api_client_user1, api_client_user2):
    path = f"/post/{api_client_user2.write()['id']}/"
    assert api_client_user1.delete(path).status_code == 403
    assert command("promote", "USER1") == "USER1 is a superuser\n"
    assert api_client_user1.delete(path).status_code == 204
    path = f"/post/{api_client_user2.write()['id']}/"
    assert command("demote", "user1") == "user1 is no superuser\n"
    assert api_client_user1.delete(path).status_code == 403


def test_a_superuser_deletes_any_post(root, api_client, api_client_user1):
    post = api_client_user1.write()
    path = f"/post/{post['id']}/"
    assert root.patch(path, json={"text": "x"}).status_code == 403
    assert root.delete(path).status_code == 204
    assert api_client.get(path).status_code == 404
    assert api_client_user1.get("/user/me/").json()["post_count"] == 0
    own = root.write()
    assert root.delete(f"/post/{own['id']}/").status_code == 204  # which is nobody's business
    acts = query("SELECT actor, action, target, address FROM audit WHERE actor_id IS NOT NULL")
    assert acts == [("root", f"delete post {post['id']}", "user1", "testclient")]


def test_a_superuser_deletes_any_account(root, api_client, api_client_user1, api_client_user2):
    assert api_client_user2.delete("/user/user1/").status_code == 403
    assert root.delete("/user/USER1/").status_code == 204
    assert api_client.get("/user/user1/").status_code == 404
    assert api_client_user1.get("/user/me/").status_code == 401
    assert root.delete("/user/user1/").status_code == 404


def test_a_superuser_s_deletion_of_himself_is_on_record(root):
    me = root.get("/user/me/").json()["id"]
    assert root.delete("/user/me/").status_code == 204
    acts = query("SELECT actor_id, actor, target_id, target, address FROM audit WHERE actor_id > 0")
    assert acts == [(me, "root", me, "root", "testclient")]
    assert "delete account" in command("audit")


def test_disable_and_enable(root, api_client, api_client_user1):
    post = api_client_user1.write()
    assert root.post("/user/user1/disable/").status_code == 204
    assert root.post("/user/user1/disable/").status_code == 204
    assert api_client_user1.get("/user/me/").status_code == 401
    assert api_client.get(f"/post/{post['id']}/").status_code == 200
    form = {"username": "user1", "password": "wrong"}
    assert api_client.post("/token", data=form).status_code == 401
    with pytest.raises(AssertionError, match="This account is disabled"):
        sign_in(api_client, "user1")
    assert root.delete("/user/user1/disable/").status_code == 204
    assert sign_in(api_client, "user1")
    assert root.post("/user/nobody/disable/").status_code == 404
    assert root.post("/user/root/disable/").json() == {"detail": "You cannot disable yourself"}


def test_a_refreshed_token_is_not_enough(root, api_client, api_client_user1):
    tokens = sign_in(api_client, "root", "1234")
    body = {"refresh_token": tokens["refresh_token"]}
    token = api_client.post("/refresh_token", json=body).json()["access_token"]
    client = Client(api_client, token)
    post = f"/post/{api_client_user1.write()['id']}/"
    calls = [("DELETE", "/user/user1/"), ("POST", "/user/user1/disable/"), ("DELETE", post)]
    for method, path in calls:
        response = client.request(method, path)
        assert (response.status_code, response.json()["detail"]) == (
            401,
            "A fresh sign-in is required",
        )


def test_a_disabled_account_has_no_access_however_it_came_about(api_client_user1):
    from sqlmodel import update

    from pamps.db import engine
    from pamps.models import User

    with engine.begin() as connection:
        connection.execute(update(User).values(disabled=True))
    assert api_client_user1.get("/user/me/").status_code == 401


def test_two_superusers_at_once(root, api_client, sign_up):
    for n in range(5):
        ana = sign_up(f"ana{n}")
        posts = [ana.write()["id"] for _ in range(2)]
        for path, missing in [(f"/post/{id}/", 404) for id in posts] + [(f"/user/ana{n}/", 404)]:
            calls = [lambda path=path: root.delete(path)] * 3
            statuses = sorted(response.status_code for response in at_once(*calls))
            assert statuses == [204, missing, missing]
    assert query("SELECT count(*) FROM audit WHERE actor_id IS NOT NULL") == [(15,)]


def test_what_is_written_to_the_terminal_is_only_text(api_client_user1):
    from pamps.db import engine
    from pamps.models import Audit

    fields = {"actor": "[/x]", "action": "[red]x", "target_id": 1, "target": "x", "address": "[b]"}
    with engine.begin() as connection:
        connection.execute(Audit.__table__.insert().values(fields))
    assert "[/x]" in command("audit")


def test_audit(root, api_client_user1, api_client_user2, caplog):
    post = api_client_user1.write()
    root.delete(f"/post/{post['id']}/")
    root.post("/user/user1/disable/")
    root.delete("/user/user1/disable/")
    root.delete("/user/user1/")
    command("promote", "user2")
    command("demote", "user2")
    command("delete-user", "--force", "user2")
    lines = [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in command("audit").splitlines()
        if line.startswith("│")
    ]
    somebody = pwd.getpwuid(os.getuid()).pw_name
    assert [line[1:] for line in lines] == [
        [somebody, "create superuser", "root", "terminal"],
        ["root", f"delete post {post['id']}", "user1", "testclient"],
        ["root", "disable account", "user1", "testclient"],
        ["root", "enable account", "user1", "testclient"],
        ["root", "delete account", "user1", "testclient"],
        [somebody, "promote", "user2", "terminal"],
        [somebody, "demote", "user2", "terminal"],
        [somebody, "delete account", "user2", "terminal"],
    ]
    assert "disable account" in caplog.messages
