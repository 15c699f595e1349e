"""A new password by mail."""

import pytest

from tests import canary
from tests.databases import execute, here, query
from tests.helpers import Client, assert_told, at_once, command, sign_in
from tests.mailbox import Mailbox, send_due, text_of, token_in, wait_for

NEW = canary.password("user1 from now on")
DEAD = {"detail": "This link has expired or was used; ask for another"}


def forget(client: Client, email: str = "user1@pamps.com", **options: object) -> None:
    response = client.post("/password/forgot/", json={"email": email}, **options)
    assert (response.status_code, response.content) == (202, b""), response.text


def reset(client: Client, token: str, password: str = NEW):
    return client.post("/password/reset/", json={"token": token, "new_password": password})


def test_a_link_is_good_once(api_client, api_client_user1, mailbox):
    forget(api_client)
    token = mailbox.token()
    assert reset(api_client, token).status_code == 204
    assert sign_in(api_client, "user1", NEW)
    assert api_client_user1.get("/user/me/").status_code == 401
    for _ in range(2):
        used = reset(api_client, token, "another")
        assert (used.status_code, used.json()) == (403, DEAD)
    assert sign_in(api_client, "user1", NEW)


def test_of_many_uses_at_once_one_succeeds(api_client, api_client_user1, mailbox):
    forget(api_client)
    token = mailbox.token()
    calls = [lambda n=n: reset(api_client, token, f"{NEW} {n}") for n in range(6)]
    assert sorted(response.status_code for response in at_once(*calls)) == [204] + [403] * 5


def test_a_link_is_dead_after_an_hour(api_client, api_client_user1, mailbox):
    forget(api_client)
    token = mailbox.token()
    older = "UPDATE mail SET expires = expires - interval '{} minutes'"
    execute(here(), older.format(59))
    assert query("SELECT expires > now() FROM mail") == [(True,)]
    execute(here(), older.format(1))
    assert reset(api_client, token).json() == DEAD
    assert sign_in(api_client, "user1")


@pytest.mark.parametrize("way", ["by its owner", "at a terminal", "by another link"])
def test_a_link_is_dead_after_a_change_of_the_password(api_client, api_client_user1, mailbox, way):
    forget(api_client)
    token = mailbox.token()
    if way == "by its owner":
        body = {"current_password": canary.password("user1"), "new_password": NEW}
        assert api_client_user1.put("/user/me/password/", json=body).status_code == 204
    elif way == "at a terminal":
        command("set-password", "user1", stdin=f"{NEW}\n{NEW}\n")
    else:
        forget(api_client)
        assert reset(api_client, mailbox.token()).status_code == 204
    assert reset(api_client, token, "another").json() == DEAD
    assert sign_in(api_client, "user1", NEW)


def test_a_link_is_dead_after_a_change_of_the_address(api_client, api_client_user1, mailbox):
    forget(api_client)
    token = mailbox.token()
    assert api_client_user1.patch("/user/me/", json={"email": "b@pamps.com"}).status_code == 200
    assert reset(api_client, token).json() == DEAD


def test_a_link_of_an_account_that_is_disabled_or_deleted(api_client, sign_up, mailbox):
    sign_up("user1")
    forget(api_client)
    token = mailbox.token()
    execute(here(), 'UPDATE "user" SET disabled = true')
    assert reset(api_client, token).json() == DEAD
    execute(here(), 'UPDATE "user" SET disabled = false')
    command("delete-user", "user1", "--force")
    assert reset(api_client, token).json() == DEAD


def test_a_token_that_was_never_made(api_client, api_client_user1, mailbox):
    forget(api_client)
    token = mailbox.token()
    for wrong in ("x", "", token[:-1], f"{token}x", token.swapcase(), "é" * 43):
        assert reset(api_client, wrong).json() == DEAD
    assert reset(api_client, token).status_code == 204


def test_the_rules_for_passwords_hold(api_client, api_client_user1, mailbox, monkeypatch):
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "PASSWORD_REFUSE_WEAK", True)
    forget(api_client)
    token = mailbox.token()
    for bad in ("", "x" * 129, "USER1", "user1@PAMPS.com", "Password1"):
        refused = reset(api_client, token, bad)
        assert_told(refused)
        assert refused.json()["detail"][0]["loc"] == ["body", "new_password"]
    assert reset(api_client, token).status_code == 204


