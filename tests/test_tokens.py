"""Tokens that somebody made up, changed or kept: each is a 401."""

import base64
import json
import time

import pytest
from jose import jwt

from tests.helpers import Client, sign_in

KEY = "another-secret-that-is-also-long-enough"


def encode(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.fixture
def forge(api_client_user1: Client):
    """Signs claims with the real key: the caller's own, but for what is changed."""
    from pamps.config import settings

    own = api_client_user1.headers["Authorization"].removeprefix("Bearer ")
    sid = jwt.get_unverified_claims(own)["sid"]

    def forge(headers: dict | None = None, algorithm: str = "HS256", **changes: object) -> str:
        claims = {"sub": str(api_client_user1.id), "sid": sid, "scope": "access_token"}
        claims |= {"exp": time.time() + 60, "fresh": True} | changes
        claims = {key: value for key, value in claims.items() if value is not None}
        return jwt.encode(claims, settings.security.SECRET_KEY, algorithm, headers=headers)

    return forge


def assert_refused(client: Client, token: str | bytes) -> None:
    raw = token if isinstance(token, bytes) else token.encode()
    for path in ("/user/me/", "/post/"):  # the second does not ask for a sign-in
        response = client.get(path, headers={"Authorization": b"Bearer " + raw})
        assert response.status_code == 401, (path, raw[:80])
        assert response.headers["www-authenticate"] == "Bearer"
    response = client.post("/refresh_token", json={"refresh_token": raw.decode("latin-1")})
    assert response.status_code == 401, raw[:80]


def test_the_forge_works(api_client, forge):
    assert Client(api_client, forge()).get("/user/me/").status_code == 200


def test_a_token_that_was_good_expires(api_client, forge):
    """Tokens that were seen of late are not verified again, but their end is looked at."""
    end = time.time() + 1
    client = Client(api_client, forge(exp=end))
    assert client.get("/user/me/").status_code == 200
    while client.get("/user/me/").status_code == 200:
        assert time.time() < end + 5
    assert client.get("/user/me/").status_code == 401


CLAIMS = {
    "no subject": {"sub": None},
    "no end": {"exp": None},
    "no scope": {"scope": None},
    "no session": {"sid": None},
    "expired": {"exp": 1},
    "an end in words": {"exp": "soon"},
    "an end too far": {"exp": 1e400},
    "an end far away": {"exp": 10**400},
    "no number as an end": {"exp": float("nan")},
    "a list as an end": {"exp": [1]},
    "a number as subject": {"sub": 1},
    "a name as subject": {"sub": "user1"},
    "nobody": {"sub": "999999999"},
    "zero": {"sub": "0"},
    "a negative subject": {"sub": "-1"},
    "a long subject": {"sub": "9" * 30},
    "a subject with NUL": {"sub": "1\0"},
    "a subject in other digits": {"sub": "١"},
    "an object as subject": {"sub": {"id": 1}},
    "another session": {"sid": 999999999},
    "a session in words": {"sid": "1"},
    "a negative session": {"sid": -1},
    "a session beyond bigint": {"sid": 2**63},
    "half a session": {"sid": 1.5},
    "true as a session": {"sid": True},
    "another scope": {"scope": "admin"},
    "a list of scopes": {"scope": ["access_token"]},
    "a scope in capitals": {"scope": "ACCESS_TOKEN"},
    "fresh in words": {"fresh": "yes"},
    "not yet": {"nbf": time.time() + 3600},
    "not yet, in words": {"nbf": "later"},
    "issued in words": {"iat": "yesterday"},
    "for somebody else": {"aud": "another service"},
    "large": {"more": "x" * 5000},
}
HEADERS = {
    "an embedded key": {"jwk": {"kty": "oct", "k": encode(KEY.encode())}},
    "the address of a key": {"jku": "https://evil.example/keys.json"},
    "a certificate": {"x5c": ["MIIB"]},
    "the address of a certificate": {"x5u": "https://evil.example/cert.pem"},
    "the name of a key": {"kid": "1"},
    "a path as the name": {"kid": "../../../../dev/null"},
    "SQL as the name": {"kid": "' UNION SELECT 'x"},
    "something critical": {"crit": ["exp"], "exp": 1},
    "something critical and unknown": {"crit": ["x"], "x": 1},
    "unencoded": {"b64": False, "crit": ["b64"]},
    "another type": {"typ": "at+jwt"},
    "compressed": {"zip": "DEF"},
    "a token in a token": {"cty": "JWT"},
    "a large header": {"x": "x" * 5000},
    "a deep header": {"x": json.loads("[" * 500 + "]" * 500)},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
def test_claims(api_client, forge, changes):
    assert_refused(api_client, forge(**changes))


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers(api_client, forge, headers):
    assert_refused(api_client, forge(headers=headers))


def parts() -> dict[str, object]:
    """Functions that make of a good token's three parts a bad token."""
    made: dict[str, object] = {
        "nothing": lambda *_: "",
        "a word": lambda *_: "x",
        "three words": lambda *_: "a.b.c",
        "only dots": lambda *_: "." * 1000,
        "only two": lambda h, p, s: f"{h}.{p}",
        "a fourth": lambda h, p, s: f"{h}.{p}.{s}.{s}",
        "five, as if encrypted": lambda h, p, s: ".".join([h, "", s, p, s]),
        "unsigned": lambda h, p, s: f"{h}.{p}.",
        "backwards": lambda h, p, s: f"{h}.{p}.{s[::-1]}",
        "one bit of the signature": lambda h, p, s: f"{h}.{p}.{'A' if s[0] != 'A' else 'B'}{s[1:]}",
        # The last character has two bits that are no part of the signature.
        "bits that do not count": lambda h, p, s: f"{h}.{p}.{s[:-1]}{chr(ord(s[-1]) + 1)}",
        "padded": lambda h, p, s: f"{h}.{p}.{s}=",
        "a character that base64 lacks": lambda h, p, s: f"{h}.{p}.{s[:9]}!{s[9:]}",
        "a blank inside": lambda h, p, s: f"{h}.{p}. {s}",
        "a long signature": lambda h, p, s: f"{h}.{p}.{s}{'A' * 4000}",
        "no payload": lambda h, p, s: f"{h}..{s}",
        "an empty object": lambda h, p, s: f"{h}.{encode({})}.{s}",
        "a list": lambda h, p, s: f"{h}.{encode([])}.{s}",
        "null": lambda h, p, s: f"{h}.{encode(None)}.{s}",
        "no JSON": lambda h, p, s: f"{h}.{encode(b'x')}.{s}",
        "no UTF-8": lambda h, p, s: f"{h}.{encode(bytes([255, 254]))}.{s}",
        "another payload": lambda h, p, s: f"{h}.{encode({'sub': '1'})}.{s}",
        "a list for a header": lambda h, p, s: f"{encode([])}.{p}.{s}",
        "null for a header": lambda h, p, s: f"{encode(None)}.{p}.{s}",
        "no header": lambda h, p, s: f".{p}.{s}",
        "a header twice as deep as Python goes": lambda h, p, s: (
            f"{encode(b'[' * 1300 + b']' * 1300)}.{p}.{s}"
        ),
        "not ASCII": lambda h, p, s: f"é{h}.{p}.{s}",
        "not UTF-8": lambda h, p, s: f"{h}.{p}.{s}".encode() + b"\xff",
        "50 KB": lambda *_: "x" * 50_000,
        "20 MB": lambda *_: "x" * 20_000_000,
    }
    for name in ("none", "None", "NONE", "nOnE", "", "RS256", "ES256", "PS256", "HS384", "HS512"):
        for tail in ("", "signed"):
            header = encode({"alg": name, "typ": "JWT"})
            made[f"algorithm {name!r}, {tail or 'unsigned'}"] = lambda h, p, s, x=header, t=tail: (
                f"{x}.{p}.{s if t else ''}"
            )
    return made


@pytest.mark.parametrize("change", parts().values(), ids=parts())
def test_parts(api_client, api_client_user1, change):
    token = api_client_user1.headers["Authorization"].removeprefix("Bearer ")
    assert api_client_user1.get("/user/me/").status_code == 200
    bad = change(*token.split("."))
    if len(bad) > 100_000:  # more than a body may have
        headers = {"Authorization": f"Bearer {bad}"}
        assert api_client.get("/user/me/", headers=headers).status_code == 401
    else:
        assert_refused(api_client, bad)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_other_algorithms_with_the_real_key(api_client, forge, algorithm):
    assert_refused(api_client, forge(algorithm=algorithm))


def test_another_key(api_client, forge):
    claims = jwt.get_unverified_claims(forge())
    for key in (KEY, "", "development-only"):
        assert_refused(api_client, jwt.encode(claims, key, "HS256"))


def test_schemes(api_client, api_client_user1):
    """One header, with one token, that says that it bears one."""
    token = api_client_user1.headers["Authorization"].removeprefix("Bearer ")
    for value in (
        "",
        "Bearer",
        "Bearer ",
        token,
        f"Basic {token}",
        f"Token {token}",
        f"Bearer{token}",
    ):
        for path in ("/user/me/", "/post/"):
            response = api_client.get(path, headers={"Authorization": value})
            assert response.status_code == 401, value[:20]
    twice = [("Authorization", f"Bearer {token}")] * 2
    assert api_client.get("/user/me/", headers=twice).status_code == 401
    assert api_client.get("/post/", headers=twice).status_code == 401
    for scheme in ("bearer", "BEARER"):
        response = api_client.get("/user/me/", headers={"Authorization": f"{scheme} {token}"})
        assert response.status_code == 200


def test_a_refresh_token_of_somebody_elses_session(api_client, api_client_user2, forge):
    tokens = sign_in(api_client, "user2")
    claims = jwt.get_unverified_claims(tokens["refresh_token"])
    stolen = forge(scope="refresh_token", jti=claims["jti"], sid=claims["sid"])
    response = api_client.post("/refresh_token", json={"refresh_token": stolen})
    assert response.status_code == 401
    body = {"refresh_token": tokens["refresh_token"]}
    assert api_client.post("/refresh_token", json=body).status_code == 200
