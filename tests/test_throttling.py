"""Attempts that are limited: failed sign-ins, sign-ups, guesses."""

import hashlib
from datetime import timedelta

from tests import canary
from tests.databases import query
from tests.helpers import Client, at_once, command
from tests.servers import served

HERE, THERE = "192.0.2.1", "192.0.2.2"


def attempt(server: Client, address: str, password: str = "wrong", username: str = "user1"):
    form = {"username": username, "password": password}
    return Client(server, address=address).post("/token", data=form)


def statuses(server: Client, address: str, times: int, **fields: str) -> list[int]:
    return [attempt(server, address, **fields).status_code for _ in range(times)]


def later(minutes: int) -> None:
    """Makes all attempts so much older."""
    from pamps.db import engine
    from pamps.models import Attempt

    older = Attempt.__table__.update().values(date=Attempt.date - timedelta(minutes=minutes))
    with engine.begin() as connection:
        connection.execute(older)


def test_sign_in(api_client, api_client_user1, rate_limits, caplog):
    right = canary.password("user1")
    assert statuses(api_client, HERE, 5) == [401] * 5
    refused = attempt(api_client, HERE)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300
    assert refused.json()["error"] == "temporarily_unavailable"
    assert refused.json()["detail"].startswith("Too many attempts, try again in ")
    assert "attempt limit exceeded" in caplog.messages
    assert attempt(api_client, HERE, right).status_code == 429
    assert attempt(api_client, THERE, right).status_code == 200
    assert attempt(api_client, HERE, right).status_code == 429
    later(minutes=5)
    assert attempt(api_client, HERE, right).status_code == 200


def test_a_name_that_nobody_has_is_limited_too(api_client, rate_limits):
    assert statuses(api_client, HERE, 6, username="nobody") == [401] * 5 + [429]


def test_success_forgives_the_failures_before(api_client, api_client_user1, rate_limits):
    for _ in range(3):
        assert statuses(api_client, HERE, 4) == [401] * 4
        assert attempt(api_client, HERE, canary.password("user1")).status_code == 200


def test_an_account_is_limited_over_all_addresses(api_client, api_client_user1, rate_limits):
    for n in range(5):
        assert statuses(api_client, f"192.0.2.{n}", 5, username="USER1") == [401] * 5
    refused = attempt(api_client, "192.0.2.9")
    assert refused.status_code == 429
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    later(minutes=60)
    assert attempt(api_client, "192.0.2.9").status_code == 401


def test_many_guesses_at_once(api_client, api_client_user1, rate_limits):
    answers = at_once(*[lambda: attempt(api_client, HERE)] * 20)
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 15


def test_a_network_of_ipv6_is_one_address(api_client, api_client_user1, rate_limits):
    for n in range(5):
        assert attempt(api_client, f"2001:db8::{n}").status_code == 401
    assert attempt(api_client, "2001:db8::ffff:1").status_code == 429
    assert attempt(api_client, "2001:db8:0:1::").status_code == 401
    assert statuses(api_client, HERE, 5) == [401] * 5
    assert attempt(api_client, f"::ffff:{HERE}").status_code == 429


def test_the_current_password_is_no_way_round(api_client, api_client_user1, rate_limits):
    body = {"current_password": "wrong", "new_password": "x"}
    for status in (403, 403, 403, 403, 403, 429):
        response = api_client_user1.put("/user/me/password/", json=body)
        assert response.status_code == status


