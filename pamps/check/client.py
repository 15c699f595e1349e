"""Requests to a service that may answer anything, or nothing."""

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, Self
from urllib.parse import urljoin, urlsplit

import httpx

from .model import Json, Text

SECONDS = 10  # for one answer
TOTAL_SECONDS = 120  # for all of them; no request begins in the last ones
MAX_BYTES = 5_000_000
MAX_REDIRECTS = 3
# How often a service may ask to come back later (429, 503), and for how many seconds.
MAX_PAUSES = 3
MAX_PAUSE = 10


class Unanswered(Exception):
    """There is no answer that could be compared with anything."""

    def __init__(self, en: str, pt: str) -> None:
        self.reason = Text(en, pt)


class OutOfTime(Unanswered):
    """The time for all requests together is over."""


@dataclass(frozen=True)
class Answer:
    """A response from `url`. `body` is its JSON, if `is_json`."""

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    is_json: bool
    body: Json

    @property
    def next_page(self) -> str:
        """The address of the next page of a list, which is on the same service, or nothing."""
        links = httpx.Response(200, headers=self.headers).links
        reference = links.get("next", {}).get("url", "")
        try:
            target = urljoin(self.url, reference)
            return target if reference and _origin(target) == _origin(self.url) else ""
        except ValueError:  # no URL
            return ""


class Service:
    """Sends requests to the service at a URL, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._end = asyncio.get_running_loop().time() + TOTAL_SECONDS

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # The environment may name a proxy or certificates (SSL_CERT_FILE) that are not there.
        return httpx.AsyncClient(
            timeout=SECONDS,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if "_client" in vars(self):
            await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        json: Json = None,
        form: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Answer:
        """Send a request, and again after a redirect or a pause that the service asks for."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        redirects = pauses = 0
        while True:
            try:
                self._client.cookies.clear()  # else somebody could be signed in by one
                request = self._client.build_request(
                    method, url, json=json, data=form, headers=headers
                )
                answer = await self._exchange(request)
                target = _redirect(method, answer)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                _explain(error)
            pause = _pause(answer)
            if target and redirects < MAX_REDIRECTS:
                url, redirects = target, redirects + 1
            elif pause is not None and pauses < MAX_PAUSES:
                pauses += 1
                await asyncio.sleep(pause)
            else:
                return answer

    async def _exchange(self, request: httpx.Request) -> Answer:
        left = self._end - asyncio.get_running_loop().time()
        if left < SECONDS:
            raise OutOfTime(
                f"{TOTAL_SECONDS} seconds are over", f"{TOTAL_SECONDS} segundos se passaram"
            )
        content = bytearray()
        async with asyncio.timeout(SECONDS):  # for all of it, not for each part
            response = await self._client.send(request, stream=True)
            try:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    # A few bytes may be gigabytes.
                    raise Unanswered(
                        "a compressed answer, which was not asked for",
                        "uma resposta compactada, o que não foi pedido",
                    )
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        raise Unanswered(
                            f"an answer of more than {MAX_BYTES // 1_000_000} MB",
                            f"uma resposta de mais de {MAX_BYTES // 1_000_000} MB",
                        )
            finally:
                await response.aclose()
        try:
            body, is_json = json.loads(bytes(content)), True
        except (ValueError, RecursionError):
            body, is_json = None, False
        url, headers = str(request.url), response.headers
        return Answer(url, response.status_code, headers, bytes(content), is_json, body)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _redirect(method: str, answer: Answer) -> str:
    """Return where a redirect leads, if only a slash at the end of the path is different."""
    if answer.status not in ((301, 302, 303, 307, 308) if method == "GET" else (307, 308)):
        return ""
    target = urljoin(answer.url, answer.headers.get("Location", ""))
    old, new = urlsplit(answer.url), urlsplit(target)
    same = _origin(answer.url) == _origin(target) and old.path.rstrip("/") == new.path.rstrip("/")
    return target if same and old.path != new.path else ""


def _pause(answer: Answer) -> int | None:
    after = answer.headers.get("Retry-After", "")
    if answer.status in (429, 503) and after.isdecimal() and len(after) < 6:
        return int(after) if int(after) <= MAX_PAUSE else None
    return None


def _explain(error: Exception) -> NoReturn:
    """Raise Unanswered with the reason in one line."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        raise Unanswered(
            f"no answer within {SECONDS} seconds", f"sem resposta em {SECONDS} segundos"
        ) from error
    if isinstance(error, httpx.LocalProtocolError | UnicodeError):  # whose text has the token in it
        raise Unanswered(
            "cannot be sent: HTTP does not allow its characters",
            "não pode ser enviado: o HTTP não permite os caracteres",
        ) from error
    deepest: BaseException = error
    while not isinstance(deepest, ssl.SSLError) and (deepest.__cause__ or deepest.__context__):
        deepest = deepest.__cause__ or deepest.__context__ or deepest
    reason = str(deepest)
    if isinstance(deepest, OSError) and deepest.errno and deepest.strerror:
        reason = os.strerror(deepest.errno) if deepest.errno > 0 else deepest.strerror
    reason = " ".join(reason.split()) or type(deepest).__name__
    if isinstance(deepest, ssl.SSLError):
        raise Unanswered(f"no TLS: {deepest}", f"sem TLS: {deepest}") from error
    if isinstance(error, httpx.ConnectError):
        raise Unanswered(f"cannot connect: {reason}", f"sem conexão: {reason}") from error
    if isinstance(error, httpx.RemoteProtocolError):
        raise Unanswered(f"not HTTP: {reason}", f"não é HTTP: {reason}") from error
    raise Unanswered(f"no answer: {reason}", f"sem resposta: {reason}") from error
