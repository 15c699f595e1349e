"""Verifying an e-mail address, and changing it."""

import pytest

from tests.databases import execute, here, query
from tests.helpers import Client, at_once, command
from tests.mailbox import send_due, text_of, wait_for
from tests.test_mail_reset import DEAD

NEW = "ana@pamps.com"


def ask(client: Client, **options: object) -> int:
    response = client.post("/user/me/email/verify/", **options)
    assert response.content == b""
    return response.status_code


def verify(client: Client, token: str):
    return client.post("/email/verify/", json={"token": token})


def is_verified(client: Client) -> bool:
    verified: bool = client.get("/user/me/").json()["email_verified"]
    return verified


def test_a_link_is_good_once_in_any_browser(api_client, api_client_user1, mailbox):
    assert not is_verified(api_client_user1)
    assert ask(api_client_user1) == 202
    token = mailbox.token()
    assert verify(api_client, token).status_code == 204
    assert is_verified(api_client_user1)
    used = verify(api_client, token)
    assert (used.status_code, used.json()) == (403, DEAD)
    assert ask(api_client_user1) == 204
    assert query("SELECT count(*) FROM mail") == [(0,)]


def test_of_many_uses_at_once_one_succeeds(api_client, api_client_user1, mailbox):
    ask(api_client_user1)
    token = mailbox.token()
    answers = at_once(*[lambda: verify(api_client, token)] * 6)
    assert sorted(answer.status_code for answer in answers) == [204] + [403] * 5


def test_a_link_is_dead_after_a_day(api_client, api_client_user1, mailbox):
    ask(api_client_user1)
    token = mailbox.token()
    older = "UPDATE mail SET expires = expires - interval '{} minutes'"
    execute(here(), older.format(24 * 60 - 1))
    assert query("SELECT expires > now() FROM mail") == [(True,)]
    execute(here(), older.format(1))
    assert verify(api_client, token).json() == DEAD
    assert not is_verified(api_client_user1)


def test_a_link_is_dead_after_a_change_of_the_address(api_client, api_client_user1, mailbox):
    ask(api_client_user1)
    token = mailbox.token()
    api_client_user1.patch("/user/me/", json={"email": NEW})
    assert verify(api_client, token).json() == DEAD
    assert not is_verified(api_client_user1)


def test_a_link_to_the_old_address_is_not_sent_any_more(api_client, api_client_user1, mailbox):
    mailbox.replies["RCPT"] = "451 try later"
    ask(api_client_user1)
    wait_for("SELECT count(*) FROM mail WHERE token_hash IS NOT NULL", 1)
    api_client_user1.patch("/user/me/", json={"email": NEW})
    del mailbox.replies["RCPT"]
    wait_for("SELECT max(attempts) FROM mail WHERE kind = 'email_changed'", 1)
    send_due(api_client)
    wait_for("SELECT count(*) FROM mail WHERE kind = 'verify_email'", 0)
    assert mailbox.get()["Subject"] == "Your e-mail address for Pamps was changed"
    assert mailbox.mails.empty()


def test_a_token_for_something_else(api_client, api_client_user1, mailbox):
    api_client.post("/password/forgot/", json={"email": "user1@pamps.com"})
    token = mailbox.token()
    assert verify(api_client, token).json() == DEAD
    ask(api_client_user1)
    body = {"token": mailbox.token(), "new_password": "x"}
    assert api_client.post("/password/reset/", json=body).json() == DEAD
    assert api_client.post("/password/reset/", json=body | {"token": token}).status_code == 204


def test_a_change_is_told_to_the_old_address(api_client_user1, mailbox):
    """In the language of whoever changes it. The new one is not verified."""
    execute(here(), 'UPDATE "user" SET email_verified = true')
    portuguese = {"Accept-Language": "pt"}
    changed = api_client_user1.patch("/user/me/", json={"email": NEW}, headers=portuguese)
    assert changed.json()["email_verified"] is False
    mail = mailbox.get()
    assert mail["To"] == "user1@pamps.com"
    assert mail["Subject"] == "Seu endereço de e-mail no Pamps foi alterado"
    text = text_of(mail)
    assert "@user1" in text
    assert NEW not in text
    assert "token" not in text
    wait_for("SELECT count(*) FROM mail WHERE next_attempt IS NULL", 1)


def test_what_is_no_change_is_not_told(api_client_user1, mailbox):
    execute(here(), 'UPDATE "user" SET email_verified = true')
    for body in ({"email": "user1@pamps.com"}, {"bio": "x"}, {}):
        assert api_client_user1.patch("/user/me/", json=body).json()["email_verified"] is True
    assert query("SELECT count(*) FROM mail") == [(0,)]


def test_a_change_that_fails_is_not_told(api_client_user1, api_client_user2, mailbox):
    taken = api_client_user1.patch("/user/me/", json={"email": "user2@pamps.com"})
    assert taken.status_code == 409
    stale = {"If-Match": '"stale"'}
    refused = api_client_user1.patch("/user/me/", json={"email": NEW}, headers=stale)
    assert refused.status_code == 412
    assert query("SELECT count(*) FROM mail") == [(0,)]


def test_what_is_sent_again_is_done_once(api_client_user1, mailbox):
    for _ in range(2):
        assert ask(api_client_user1, headers={"Idempotency-Key": "x"}) == 202
    mailbox.get()
    wait_for("SELECT count(*) FROM mail WHERE next_attempt IS NULL", 1)
    assert query("SELECT count(*) FROM mail") == [(1,)]


def test_a_deleted_account_gets_no_mail(api_client, sign_up, mailbox):
    ana = sign_up("ana")
    mailbox.replies["RCPT"] = "451 try later"
    ask(ana)
    ana.patch("/user/me/", json={"email": "other@pamps.com"})
    command("delete-user", "ana", "--force")
    del mailbox.replies["RCPT"]
    send_due(api_client)
    wait_for("SELECT count(*) FROM mail", 0)
    assert mailbox.mails.empty()


@pytest.mark.parametrize("name", ["ana\r\nBcc: eve@pamps.com", "ana\nx"])
def test_no_header_is_injected(api_client, name):
    for field in ("email", "username"):
        body = {"username": "ana", "email": NEW, "password": "x"} | {field: name}
        assert api_client.post("/user/", json=body).status_code == 422
    answer = api_client.post("/password/forgot/", json={"email": f"{name}@pamps.com"})
    assert answer.status_code == 422
