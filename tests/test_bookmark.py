"""What is special about bookmarks; what all lists have in common is tested by tests/routes.py."""


def test_bookmarks_are_private(api_client_user1, api_client_user2):
    first, second = api_client_user2.write()["id"], api_client_user2.write()["id"]
    for post_id in (second, first):
        api_client_user1.post(f"/post/{post_id}/bookmark/")
    assert api_client_user1.ids("/user/me/bookmarks/") == [first, second]
    assert api_client_user2.ids("/user/me/bookmarks/") == []


def test_a_bookmark_is_made_once(api_client_user1, api_client_user2):
    post_id = api_client_user2.write()["id"]
    path = f"/post/{post_id}/bookmark/"
    made, again = api_client_user1.post(path), api_client_user1.post(path)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert made.json().keys() == {"user_id", "post_id", "date"}
    for _ in range(2):
        assert api_client_user1.delete(path).status_code == 204
    assert api_client_user1.ids("/user/me/bookmarks/") == []


def test_a_deleted_post_is_in_no_bookmarks(api_client_user1, api_client_user2):
    posts = [api_client_user2.write()["id"] for _ in range(2)]
    for post_id in posts:
        api_client_user1.post(f"/post/{post_id}/bookmark/")
    assert api_client_user2.delete(f"/post/{posts[1]}/").status_code == 204
    assert api_client_user1.ids("/user/me/bookmarks/") == posts[:1]
