"""Answers to reads: bytes that are what the documentation says, and no more of them than needed."""

import itertools
import json
from urllib.parse import urljoin

import pytest
from pydantic import TypeAdapter
from sqlalchemy import make_url

from tests import canary
from tests.databases import disconnect, execute
from tests.helpers import Client, at_once
from tests.routes import READS, Crowd

EACH = pytest.mark.parametrize("route", READS, ids=lambda route: route.name)
POSTS = ["/post/", "/post/user/ana/", "/post/{id}/"]


@pytest.fixture
def crowd(api_client, sign_up) -> Crowd:
    """Somebody about whom there is something in every list."""
    return Crowd(api_client, sign_up, 1)


@pytest.fixture
def ana(crowd) -> Client:
    ana = crowd.ana
    ana.post_id = crowd.post_id
    ana.like({"id": ana.post_id})
    return ana


def models() -> dict[str, object]:
    from pamps.routes import routes

    return {route.path: route.response_model for route in routes if "GET" in route.methods}


@EACH
def test_bytes_are_those_of_the_documented_model(crowd, route):
    """Rows become JSON without their models, which are in the documentation all the same."""
    response = crowd.ana.get(crowd.path(route))
    assert response.status_code == 200
    assert response.json()
    adapter: TypeAdapter = TypeAdapter(models()[route.path])
    value = adapter.validate_python(response.json())
    assert json.loads(adapter.dump_json(value)) == response.json()


@EACH
def test_what_is_known_is_not_sent_again(crowd, route):
    ana, path = crowd.ana, crowd.path(route)
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
        return [ana.get(path.format(id=ana.post_id)).headers["etag"] for path in POSTS]

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


# What proxies that compress make of an ETag: nginx, Apache, others.
ALTERED = ["{0}", "W/{0}", '"{1}-gzip"', '"{1}-br"', '"{1}-zstd"', 'W/"{1}-gzip"', '"{1};gzip"']


def altered(tag: str) -> list[str]:
    return [form.format(tag, tag.strip('"')) for form in ALTERED]


@EACH
def test_a_tag_is_known_as_proxies_write_it(crowd, route):
    ana, path = crowd.ana, crowd.path(route)
    tag = ana.get(path).headers["etag"]
    for known in altered(tag):
        assert ana.get(path, headers={"If-None-Match": known}).status_code == 304, known
        assert ana.get(path, headers={"If-None-Match": f'"x", {known}'}).status_code == 304, known
    for other in ('"x"', tag.strip('"'), f'"{tag[1:-1]}-x"', f'"x{tag[1:]}', f"W/{tag[1:]}"):
        assert ana.get(path, headers={"If-None-Match": other}).status_code == 200, other


def test_a_change_of_what_was_seen(ana):
    """If-Match: not of a text that was edited meanwhile."""
    path = f"/post/{ana.post_id}/"
    seen = ana.get(path).headers["etag"]
    first = ana.patch(path, json={"text": "one"}, headers={"If-Match": f'"other", {seen}'})
    assert first.status_code == 200
    assert first.headers["etag"] == ana.get(path).headers["etag"]
    elsewhere = ana.get(f"/post/{ana.write('one')['id']}/").headers["etag"]
    for method, body in (("PATCH", {"text": "two"}), ("DELETE", None)):
        for stale in (*altered(seen), elsewhere, ana.get("/post/").headers["etag"], "x", ""):
            refused = ana.request(method, path, json=body, headers={"If-Match": stale})
            assert refused.status_code == 412, stale
    assert ana.get(path).json()["text"] == "one"
    for n, form in enumerate(altered(first.headers["etag"])):
        ana.patch(path, json={"text": "one"})
        changed = ana.patch(path, json={"text": f"{n}"}, headers={"If-Match": form})
        assert changed.status_code == 200, form
    assert ana.patch(path, json={"text": "two"}, headers={"If-Match": "*"}).status_code == 200
    seen = ana.get(path).headers["etag"]
    assert ana.delete(path, headers={"If-Match": seen}).status_code == 204
    assert ana.delete(path, headers={"If-Match": seen}).status_code == 404


