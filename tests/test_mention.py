"""Mentions and hashtags of a post: stored with it, found anew when it is edited."""

from tests.databases import query
from tests.helpers import at_once


def stored_tags() -> set[str]:
    return {tag for (tag,) in query("SELECT tag FROM tag")}


def named(post: dict) -> list[str]:
    return [user["username"] for user in post["mentions"]]


def test_a_post_has_its_mentions_and_hashtags(sign_up, api_client):
    ana, bia = sign_up("ana"), sign_up("Bia_1")
    post = ana.write("@bia_1, @nobody and @ANA: #Olá #olá (#são_joão) eu@bia_1.com")
    assert post["mentions"] == [
        {"id": bia.id, "username": "Bia_1"},
        {"id": ana.id, "username": "ana"},
    ]
    assert post["tags"] == ["olá", "são_joão"]
    read = api_client.get(f"/post/{post['id']}/").json()
    assert (read["mentions"], read["tags"]) == (post["mentions"], post["tags"])
    plain = ana.write("hello")
    assert (plain["mentions"], plain["tags"]) == ([], [])


def test_an_edit_finds_them_anew(sign_up):
    ana, _, _ = sign_up("ana"), sign_up("bia"), sign_up("caio")
    post = ana.write("@bia #one #two")
    path = f"/post/{post['id']}/"
    changed = ana.patch(path, json={"text": "@caio #two #three"}).json()
    assert (named(changed), changed["tags"]) == (["caio"], ["two", "three"])
    assert stored_tags() == {"two", "three"}
    assert ana.get(path).json()["mentions"] == changed["mentions"]
    changed = ana.patch(path, json={"text": "nothing"}).json()
    assert (changed["mentions"], changed["tags"]) == ([], [])
    assert stored_tags() == set()


def test_at_most_ten_are_mentioned(sign_up):
    users = [sign_up(f"user{n}") for n in range(12)]
    text = " ".join(f"@{user.username}" for user in reversed(users))
    assert named(users[0].write(f"@nobody {text}")) == [f"user{n}" for n in range(11, 1, -1)]


def test_a_deleted_user_is_no_longer_mentioned(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write("hello @bia")
    assert bia.delete("/user/me/").status_code == 204
    assert ana.get(f"/post/{post['id']}/").json()["mentions"] == []
    assert ana.write("hello @bia")["mentions"] == []


def test_hashtags_go_with_the_post(sign_up):
    ana = sign_up("ana")
    post = ana.write("#one")
    assert ana.delete(f"/post/{post['id']}/").status_code == 204
    assert stored_tags() == set()


def test_edits_at_once(sign_up):
    """The hashtags that are stored are those of the text that remains."""
    ana = sign_up("ana")
    path = f"/post/{ana.write('#none')['id']}/"
    edits = [lambda n=n: ana.patch(path, json={"text": f"#all #n{n}x"}) for n in range(20)]
    assert {response.status_code for response in at_once(*edits)} == {200}
    assert stored_tags() == set(ana.get(path).json()["tags"])
