"""Mutes."""


def test_mute(api_client_user1, api_client_user2):
    path = f"/user/mute/{api_client_user2.id}"
    response = api_client_user1.post(path)
    assert response.status_code == 201
    mute = response.json()
    assert set(mute) == {"from_id", "to_id", "date"}
    assert (mute["from_id"], mute["to_id"]) == (api_client_user1.id, api_client_user2.id)
    again = api_client_user1.post(path)
    assert (again.status_code, again.json()) == (200, mute)
    for _ in range(2):
        assert api_client_user1.delete(path).status_code == 204
    assert api_client_user1.ids("/user/me/mutes/") == []


def test_the_muted_never_learn_of_it(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    ana.follow(bia)
    bia.follow(ana)
    post, reply = ana.write(), bia.write()
    before = bia.get("/user/ana/").json()
    assert ana.post(f"/user/mute/{bia.id}").status_code == 201
    assert bia.get("/user/ana/").json() == before
    assert bia.ids("/post/") == [reply["id"], post["id"]]
    bia.like(post)
    assert bia.post(f"/post/{post['id']}/repost/").status_code == 201
    mention = bia.write("@ana", post["id"])
    assert mention["mentions"] == [{"id": ana.id, "username": "ana"}]
    assert bia.post(f"/user/follow/{ana.id}").status_code == 200


def test_what_a_mute_hides_and_what_not(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    ana.follow(bia)
    own, post = ana.write(), bia.write()
    reply = bia.write("reply", own["id"])
    ana.like(post)
    ana.post(f"/post/{post['id']}/bookmark/")
    assert ana.post(f"/user/mute/{bia.id}").status_code == 201
    assert ana.ids("/post/") == [own["id"]]
    assert ana.ids("/user/timeline") == []
    thread = f"/post/{own['id']}/"
    assert ana.ids(f"{thread}replies/") == []
    assert ana.get(thread).json()["replies"] == []
    for path in ("/post/likes/ana/", "/user/me/bookmarks/", "/post/user/bia/"):
        assert ana.ids(path) == [post["id"]]
    assert ana.get(f"/post/{reply['id']}/").status_code == 200
    assert ana.delete(f"/user/mute/{bia.id}").status_code == 204
    assert ana.ids("/post/") == [post["id"], own["id"]]
    assert [found["id"] for found in ana.get(thread).json()["replies"]] == [reply["id"]]


def test_pages_are_full_though_something_is_hidden(sign_up):
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    ana.follow(bia, caio)
    parent, seen, replies = ana.write(), [], []
    for _ in range(4):
        seen.append(bia.write()["id"])
        caio.write()
        replies.append(bia.write("reply", parent["id"])["id"])
        caio.write("reply", parent["id"])
    timeline = sorted(seen + replies)
    for noun in ("mute", "block"):
        if noun == "block":
            assert ana.delete(f"/user/mute/{caio.id}").status_code == 204
        assert ana.post(f"/user/{noun}/{caio.id}").status_code == 201
        for path, ids in (
            ("/post/", [parent["id"], *seen][::-1]),
            ("/user/timeline", timeline[::-1]),
            (f"/post/{parent['id']}/replies/", replies),
        ):
            pages = [[item["id"] for item in page] for page in ana.walk(f"{path}?limit=2")]
            assert pages == [ids[n : n + 2] for n in range(0, len(ids), 2)], path