def test_a_change_whatever_others_did_meanwhile(ana, api_client, sign_up):
    """Neither overwrites it what they did, nor does it matter with whose token the ETag was got."""
    eve, path = sign_up("eve"), f"/post/{ana.post_id}/"
    for happens in (
        lambda: eve.like({"id": ana.post_id}),
        lambda: [eve.write("reply", ana.post_id) for _ in range(25)],
        lambda: ana.delete(f"{path}like/"),
        lambda: ana.patch("/user/me/", json={"avatar": "https://example.com/b.png"}),
    ):
        seen = {client.get(path).headers["etag"] for client in (ana, api_client, eve)}
        happens()
        assert ana.get(path).headers["etag"] not in seen
        for tag in seen:
            answer = ana.patch(path, json={"text": "edited"}, headers={"If-Match": tag})
            assert answer.status_code == 200
            assert answer.headers["etag"] == ana.get(path).headers["etag"]
    seen = api_client.get(path).headers["etag"]
    eve.like({"id": ana.post_id})
    assert ana.delete(path, headers={"If-Match": seen}).status_code == 204


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


@pytest.mark.parametrize("change", [{"bio": "x"}, {"avatar": None}, {"email": "x@pamps.com"}])
def test_a_change_of_a_profile_that_others_follow(ana, sign_up, change):
    eve = sign_up("eve")
    for happens in (lambda: eve.follow(ana), lambda: ana.write(), lambda: ana.follow(eve)):
        seen = ana.get("/user/me/").headers["etag"]
        happens()
        assert ana.get("/user/me/").headers["etag"] != seen
        for form in altered(seen):
            headers = {"If-Match": form}
            assert ana.patch("/user/me/", json={}, headers=headers).status_code == 200
    seen = ana.get("/user/me/").headers["etag"]
    assert ana.patch("/user/me/", json=change).status_code == 200
    for method in ("PATCH", "DELETE"):
        answer = ana.request(method, "/user/me/", json={}, headers={"If-Match": seen})
        assert answer.status_code == 412


@pytest.mark.parametrize("field", ["text", "bio"])
def test_of_many_changes_of_what_was_seen_one_is_made(ana, field):
    path = "/user/me/" if field == "bio" else f"/post/{ana.post_id}/"
    seen = {"If-Match": ana.get(path).headers["etag"]}
    changes = [lambda n=n: ana.patch(path, json={field: f"{n}"}, headers=seen) for n in range(8)]
    statuses = sorted(answer.status_code for answer in at_once(*changes))
    assert statuses == [200] + [412] * 7


def test_what_was_made_is_where_location_says(sign_up, api_client):
    """And has the tag that it is answered with there, with the slash and without."""
    ana = sign_up("ana")
    account = {"email": "bia@pamps.com", "username": "Bia", "password": canary.password("bia")}
    for client, path, body, location in (
        (ana, "/post/", {"text": "a"}, "{id}/"),
        (ana, "/post", {"text": "b"}, "post/{id}/"),
        (api_client, "/user/", account, "Bia/"),
    ):
        made = client.post(path, json=body, headers={"Idempotency-Key": path})
        assert made.status_code == 201
        assert made.headers["Location"] == location.format(**made.json())
        address = urljoin(path, made.headers["Location"])
        known = client.get(address, headers={"If-None-Match": made.headers["ETag"]})
        assert (known.status_code, known.headers["ETag"]) == (304, made.headers["ETag"])
        again = client.post(path, json=body, headers={"Idempotency-Key": path})
        for header in ("Location", "ETag", "Content-Type", "Content-Length"):
            assert again.headers[header] == made.headers[header]
        assert again.content == made.content
    post = ana.post("/post/", json={"text": "d"})
    for tag, status in (('"x"', 412), (post.headers["ETag"], 200)):
        path, headers = f"/post/{post.json()['id']}/", {"If-Match": tag}
        assert ana.patch(path, json={"text": "e"}, headers=headers).status_code == status
