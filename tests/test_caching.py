"""Answers to reads: bytes that are what the documentation says, and no more of them than needed."""

import itertools
import json

import pytest
from pydantic import TypeAdapter
from sqlalchemy import make_url

from tests.conftest import Client
from tests.databases import disconnect, execute
from tests.test_counters import at_once

PATHS = ["/user/", "/user/ana/", "/user/ana/followers/", "/post/", "/post/user/ana/", "/post/{id}/"]
PATHS += ["/post/likes/ana/", "/post/{id}/replies/", "/post/{id}/likes/", "/user/timeline"]
PATHS += ["/user/me/", "/user/me/sessions/", "/user/ana/following/"]


@pytest.fixture
def ana(sign_up) -> Client:
    """Somebody about whom there is something in every list."""
    ana, bob = sign_up("ana", bio="Às vezes", avatar="https://example.com/a.png"), sign_up("bob")
    ana.post_id = ana.write()["id"]
    bob.write("a reply", ana.post_id)
    bob.follow(ana)
    ana.follow(bob)
    for client in (ana, bob):
        client.like({"id": ana.post_id})
    ana.patch(f"/post/{ana.post_id}/", json={"text": "edited"})
    return ana


def models() -> dict[str, object]:
    from pamps.routes import routes

    return {route.path: route.response_model for route in routes if "GET" in route.methods}


@pytest.mark.parametrize("path", PATHS)
def test_bytes_are_those_of_the_documented_model(ana, path):
    """Rows become JSON without their models, which are in the documentation all the same."""
    response = ana.get(path.format(id=ana.post_id))
    assert response.status_code == 200
    assert response.json()
    path = path.replace("{id}", "{post_id}").replace("/ana/", "/{username}/")
    adapter: TypeAdapter = TypeAdapter(models()[path])
    value = adapter.validate_python(response.json())
    assert json.loads(adapter.dump_json(value)) == response.json()


@pytest.mark.parametrize("path", PATHS)
def test_what_is_known_is_not_sent_again(ana, path):
    path = path.format(id=ana.post_id)
    first = ana.get(path)
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["vary"] == "Authorization"
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = ana.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    for other in ('"other"', first.headers["etag"].strip('"'), ""):
        assert ana.get(path, headers={"If-None-Match": other}).content == first.content


def test_a_user_sees_what_they_have_just_done(ana, api_client):
    def tags() -> list[str]:
        return [ana.get(path.format(id=ana.post_id)).headers["etag"] for path in PATHS[3:6]]

    seen = [tags()]
    for change in (
        lambda: ana.delete(f"/post/{ana.post_id}/like/"),
        lambda: ana.patch(f"/post/{ana.post_id}/", json={"text": "edited again"}),
        lambda: ana.patch("/user/me/", json={"avatar": None}),
    ):
        assert change().status_code in (200, 204)
        seen.append(tags())
    for before, after in itertools.pairwise(seen):
        assert all(old != new for old, new in zip(before, after, strict=True))
    # Somebody else's answer has another tag: it does not say what ana likes.
    assert api_client.get("/post/").headers["etag"] != tags()[0]


def test_times_are_in_utc_whatever_zone_the_database_is_in(ana):
    from pamps.db import database_url

    address = make_url(database_url())
    before = ana.get("/post/").json()
    execute(address, f"ALTER DATABASE {address.database} SET timezone = 'America/Sao_Paulo'")
    try:
        disconnect(address)
        assert ana.get("/post/").json() == before
        assert ana.write()["date"].endswith("Z")
    finally:
        execute(address, f"ALTER DATABASE {address.database} RESET timezone")
        disconnect(address)


def test_a_change_of_what_was_seen(ana):
    """If-Match: not of what somebody else has changed meanwhile."""
    path = f"/post/{ana.post_id}/"
    seen = ana.get(path).headers["etag"]
    first = ana.patch(path, json={"text": "one"}, headers={"If-Match": f'"other", {seen}'})
    assert first.status_code == 200
    assert first.headers["etag"] == ana.get(path).headers["etag"]
    for method, body in (("PATCH", {"text": "two"}), ("DELETE", None)):
        for stale in (seen, f"W/{first.headers['etag']}", "x"):
            refused = ana.request(method, path, json=body, headers={"If-Match": stale})
            assert refused.status_code == 412, stale
    assert ana.get(path).json()["text"] == "one"
    assert ana.patch(path, json={"text": "two"}, headers={"If-Match": "*"}).status_code == 200
    seen = ana.get(path).headers["etag"]
    assert ana.delete(path, headers={"If-Match": seen}).status_code == 204
    assert ana.delete(path, headers={"If-Match": seen}).status_code == 404


def test_a_change_of_the_profile_that_was_seen(ana):
    seen = ana.get("/user/me/").headers["etag"]
    change = {"bio": "one", "email": "new@pamps.com"}
    first = ana.patch("/user/me/", json=change, headers={"If-Match": seen})
    assert first.status_code == 200
    assert first.json() == ana.get("/user/me/").json()
    assert first.headers["etag"] == ana.get("/user/me/").headers["etag"]
    assert ana.patch("/user/me/", json={"bio": "2"}, headers={"If-Match": seen}).status_code == 412
    assert ana.delete("/user/me/", headers={"If-Match": seen}).status_code == 412
    seen = first.headers["etag"]
    assert ana.delete("/user/me/", headers={"If-Match": seen}).status_code == 204


def test_of_many_changes_of_what_was_seen_one_is_made(ana):
    path = f"/post/{ana.post_id}/"
    seen = {"If-Match": ana.get(path).headers["etag"]}
    changes = [lambda n=n: ana.patch(path, json={"text": f"{n}"}, headers=seen) for n in range(8)]
    statuses = sorted(answer.status_code for answer in at_once(*changes))
    assert statuses == [200] + [412] * 7