def test_nobody_learns_who_has_an_address(api_client, api_client_user1, mailbox):
    """Who it is is looked up in the background, and there is no mail for nobody."""
    for email in ("nobody@pamps.com", "USER1@Pamps.com", "user1@pamps.com"):
        forget(api_client, email)
    assert {mailbox.get()["To"], mailbox.get()["To"]} == {"user1@pamps.com"}
    wait_for("SELECT count(*) FROM mail WHERE recipient LIKE 'nobody%'", 0)
    assert mailbox.mails.empty()
    assert_told(api_client.post("/password/forgot/", json={"email": "nobody"}))


def test_three_mails_an_hour_for_one_address(api_client, api_client_user1, mailbox, rate_limits):
    answers = [
        Client(api_client, address=f"192.0.2.{n}").post(
            "/password/forgot/", json={"email": "user1@pamps.com" if n % 2 else "User1@pamps.COM"}
        )
        for n in range(10)
    ]
    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 7
    assert 3500 < int(answers[-1].headers["retry-after"]) <= 3600
    own = api_client_user1.post("/user/me/email/verify/")
    assert own.status_code == 429
    for _ in range(3):
        mailbox.get()
    wait_for("SELECT count(*) FROM mail WHERE next_attempt IS NOT NULL", 0)
    assert mailbox.mails.empty()


def test_one_client_asks_for_many_addresses(api_client, rate_limits):
    client = Client(api_client, address="192.0.2.1")
    for n in range(20):
        forget(client, f"nobody{n}@pamps.com")
    refused = client.post("/password/forgot/", json={"email": "nobody@pamps.com"})
    assert refused.status_code == 429


def test_tokens_are_not_guessed(api_client, rate_limits, monkeypatch):
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.rate_limit), "sign_ins_per_address", "3/hour")
    client = Client(api_client, address="192.0.2.1")
    assert [reset(client, "wrong").status_code for _ in range(4)] == [403] * 3 + [429]
    answer = client.post("/email/verify/", json={"token": "wrong"})
    assert answer.status_code == 429


def test_failed_sign_ins_are_forgiven(api_client, api_client_user1, mailbox, rate_limits):
    form = {"username": "user1", "password": "wrong"}
    assert [api_client.post("/token", data=form).status_code for _ in range(6)][-1] == 429
    forget(api_client)
    assert reset(api_client, mailbox.token()).status_code == 204
    assert sign_in(api_client, "user1", NEW)


def test_what_is_sent_again_is_done_once(api_client, api_client_user1, mailbox):
    """With an Idempotency-Key: one mail, and the first answer of a reset."""
    for _ in range(2):
        forget(api_client, headers={"Idempotency-Key": "forgot"})
    token = mailbox.token()
    body = {"token": token, "new_password": NEW}
    for _ in range(2):
        answer = api_client.post("/password/reset/", json=body, headers={"Idempotency-Key": "x"})
        assert answer.status_code == 204
    assert sign_in(api_client, "user1", NEW)
    wait_for("SELECT count(*) FROM mail", 0)
    assert mailbox.mails.empty()


def test_no_token_is_stored_or_logged(api_client, api_client_user1, mailbox, caplog):
    caplog.set_level("INFO")
    forget(api_client)
    token = mailbox.token()
    ((row,),) = query("SELECT mail::text FROM mail")
    assert token not in row
    assert token.encode().hex() not in row
    reset(api_client, "wrong")
    reset(api_client, token)
    own = [record for record in caplog.records if record.name.startswith("pamps")]
    records = str([vars(record) for record in own])
    assert "password reset" in records
    assert "mail sent" in records
    assert token not in records
    assert "user1@" not in records


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("", "Choose a new password:"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "Escolher uma nova senha:"),
        ("en-GB, pt;q=0.5", "Choose a new password:"),
        ("de, pt-PT;q=0.5", "Escolher uma nova senha:"),
        ("pt;q=0", "Choose a new password:"),
    ],
)
def test_the_language_is_that_of_the_request(
    api_client, api_client_user1, mailbox, accepted, words
):
    forget(api_client, headers={"Accept-Language": accepted})
    assert words in text_of(mailbox.get())


def test_a_used_link_is_not_sent_again(api_client, api_client_user1, mailbox):
    """Not even if it is not known whether the first mail has arrived."""
    mailbox.replies["DATA"] = Mailbox.DROP
    forget(api_client)
    token = token_in(mailbox.get())
    wait_for("SELECT count(*) FROM mail WHERE next_attempt > now() + interval '1 s'", 1)
    del mailbox.replies["DATA"]
    assert reset(api_client, token).status_code == 204
    send_due(api_client)
    assert query("SELECT count(*) FROM mail") == [(0,)]
    assert reset(api_client, token, "another").json() == DEAD
    assert mailbox.mails.empty()
