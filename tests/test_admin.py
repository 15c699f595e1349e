"""Superusers: made at a terminal, what they may do, and what is on record of it."""

import getpass

import pytest

from tests.conftest import Client, sign_in
from tests.test_cli import command, query


def superuser(server: Client) -> Client:
    """A client that is signed in as a superuser, `root`."""
    command("create-user", "root@pamps.com", "root", "1234", "--superuser")
    return Client(server, sign_in(server, "root", "1234")["access_token"])


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
    for method, path in (("DELETE", "/user/user1/"), ("POST", "/user/user1/disable/")):
        response = client.request(method, path)
        assert (response.status_code, response.json()["detail"]) == (
            401,
            "A fresh sign-in is required",
        )


def test_audit(root, api_client_user1, api_client_user2, caplog):
    post = api_client_user1.write()
    root.delete(f"/post/{post['id']}/")
    root.post("/user/user1/disable/")
    root.delete("/user/user1/disable/")
    root.delete("/user/user1/")
    command("promote", "user2")
    command("demote", "user2")
    command("delete-user", "user2")
    lines = [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in command("audit").splitlines()
        if line.startswith("│")
    ]
    somebody = getpass.getuser()
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
