"""Streams of events. Others write by this process, and streams are those of another."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import psycopg2
import pytest
from sqlalchemy import make_url

from tests import streams
from tests.databases import disconnect, execute, here
from tests.helpers import Client, superuser
from tests.servers import free_port, served
from tests.streams import Events

METRICS_PORT = free_port()
SETTINGS = {
    "PAMPS_ENV": "testing",
    "PAMPS_LIVE__max_streams": "5",
    "PAMPS_LIVE__max_streams_per_caller": "3",
    "PAMPS_METRICS__port": str(METRICS_PORT),
    "PAMPS_SERVER__web": "false",
}


@pytest.fixture(scope="module")
def log() -> list[str]:
    return []


@pytest.fixture(scope="module")
def live(log: list[str]) -> Iterator[httpx.Client]:
    with served(SETTINGS, log=log) as (process, client):
        yield client
        process.terminate()


def value(name: str) -> float:
    """The value of a metric of the server, 0 before there is one."""
    text = httpx.get(f"http://127.0.0.1:{METRICS_PORT}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return sum(float(line.split()[1]) for line in lines)


@pytest.fixture(autouse=True)
def no_streams(live: httpx.Client) -> None:
    """Those of the test before have ended, so that the next one begins with the newest event."""
    while value("pamps_live_streams"):
        pass


@pytest.fixture
def ana(sign_up: Callable[..., Client]) -> Client:
    return sign_up("ana", avatar="https://example.com/a.png")


@pytest.fixture
def bob(sign_up: Callable[..., Client], ana: Client) -> Client:
    """Somebody whom ana follows."""
    bob = sign_up("bob")
    ana.follow(bob)
    return bob


def database(*statements: str) -> list:
    return execute(make_url(os.environ["PAMPS_DB__uri"]), *statements)


def stream(*args, **params) -> AbstractContextManager[Events]:
    """A stream that tells of nothing that is there already.

    It would of what a transaction in progress, in any database of the server, still holds up.
    """
    oldest = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    while database(f"SELECT FROM event WHERE xid >= {oldest}"):
        pass
    return streams.stream(*args, **params)


def test_a_timeline(live, ana, bob, sign_up):
    """What comes is what the timeline has, replies and reposts included, and nothing else."""
    eve, foe, dull = sign_up("eve"), sign_up("foe"), sign_up("dull")
    ana.follow(dull)
    ana.post(f"/user/mute/{dull.id}")
    ana.post(f"/user/block/{foe.id}")
    old = eve.write("old")
    ana.like(old)
    with stream(live, ana) as events:
        first = bob.write("first")
        bob.write("a reply", eve.write("of a stranger")["id"])
        for unseen in (dull.write("muted"), foe.write("blocked"), ana.write("her own")):
            bob.repost(unseen)
        dull.repost(old)
        bob.repost(old)
        found = [next(events) for _ in range(4)]
    kinds = [event.kind for event in found]
    assert kinds == ["post", "post", "notification", "post"]  # bob has reposted her own post
    entries = [event.data for event in found if event.kind == "post"]
    assert entries[::-1] == ana.get("/user/timeline").json()
    assert [entry["liked"] for entry in entries] == [False, False, True]
    assert entries[2]["reposted_by"]["username"] == "bob"
    assert entries[0]["id"] == first["id"]


def test_notifications(live, ana, bob):
    post = ana.write()
    with stream(live, ana) as events:
        bob.like(post)
        bob.write("@ana", post["id"])
        bob.post(f"/user/follow/{ana.id}")
        like, *others = (event.data for event in events_of(events, "notification", 3))
        listed = ana.get("/user/me/notifications/").json()[::-1]
        assert others == listed[1:]
        del (
            like["post"]["reply_count"],
            listed[0]["post"]["reply_count"],
        )  # was told before or after
        assert like == listed[0]
        bob.delete(f"/post/{post['id']}/like/")
        bob.like(post)
        assert next(events).data["kind"] == "like"


def events_of(events, kind: str, number: int) -> list:
    found = []
    while len(found) < number:
        if (event := next(events)).kind == kind:
            found.append(event)
    return found


def test_changes(live, ana, bob, sign_up):
    """They come to followers and to the author, and carry no more of what was deleted."""
    stranger, post = sign_up("stranger"), bob.write("one")
    with (
        stream(live, ana) as follower,
        stream(live, bob) as author,
        stream(live, stranger) as other,
    ):
        edited = bob.patch(f"/post/{post['id']}/", json={"text": "two"}).json()
        for events in (follower, author):
            assert next(events)[:2] == ("edited", edited)
        bob.delete(f"/post/{post['id']}/")
        for events in (follower, author):
            assert next(events)[:2] == ("deleted", {"id": post["id"]})
        stranger.follow(bob)
        bob.write("end")
        assert next(follower).data["text"] == next(other).data["text"] == "end"
        assert next(author).kind == "notification"  # of the follow


def test_home(live, ana, bob, api_client):
    """Whoever is not signed in gets posts that are no replies."""
    with stream(live) as events:
        first = ana.write("first")
        bob.repost(first)
        bob.write("a reply", first["id"])
        ana.patch(f"/post/{first['id']}/", json={"text": "edited"})
        bob.write("second")
        found = [next(events), next(events)]
    assert [event.kind for event in found] == ["post", "post"]
    home = api_client.get("/post/").json()
    assert [event.data["id"] for event in found] == [post["id"] for post in home[::-1]]
    assert found[1].data == home[0]


def test_what_was_missed(live, ana, bob):
    """It comes once and in order, by a header or in the query, and then what comes goes on."""
    with stream(live, ana) as events:
        bob.write("0")
        last = next(events).id
    for number in range(1, 121):
        bob.write(str(number))
    with stream(live, ana, last) as events, stream(live, ana, last_event_id=last) as others:
        bob.write("121")
        for each in (events, others):
            found = [next(each).data["text"] for _ in range(121)]
            assert found == [str(number) for number in range(1, 122)]


def test_nothing_was_missed(live, ana, bob):
    with stream(live, ana) as events:
        position = events.id
    with stream(live, ana, position) as events:
        assert events.id == position
        bob.write("new")
        assert next(events).data["text"] == "new"


@pytest.mark.parametrize("last", ["x", "1-1", "-1", "9" * 90, "é", "old"])
def test_unknown_positions(live, ana, bob, last):
    """One event says so, and the stream goes on from now."""
    bob.write("before")
    if last == "old":
        ((xid, id_),) = database("SELECT xid, id FROM event WHERE kind = 'post'")
        last = f"{xid}-{id_}"
        database("UPDATE event SET date = now() - interval '24 hours 1 second'")
        bob.write("after it")
    with stream(live, ana, last_event_id=last) as events:
        assert next(events)[:2] == ("reset", {})
        bob.write("now")
        assert next(events).data["text"] == "now"


def test_events_are_in_the_order_of_their_transactions(live, ana, bob):
    """Nothing overtakes a transaction that began before and is still in progress."""
    with stream(live, ana) as events, psycopg2.connect(os.environ["PAMPS_DB__uri"]) as slow:
        insert = "INSERT INTO event (kind, user_id, subject_id) VALUES ('deleted', %s, 7)"
        slow.cursor().execute(insert, [bob.id])
        bob.write("later")
        slow.commit()
        assert events.kinds(2) == ["deleted", "post"]


def test_lost_connections(live, ana, bob):
    with stream(live, ana) as events:
        for number in range(5):
            disconnect(here())
            bob.write(str(number))
            assert next(events).data["text"] == str(number)


def test_a_primary_that_has_lost_transactions(live, ana, bob):
    """Clients are told to read all anew: what they have seen may not exist."""
    bob.write("lost")
    with stream(live, ana) as events:
        database("DELETE FROM event")
        disconnect(here())
        assert next(events)[:2] == ("reset", {})
        bob.write("new")
        assert next(events).data["text"] == "new"


def test_tickets(live, log, ana, bob):
    ticket = ana.post("/live/ticket/").json()
    assert ticket["expires_in"] == 30
    with stream(live, ticket=ticket["ticket"]) as events:
        bob.write("hello")
        assert next(events).data["text"] == "hello"
    late, ended = (ana.post("/live/ticket/").json()["ticket"] for _ in range(2))
    database("UPDATE ticket SET expires = now() WHERE expires = (SELECT min(expires) FROM ticket)")
    ana.post("/logout", json={})
    for bad in (ticket["ticket"], late, ended, "", "x"):
        response = live.get("/live/", params={"ticket": bad})
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert not any(each in line for each in (ticket["ticket"], late, ended) for line in log)


@pytest.mark.parametrize("how", ["logout", "password", "delete", "disable", "expire"])
def test_a_stream_ends_with_its_session(live, ana, api_client, how):
    from tests import canary

    with stream(live, ana) as events:
        if how == "logout":
            ended = ana.post("/logout", json={})
        elif how == "password":
            words = canary.password("ana"), canary.password("new")
            body = dict(zip(("current_password", "new_password"), words, strict=True))
            ended = ana.put("/user/me/password/", json=body)
        elif how == "delete":
            ended = ana.delete("/user/me/")
        elif how == "disable":
            ended = superuser(api_client).post("/user/ana/disable/")
        else:
            database("UPDATE session SET expires = now()")
        assert how == "expire" or ended.is_success, ended.text
        assert list(events) == []


def test_limits(live, ana, bob):
    """Of one caller, and of the process."""
    with stream(live, ana), stream(live, ana), stream(live, ana):
        refused = live.get("/live/", headers=dict(ana.headers))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        with stream(live, bob), stream(live):
            refused = live.get("/live/", headers=dict(bob.headers))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    while live.head("/live/", headers=dict(ana.headers)).status_code != 200:
        pass  # the server has not yet seen that they are closed


def test_a_client_that_does_not_read(live, ana, bob):
    """It is cut off, and gets all that is left when it comes back."""
    number = 6_000
    post = bob.write("é" * 255)
    with stream(live, ana) as events, stream(live, bob) as reading:
        rows = f"SELECT 'edited', {bob.id}, {post['id']} FROM generate_series(1, {number})"
        database(f"INSERT INTO event (kind, user_id, subject_id) {rows}")
        for _ in range(number):
            last = next(reading).id
        before = sum(1 for _ in events)
        assert 0 < before < number
        position = events.id
    with stream(live, ana, position) as events:
        for _ in range(number - before):
            position = next(events).id
        assert position == last


def test_metrics(live, ana, bob):
    sent, measured = value("pamps_live_events_sent_total"), value("pamps_live_lag_seconds_count")
    with stream(live, ana) as events, stream(live):
        assert value("pamps_live_streams") == 2
        bob.write()
        next(events)
        # Both are counted after it was sent.
        while value("pamps_live_lag_seconds_count") == measured:
            pass
        assert value("pamps_live_events_sent_total") == sent + 2


def test_a_server_that_stops(ana, bob):
    """Its streams end at once, and their clients do not all come back at the same time."""
    with served(SETTINGS | {"PAMPS_METRICS__port": "0"}) as (process, client):
        with stream(client, ana) as events, stream(client) as others:
            bob.write("last")
            assert next(events).kind == next(others).kind == "post"
            process.terminate()
            for each in (events, others):
                each.retry = 0
                assert list(each) == []
                assert 1_000 <= each.retry <= 15_000
        assert process.wait(timeout=10) == 0


def test_events_are_deleted_after_a_day(ana, bob, api_client):
    from pamps.maintenance.cleanup import delete_expired

    for number in range(3):
        bob.write(str(number))
    database("UPDATE event SET date = now() - interval '26 hours'")
    bob.delete(f"/post/{bob.write()['id']}/")
    api_client.portal.call(delete_expired)
    assert database("SELECT kind FROM event ORDER BY id") == [("post",), ("deleted",)]
    database("UPDATE event SET date = now() - interval '26 hours'")
    api_client.portal.call(delete_expired)
    # Where those are who have read all.
    assert database("SELECT kind FROM event") == [("deleted",)]
