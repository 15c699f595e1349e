"""Blocks."""

import pytest

from tests.databases import assert_counters_are_true


def test_block(api_client_user1, api_client_user2):
    path = f"/user/block/{api_client_user2.id}"
    response = api_client_user1.post(path)
    assert response.status_code == 201
    block = response.json()
    assert set(block) == {"from_id", "to_id", "date"}
    assert (block["from_id"], block["to_id"]) == (api_client_user1.id, api_client_user2.id)
    again = api_client_user1.post(path)
    assert (again.status_code, again.json()) == (200, block)
    for _ in range(2):
        assert api_client_user1.delete(path).status_code == 204
    assert api_client_user1.ids("/user/me/blocks/") == []


@pytest.mark.parametrize("noun", ["block", "mute"])
def test_whom_nobody_can_block_or_mute(api_client_user1, noun):
    path = f"/user/{noun}/{api_client_user1.id}"
    assert api_client_user1.post(path).json() == {"detail": "You cannot do this to yourself"}
    assert api_client_user1.post(path).status_code == 400
    assert api_client_user1.delete(path).status_code == 204
    for method in ("POST", "DELETE"):
        response = api_client_user1.request(method, f"/user/{noun}/1000000000")
        assert (response.status_code, response.json()) == (404, {"detail": "User not found"})


@pytest.mark.parametrize("noun", ["block", "mute"])
def test_lists_are_private_and_the_latest_is_first(api_client, sign_up, noun):
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    for other in (caio, bia):
        ana.post(f"/user/{noun}/{other.id}")
    assert ana.ids(f"/user/me/{noun}s/") == [bia.id, caio.id]
    assert bia.ids(f"/user/me/{noun}s/") == []
    assert bia.delete("/user/me/").status_code == 204
    assert ana.ids(f"/user/me/{noun}s/") == [caio.id]
    assert ana.post(f"/user/{noun}/{bia.id}").status_code == 404


@pytest.mark.parametrize("first_blocks", [True, False])
def test_a_block_ends_follows_in_both_directions(sign_up, first_blocks):
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    for user in (ana, bia, caio):
        user.follow(*{ana, bia, caio} - {user})
    one, other = (ana, bia) if first_blocks else (bia, ana)
    assert one.post(f"/user/block/{other.id}").status_code == 201
    for user in (ana, bia):
        assert user.ids(f"/user/{user.username}/followers/") == [caio.id]
        assert user.ids(f"/user/{user.username}/following/") == [caio.id]
        me = user.get("/user/me/").json()
        assert (me["follower_count"], me["following_count"]) == (1, 1)
    assert_counters_are_true()


def test_neither_can_do_anything_to_the_other(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    posts = {ana: bia.write()["id"], bia: ana.write()["id"]}
    ids = {ana: bia.id, bia: ana.id}

    def act(user) -> list[int]:
        post_id = posts[user]
        responses = [
            user.post(f"/post/{post_id}/like/"),
            user.post(f"/post/{post_id}/repost/"),
            user.post("/post/", json={"text": "x", "parent_id": post_id}),
            user.post(f"/user/follow/{ids[user]}"),
        ]
        for response in responses:
            if response.status_code == 403:
                assert response.json() == {"detail": "You cannot do this"}
        return [response.status_code for response in responses]

    assert ana.post(f"/user/block/{bia.id}").status_code == 201
    for user in (ana, bia):
        assert act(user) == [403] * 4
        for path in ("like", "repost"):
            assert user.delete(f"/post/{posts[user]}/{path}/").status_code == 204
        assert user.post(f"/post/{posts[user]}/bookmark/").status_code == 201
        assert user.get(f"/post/{posts[user]}/").status_code == 404
        assert user.get(f"/post/{posts[user]}/replies/").status_code == 404
    assert_counters_are_true()
    assert ana.delete(f"/user/block/{bia.id}").status_code == 204
    for user in (ana, bia):
        assert act(user) == [201] * 4
    assert_counters_are_true()


def test_what_is_not_there_is_a_404_and_not_a_403(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    gone = bia.write()["id"]
    ana.post(f"/user/block/{bia.id}")
    bia.delete(f"/post/{gone}/")
    for path in (f"/post/{gone}/like/", f"/post/{gone}/repost/"):
        assert ana.post(path).status_code == 404
    assert ana.post("/post/", json={"text": "x", "parent_id": gone}).status_code == 404


def test_the_other_persons_posts_are_not_there_to_change(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    path = f"/post/{bia.write()['id']}/"
    ana.post(f"/user/block/{bia.id}")
    assert ana.patch(path, json={"text": "x"}).status_code == 404
    assert ana.delete(path).status_code == 404
    assert bia.patch(path, json={"text": "edited"}).status_code == 200
    assert bia.delete(path).status_code == 204


def test_superusers_delete_posts_of_those_who_block_them(sign_up, api_client):
    from tests.helpers import superuser

    ana, root = sign_up("ana"), superuser(api_client)
    post_id, root_id = ana.write()["id"], root.get("/user/me/").json()["id"]
    assert ana.post(f"/user/block/{root_id}").status_code == 201
    assert root.get(f"/post/{post_id}/").status_code == 404
    assert root.delete(f"/post/{post_id}/").status_code == 204


def test_a_mention_across_a_block_is_plain_text(api_client, sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    named = [{"id": bia.id, "username": "bia"}]
    before = ana.write("oi @bia")
    assert before["mentions"] == named
    for blocker, other in ((ana, bia), (bia, ana)):
        path = f"/user/block/{other.id}"
        assert blocker.post(path).status_code == 201
        after = ana.write("oi @bia")
        assert after["mentions"] == []
        assert bia.ids("/user/me/notifications/") == []
        for post in (before, after):
            for client in (api_client, ana):
                assert client.get(f"/post/{post['id']}/").json()["mentions"] == []
        assert blocker.delete(path).status_code == 204
        assert api_client.get(f"/post/{before['id']}/").json()["mentions"] == named


def test_a_block_and_a_mute_delete_notifications(sign_up):
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")

    def meet() -> None:
        post = ana.write()["id"]
        for user in (bia, caio):
            user.write("@ana", post)
            user.post(f"/post/{post}/like/")
        ana.write("@bia @caio")

    def told(user) -> list[str]:
        found = user.get("/user/me/notifications/").json()
        assert user.get("/user/me/").json()["unread_count"] == len(found)
        return [f"{item['kind']} {item['user']['username']}" for item in found]

    by_both = ["like caio", "reply caio", "like bia", "reply bia"]
    meet()
    assert (told(ana), told(bia), told(caio)) == (by_both, ["mention ana"], ["mention ana"])
    assert ana.post(f"/user/mute/{bia.id}").status_code == 201
    assert (told(ana), told(bia)) == (by_both[:2], ["mention ana"])
    meet()
    assert (told(ana), told(bia)) == (by_both[:2] * 2, ["mention ana"] * 2)
    assert ana.delete(f"/user/mute/{bia.id}").status_code == 204
    assert ana.post(f"/user/block/{bia.id}").status_code == 201
    assert (told(ana), told(bia), told(caio)) == (by_both[:2] * 2, [], ["mention ana"] * 2)
