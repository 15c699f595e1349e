"""Likes."""

from tests.helpers import Client


def test_like(api_client_user1, api_client_user2):
    post = api_client_user1.write()
    path = f"/post/{post['id']}/like/"
    response = api_client_user2.post(path)
    assert response.status_code == 201
    like = response.json()
    assert set(like) == {"user_id", "post_id", "date"}
    assert (like["user_id"], like["post_id"]) == (api_client_user2.id, post["id"])
    again = api_client_user2.post(path)
    assert again.status_code == 200
    assert again.json() == like
    assert api_client_user1.post(path).status_code == 201
    assert api_client_user1.get(f"/post/{post['id']}/").json()["like_count"] == 2


def test_unlike(api_client, api_client_user1):
    post = api_client_user1.write()
    api_client_user1.like(post)
    for _ in range(2):
        assert api_client_user1.delete(f"/post/{post['id']}/like/").status_code == 204
    assert api_client.get(f"/post/{post['id']}/").json()["like_count"] == 0
    assert api_client.get("/post/likes/user1/").json() == []


def test_liked_posts_and_likers(api_client, api_client_user1: Client, api_client_user2: Client):
    first, second = api_client_user1.write(), api_client_user1.write()
    reply = api_client_user1.write("reply", first["id"])
    for post in (second, reply, first):
        api_client_user2.like(post)
    api_client_user1.like(first)
    liked = [first["id"], reply["id"], second["id"]]
    assert api_client.ids("/post/likes/user2/") == liked
    likers = api_client.get(f"/post/{first['id']}/likes/").json()
    assert [user["username"] for user in likers] == ["user1", "user2"]
    assert set(likers[0]) == {"id", "username", "avatar", "bio"}


def test_liked_is_the_callers_own(api_client, api_client_user1, api_client_user2):
    post = api_client_user1.write()
    api_client_user2.like(post)
    lists = ["/post/", "/post/user/user1/", "/post/likes/user2/"]
    for client, liked in ((api_client, None), (api_client_user1, False), (api_client_user2, True)):
        for path in lists:
            assert [item["liked"] for item in client.get(path).json()] == [liked], path
        assert client.get(f"/post/{post['id']}/").json()["liked"] is liked
