"""Sessions while the clock of the process is wrong: the database's alone judges them."""

import time

import pytest
from jose import jwt
from sqlalchemy import make_url

from tests.databases import FAKETIME, execute
from tests.helpers import USER
from tests.servers import served


@pytest.mark.parametrize("shift", ["+1d", "-1d"])
def test_a_clock_that_is_wrong(other_database, shift):
    from pamps.config import settings

    variables = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift, "DONT_FAKE_MONOTONIC": "1"}
    variables["PAMPS_SECURITY__SECRET_KEY"] = settings.security.SECRET_KEY
    with served(variables | {"PAMPS_DB__uri": other_database}) as (process, client):

        def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return client.get("/user/me/", headers=headers).status_code

        assert client.post("/user/", json=USER).status_code == 201
        tokens = client.post("/token", data=USER).json()
        for _ in range(2):
            end = jwt.get_unverified_claims(tokens["access_token"])["exp"]
            assert end == pytest.approx(time.time() + 30 * 60, abs=60)
            assert status(tokens["access_token"]) == 200
            body = {"refresh_token": tokens["refresh_token"]}
            answers = [client.post("/refresh_token", json=body) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            assert answers[0].content == answers[1].content
            tokens = answers[0].json()
        later = "UPDATE session SET last_used = last_used - interval '11 s' RETURNING 1"
        for seconds, right in ((60, 200), (-60, 401)):
            claims = jwt.get_unverified_claims(tokens["access_token"])
            claims["exp"] = time.time() + seconds
            token = jwt.encode(claims, settings.security.SECRET_KEY, "HS256")
            assert status(token) == right
        execute(make_url(other_database), later)
        assert client.post("/refresh_token", json=body).status_code == 401
        assert status(tokens["access_token"]) == 401
        process.terminate()
