"""Reposts; how they appear in timelines is tested by tests/test_timeline.py."""


def test_repost(api_client, api_client_user1, api_client_user2):
    post = api_client_user1.write()
    path = f"/post/{post['id']}/repost/"
    made, again = api_client_user2.post(path), api_client_user2.post(path)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert made.json().keys() == {"user_id", "post_id", "date"}
    assert (made.json()["user_id"], made.json()["post_id"]) == (api_client_user2.id, post["id"])
    assert api_client.get(f"/post/{post['id']}/").json()["repost_count"] == 1


def test_one_may_repost_ones_own_post(api_client, api_client_user1):
    post = api_client_user1.write()
    assert api_client_user1.post(f"/post/{post['id']}/repost/").status_code == 201
    assert api_client.ids(f"/post/{post['id']}/reposts/") == [api_client_user1.id]


def test_undo_a_repost(api_client, api_client_user1, api_client_user2):
    post = api_client_user1.write()
    api_client_user2.repost(post)
    for _ in range(2):
        assert api_client_user2.delete(f"/post/{post['id']}/repost/").status_code == 204
    assert api_client.get(f"/post/{post['id']}/").json()["repost_count"] == 0
    assert api_client.ids(f"/post/{post['id']}/reposts/") == []


def test_who_reposted_a_post(api_client, api_client_user1, api_client_user2):
    first, second = api_client_user1.write(), api_client_user1.write()
    for post in (first, second):
        api_client_user2.repost(post)
    api_client_user1.repost(first)
    reposters = api_client.get(f"/post/{first['id']}/reposts/").json()
    assert [user["username"] for user in reposters] == ["user1", "user2"]
    assert set(reposters[0]) == {"id", "username", "avatar", "bio"}


def test_reposted_is_the_callers_own(api_client, api_client_user1, api_client_user2):
    post = api_client_user1.write()
    api_client_user2.repost(post)
    clients = ((api_client, None), (api_client_user1, False), (api_client_user2, True))
    for client, reposted in clients:
        for path in ("/post/", "/post/user/user1/"):
            assert [item["reposted"] for item in client.get(path).json()] == [reposted], path
        assert client.get(f"/post/{post['id']}/").json()["reposted"] is reposted


def test_a_repost_goes_with_its_post_and_with_its_user(api_client, sign_up):
    ana, bia, caio = [sign_up(name) for name in ("ana", "bia", "caio")]
    kept, gone = ana.write(), ana.write()
    for user in (bia, caio):
        user.repost(kept)
        user.repost(gone)
    assert ana.delete(f"/post/{gone['id']}/").status_code == 204
    for method in ("POST", "DELETE"):
        assert bia.request(method, f"/post/{gone['id']}/repost/").status_code == 404
    assert api_client.get(f"/post/{gone['id']}/reposts/").status_code == 404
    assert bia.delete("/user/me/").status_code == 204
    assert api_client.ids(f"/post/{kept['id']}/reposts/") == [caio.id]
