"""Values that a request may have: names, addresses, visible text."""

import pytest

from tests.helpers import USER, assert_told


@pytest.mark.parametrize(
    "username",
    ["", "x" * 31, "a b", "a-b", "an\na", "\u0430na", "\u212aim", "ａｎａ", "ana\u200b", "me"],
)
def test_usernames(api_client, username):
    response = api_client.post("/user/", json=USER | {"username": username})
    assert_told(response)
    assert response.json()["detail"][0]["loc"] == ["body", "username"]


@pytest.mark.parametrize(
    "email", ["", "x", "a@b", "a b@pamps.com", "a@pamps..com", "<x>@pamps.com", f"{'x' * 250}@a.bc"]
)
def test_emails(api_client, email):
    response = api_client.post("/user/", json=USER | {"email": email})
    assert_told(response, email.encode())
    assert response.json()["detail"][0]["loc"] == ["body", "email"]


AVATARS = [
    *("http://a.b", "HTTPS://a.b/c.png?d=e#f", "http://127.0.0.1:8000/", "http://[::1]/a@b.png"),
    "https://example.com/%F0%9F%90%8D.png",
]


BAD_AVATARS = [
    *("", "x", "//a.b/c", "/c.png", "javascript:alert(1)", "data:image/png;base64,AA", "ftp://a.b"),
    *("http:a.b", "http:/a.b", "http:///a.b", "http://", "https://?x", "http://1.2.3.999/"),
    *("https://ana@a.b/c", "https://ana:secret@a.b/c", "https://@a.b/", "https://a.b\\@c.d/"),
    *("http://a.b:99999/", " http://a.b", "http://a.b ", "http://a.b/c d", "http://a.b/\t", "x\n"),
    *("http://a.b/\n", "http://a.b/\x7f", "http://a.b/\x85", "http://a.b/\u202egnp", "http://é.b"),
    *('http://a.b/"><script>', "http://a.b/'\"", "http://a.b/{x}", "http://a.b/\u200b"),
    "http://a.b/" + "x" * 245,
]


@pytest.mark.parametrize("avatar", AVATARS)
def test_avatars(sign_up, avatar):
    ana = sign_up("ana", avatar=avatar)
    assert ana.get("/user/ana/").json()["avatar"] == avatar
    assert ana.patch("/user/me/", json={"avatar": avatar}).json()["avatar"] == avatar


@pytest.mark.parametrize("avatar", BAD_AVATARS)
def test_avatars_that_are_no_address_of_a_picture(api_client, api_client_user1, avatar):
    for response in (
        api_client.post("/user/", json=USER | {"avatar": avatar}),
        api_client_user1.patch("/user/me/", json={"avatar": avatar}),
    ):
        assert_told(response, avatar.encode())
        assert response.json()["detail"][0]["loc"] == ["body", "avatar"]


INVISIBLE = [
    *(
        " ",
        "\n",
        "\t \r",
        "\x01",
        "\x7f",
        "\x9f",
        "\xa0",
        "\xad",
        "\u034f",
        "\u061c",
        "\u115f",
        "\u180e",
    ),
    *(
        "\u2003",
        "\u200b",
        "\u200d",
        "\u2028",
        "\u202e",
        "\u2060",
        "\u2800",
        "\u3000",
        "\u3164",
        "\ufe0f",
    ),
    *(
        "\ufeff",
        "\uffa0",
        "\ufffa",
        "\U0001d159",
        "\U000e0020",
        "\U000e01ef",
        " \u200b\u2800\x01\n" * 20,
    ),
]


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_texts_of_which_nothing_can_be_seen(api_client_user1, text):
    path = f"/post/{api_client_user1.write()['id']}/"
    for method, where, field in (
        ("post", "/post/", "text"),
        ("patch", path, "text"),
        ("patch", "/user/me/", "bio"),
    ):
        response = api_client_user1.request(method, where, json={field: text})
        assert_told(response)
        (told,) = response.json()["detail"]
        assert told["loc"] == ["body", field]
        assert told["msg"] == "String should have at least one visible character"


@pytest.mark.parametrize(
    "text",
    [
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "  x\u200b\n",
        "\x01.",
        "\u0301",
        "\U0001fae9",
        "\U000e0020a",
        "ا",
        "・",
    ],
    ids=ascii,
)
def test_texts_stay_as_they_are(api_client_user1, text):
    assert api_client_user1.write(text)["text"] == text
    assert api_client_user1.patch("/user/me/", json={"bio": text}).json()["bio"] == text
    assert api_client_user1.patch("/user/me/", json={"bio": ""}).json()["bio"] == ""
