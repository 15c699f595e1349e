"""The workshop's own tests, each standing alone, and its challenges."""

import pytest

from tests.helpers import Client


@pytest.fixture
def posts(api_client_user1: Client) -> list[dict]:
    """Two posts of user1."""
    return [api_client_user1.write(f"hello test {n}") for n in (1, 2)]


@pytest.fixture
def replies(api_client_user1: Client, api_client_user2: Client, posts: list[dict]) -> list[dict]:
    """A reply of each user to the first post."""
    clients = (api_client_user1, api_client_user2)
    return [client.write(f"reply from {client.username}", posts[0]["id"]) for client in clients]


def test_post_create_user1(api_client_user1):
    """Create 2 posts with user 1"""
    for n in (1, 2):
        response = api_client_user1.post("/post/", json={"text": f"hello test {n}"})
        assert response.status_code == 201
        result = response.json()
        assert result["text"] == f"hello test {n}"
        assert result["parent_id"] is None


def test_reply_on_post_1(api_client, api_client_user1, api_client_user2, posts):
    """each user will add a reply to the first post"""
    first_post = api_client.get("/post/user/user1/").json()[0]
    assert first_post["id"] == posts[0]["id"]
    for n, client in enumerate((api_client_user1, api_client_user2), 1):
        reply = {"text": f"reply from user{n}", "parent_id": first_post["id"]}
        response = client.post("/post/", json=reply)
        assert response.status_code == 201
        result = response.json()
        assert result["text"] == f"reply from user{n}"
        assert result["parent_id"] == first_post["id"]


def test_post_list_without_replies(api_client, posts, replies):
    response = api_client.get("/post/")
    assert response.status_code == 200
    results = response.json()
    assert len(results) == 2
    for result in results:
        assert result["parent_id"] is None
        assert "hello test" in result["text"]


def test_post1_detail(api_client, posts, replies):
    first_post = api_client.get("/post/user/user1/").json()[0]
    response = api_client.get(f"/post/{first_post['id']}/")
    assert response.status_code == 200
    result = response.json()
    assert result["id"] == first_post["id"]
    assert result["user_id"] == first_post["user_id"]
    assert result["text"] == "hello test 1"
    assert result["parent_id"] is None
    assert len(result["replies"]) == 2
    for reply in result["replies"]:
        assert reply["parent_id"] == first_post["id"]
        assert "reply from user" in reply["text"]


def test_all_posts_from_user1(api_client, posts, replies):
    response = api_client.get("/post/user/user1/")
    assert response.status_code == 200
    results = response.json()
    assert len(results) == 2
    for result in results:
        assert result["parent_id"] is None
        assert "hello test" in result["text"]


def test_all_posts_from_user1_with_replies(api_client, posts, replies):
    response = api_client.get("/post/user/user1/", params={"include_replies": True})
    assert response.status_code == 200
    assert len(response.json()) == 3


def test_challenge_social_and_timeline(api_client_user1, api_client_user2, posts):
    response = api_client_user2.post(f"/user/follow/{api_client_user1.id}")
    assert response.status_code == 201
    social = response.json()
    assert social["from_id"] == api_client_user2.id
    assert social["to_id"] == api_client_user1.id
    timeline = api_client_user2.get("/user/timeline")
    assert [post["text"] for post in timeline.json()] == ["hello test 2", "hello test 1"]


def test_challenge_like_and_likes_by_user(api_client, api_client_user2, posts):
    response = api_client_user2.post(f"/post/{posts[0]['id']}/like/")
    assert response.status_code == 201
    assert response.json()["post_id"] == posts[0]["id"]
    liked = api_client.get("/post/likes/user2/").json()
    assert [post["text"] for post in liked] == ["hello test 1"]
