"""`pamps serve` in production: behind a proxy, with two workers and Redis."""

import json
import re

from sqlalchemy import make_url

from tests import canary
from tests.databases import execute
from tests.servers import PRODUCTION, served

SETTINGS = PRODUCTION | {
    "PAMPS_RATE_LIMIT__requests": "40/5 minutes",
    "PAMPS_SERVER__trusted_proxies": '["127.0.0.0/8"]',
    "PAMPS_SERVER__docs": "false",
    "PAMPS_CORS__allow_origins": '["https://pamps.example"]',
    "PAMPS_CORS__allow_credentials": "true",
}


USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}


def test_production(other_database, redis_uri):
    settings = SETTINGS | {
        "PAMPS_DB__uri": other_database,
        "PAMPS_RATE_LIMIT__storage_uri": redis_uri,
    }
    log: list[str] = []
    with served(settings, "--workers", "2", log=log) as (process, client):
        # Both workers count for the address that the trusted proxy adds, not for a claimed one.
        for n in range(40):
            response = client.get("/user/", headers={"X-Forwarded-For": f"10.0.0.{n}, 192.0.2.1"})
            assert response.status_code == 200
            assert response.headers["ratelimit-remaining"] == str(39 - n)
        refused = client.get("/user/", headers={"X-Forwarded-For": "192.0.2.1"})
        assert refused.status_code == 429
        client.headers["X-Forwarded-For"] = "192.0.2.2"
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").status_code == 404
        assert client.post("/user/", json=USER).status_code == 201
        wrong = {"username": "ana", "password": canary.WORD}
        failed = client.post(f"/token?password={canary.WORD}", data=wrong)
        assert failed.status_code == 401
        tokens = client.post("/token", data=USER).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        assert client.get("/user/me/").status_code == 200
        # Without `mail.host` there is no route that needs mail, and nobody is told of a change.
        assert client.post("/password/forgot/", json=USER).status_code == 404
        changed = client.patch("/user/me/", json={"email": "other@pamps.com"})
        assert changed.json()["email_verified"] is False
        assert execute(make_url(other_database), "SELECT id FROM mail") == []
        origin = {"Origin": "https://pamps.example"}
        answer = client.get("/post/", headers=origin)
        assert answer.headers["access-control-allow-origin"] == origin["Origin"]
        assert "RateLimit-Reset" in answer.headers["access-control-expose-headers"]
        for method in ("DELETE", "HEAD"):
            asked = {"Access-Control-Request-Method": method, **origin}
            asked["Access-Control-Request-Headers"] = "Authorization, X-Request-Of-Mine"
            answer = client.options("/user/me/", headers=asked)
            assert (answer.status_code, answer.headers["x-content-type-options"]) == (
                200,
                "nosniff",
            )
            assert "X-Request-Of-Mine" in answer.headers["access-control-allow-headers"]
        answer = client.get("/post/", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers
        process.terminate()
    lines = [json.loads(line) for line in log]  # also those of uvicorn
    assert {"Started server process", "sign-in", "request", "request limit exceeded"} <= {
        line["message"].split(" [")[0] for line in lines
    }
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    (event,) = [line for line in lines if line["message"] == "sign-in failed"]
    assert event["request_id"] == failed.headers["x-request-id"]
    assert event["address"] == "192.0.2.2"
    (line,) = [
        line
        for line in lines
        if line["message"] == "request" and line["request_id"] == event["request_id"]
    ]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/token", 401)