def test_nobody_is_believed_about_his_address(api_client, api_client_user1, rate_limits):
    form = {"username": "user1", "password": "wrong"}
    client = Client(api_client, address=HERE)
    answers = [
        client.post("/token", data=form, headers={"X-Forwarded-For": f"203.0.113.{n}"})
        for n in range(6)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


def test_sign_up(api_client, rate_limits):
    def sign_up(n: int, address: str = HERE) -> int:
        user = {"username": f"user{n}", "email": f"user{n}@pamps.com", "password": "x"}
        return Client(api_client, address=address).post("/user/", json=user).status_code

    assert [sign_up(n) for n in (1, 2, 3, 3, 4, 5)] == [201, 201, 201, 409, 201, 429]
    assert sign_up(6, THERE) == 201
    later(minutes=30)
    assert sign_up(5) == 201


def test_no_attempt_is_kept_in_plain(api_client, rate_limits):
    attempt(api_client, HERE, username="somebody")
    assert HERE not in str(query("SELECT attempt::text FROM attempt"))
    ((subject, address),) = query("SELECT subject, address FROM attempt")
    guesses = "somebody", "sign-in\0somebody", HERE
    assert {hashlib.sha256(guess.encode()).digest() for guess in guesses}.isdisjoint(
        {bytes(subject), bytes(address)}
    )


def test_an_address_that_is_none(api_client, api_client_user1, rate_limits):
    for strange in ("x" * 10_000, "[red]\x1b[31m"):
        assert attempt(api_client, strange, canary.password("user1")).status_code == 200


def test_e_mail_addresses_are_not_tried_one_by_one(api_client_user1, rate_limits):
    emails = [f"user{n}@pamps.com" for n in range(2, 8)]
    changes = [api_client_user1.patch("/user/me/", json={"email": email}) for email in emails]
    assert [response.status_code for response in changes] == [200] * 5 + [429]
    same = {"email": emails[4], "bio": "x"}
    assert api_client_user1.patch("/user/me/", json=same).status_code == 200


def test_an_administrator_lifts_it(api_client, api_client_user1, rate_limits):
    for n in range(5):
        assert statuses(api_client, f"192.0.2.{n}", 5) == [401] * 5
    for address in ("192.0.2.1", "192.0.2.9"):
        assert attempt(api_client, address, "new").status_code == 429
    command("set-password", "user1", stdin="new\nnew\n")
    for address in ("192.0.2.1", "192.0.2.9"):
        assert attempt(api_client, address, "new").status_code == 200


def test_nothing_is_limited_where_that_is_off(api_client, api_client_user1):
    assert statuses(api_client, HERE, 7) == [401] * 7
    assert query("SELECT count(*) FROM attempt") == [(0,)]
    assert "ratelimit-limit" not in api_client.get("/post/").headers


def test_the_database_s_clock_is_set_back(api_client, api_client_user1, rate_limits):
    """Nobody waits until it is as late as it was."""
    assert statuses(api_client, HERE, 6) == [401] * 5 + [429]
    later(minutes=-1440)
    assert attempt(api_client, HERE, canary.password("user1")).status_code == 200


def test_one_password_for_many_names(api_client, rate_limits, monkeypatch):
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.rate_limit), "sign_ins_per_address", "8/hour")
    answers = [attempt(api_client, HERE, username=f"user{n}") for n in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429]
    assert 3500 < int(answers[-1].headers["retry-after"]) <= 3600
    assert attempt(api_client, THERE, username="user9").status_code == 401


def test_limits_are_settings(api_client, rate_limits, monkeypatch):
    from pamps.config import settings

    limits = {"sign_ins": "2/minute", "sign_ins_per_account": "3/hour", "sign_ups": "1/day"}
    for name, limit in limits.items():
        monkeypatch.setitem(vars(settings.rate_limit), name, limit)
    user = {"username": "ana", "email": "ana@pamps.com", "password": canary.password("ana")}
    client = Client(api_client, address=HERE)
    assert [client.post("/user/", json=user).status_code for _ in range(2)] == [201, 429]
    assert statuses(api_client, HERE, 3, username="ana") == [401, 401, 429]
    assert statuses(api_client, THERE, 2, username="ana") == [401, 429]


def test_a_class_behind_one_address(other_database):
    settings = {"PAMPS_DB__uri": other_database, "PAMPS_SECURITY__ARGON2_MEMORY_COST": "8"}
    with served(settings) as (process, client):
        for n in range(40):
            user = {"username": f"user{n}", "email": f"user{n}@pamps.com", "password": "lalala"}
            assert client.post("/user/", json=user).status_code == 201
        process.terminate()


def test_blanks_around_a_name(api_client, api_client_user1, rate_limits):
    names = "user1", " user1", "user1\t", "\u00a0USER1 ", " user1 "
    answers = [attempt(api_client, HERE, username=name) for name in names]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert attempt(api_client, HERE).status_code == 429
    right = canary.password("user1")
    assert attempt(api_client, THERE, right, username=" user1 ").status_code == 200
