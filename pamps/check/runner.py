"""Running the checks in their order, and what came of each."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from .accounts import AUTH, USERS
from .client import Answer, OutOfTime, Service, Unanswered
from .like import LIKE
from .matching import Mismatch, Pages, compare
from .model import Check, Group, Listing, Request, Text
from .posts import POSTS
from .social import SOCIAL
from .templates import fill, names

CHECKS = (*USERS, *AUTH, *POSTS, *SOCIAL, *LIKE)
# What is known from the start and needs no check.
GIVEN = {"nobody", "password", "no_id", "invalid_token"}
MAX_PAGES = 20
MAX_ITEMS = 100_000  # of a list; no page is read after so many
MAX_KEPT = 4096  # characters of an id or a token; a longer one fits into no request
# What a status means wherever it is not expected.
STATUS_HINTS = {
    "3": Text(
        "Redirects are followed only to the same address with or without a slash at the end.",
        "Só são seguidos redirecionamentos para o mesmo endereço, com ou sem a barra no fim.",
    ),
    "405": Text(
        "The path exists, but not with this method.", "O caminho existe, mas não com este método."
    ),
    "429": Text(
        "The service limits requests: wait, or raise its limits while you check it.",
        "O serviço limita as requisições: espere, ou aumente os limites enquanto o verifica.",
    ),
    "5": Text("The service failed: its log says why.", "O serviço falhou: o log dele diz por quê."),
}


class Outcome(StrEnum):
    """What came of a check. Open: not what clients hope for, where the workshop leaves it open."""

    passed = "passed"
    failed = "failed"
    open = "open"
    not_tried = "not_tried"


@dataclass(frozen=True)
class Result:
    """What came of a check, and why. There is no secret in it.

    `stopped`: nothing was tried any more.
    """

    check: Check
    outcome: Outcome
    sent: Request
    stopped: bool = False
    status: int | None = None
    mismatch: Mismatch | None = None
    hint: Text | None = None
    reason: Text | None = None


def _made(check: Check) -> set[str]:
    return {*check.makes, *check.keep}


def select(groups: Collection[Group]) -> list[Check]:
    """Return the checks of these groups and those that they need, or all, in their order."""
    chosen = [check for check in CHECKS if not groups or check.group in groups]
    needs = set[str]().union(*map(names, chosen))
    for check in reversed(CHECKS):
        if check not in chosen and _made(check) & needs:
            chosen.append(check)
            needs |= names(check)
    return sorted(chosen, key=CHECKS.index)


class Runner:
    """Runs checks, and remembers what they have made in the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        users = ("ana", "bia", "caio", "nobody")
        self._values: dict[str, object] = {
            **{name: f"check_{name}_{secrets.token_hex(4)}" for name in users},
            "password": secrets.token_urlsafe(12),
            "no_id": 2**31 - 1,
            "invalid_token": "not-a-token",  # nosec B105
        }
        self._known = set(GIVEN)
        self._answered = False
        self._stopped: Text | None = None

    async def run(self, groups: Collection[Group], begin: Callable[[Check], None]) -> list[Result]:
        """Run the checks of these groups, or all. `begin` is called before each."""
        results = []
        for check in select(groups):
            begin(check)
            result = await self._run(check)
            is_asked_for = not groups or check.group in groups
            # What others need is told of if it is missing.
            if is_asked_for or (result.outcome is Outcome.failed and _made(check) - self._known):
                results.append(result)
        return results

    async def _run(self, check: Check) -> Result:
        if reason := self._stopped or self._missing(check):
            sent, stopped = fill(check.request, self._public()), self._stopped is not None
            return Result(check, Outcome.not_tried, sent, stopped, reason=reason)
        request = fill(check.request, self._values)
        try:
            answer = await self._send(request)
            self._answered = True
            self._keep(check, answer)
            pages = await self._read_pages(check, request, answer)
        except Unanswered as error:
            if isinstance(error, OutOfTime) or not self._answered:
                self._stopped = error.reason
            outcome = Outcome.not_tried if isinstance(error, OutOfTime) else Outcome.failed
            sent = fill(check.request, self._public())
            return Result(check, outcome, sent, reason=self._mask(error.reason))
        return self._judge(check, answer, pages)

    def _missing(self, check: Check) -> Text | None:
        """Return what a check needs that is not there, by the checks that should have made it."""
        missing = names(check) - self._known
        makers = [maker.title for maker in CHECKS if _made(maker) & missing]
        if not missing:
            return None
        return Text("needs: ", "depende de: ").then(
            Text("; ".join(title.en for title in makers), "; ".join(title.pt for title in makers))
        )

    async def _send(self, request: Request) -> Answer:
        token = str(self._values[request.token]) if request.token else ""
        url = self._service.url + request.path
        json = dict(request.json) if request.json is not None else None
        return await self._service.send(
            request.method, url, json=json, form=request.form, token=token
        )

    def _keep(self, check: Check, answer: Answer) -> None:
        if not 200 <= answer.status < 300:
            return
        self._known |= set(check.makes)
        for name, field in check.keep.items():
            value = answer.body.get(field) if isinstance(answer.body, dict) else None
            if type(value) in (int, str) and len(str(value)) <= MAX_KEPT:
                self._values[name] = value
                self._known.add(name)

    async def _read_pages(self, check: Check, request: Request, answer: Answer) -> Pages | None:
        """Read a list until all that is expected in it has been seen, or to its end."""
        bodies = [expected.body for expected in (check.demanded, check.usual) if expected]
        listings = [fill(body, self._values) for body in bodies if isinstance(body, Listing)]
        if not (listings and isinstance(answer.body, list)):
            return None
        items, pages = list(answer.body), 1
        token = str(self._values[request.token]) if request.token else ""
        while answer.next_page and pages < MAX_PAGES and len(items) < MAX_ITEMS:
            if all(listing.has_all(items) for listing in listings):
                break
            answer = await self._service.send("GET", answer.next_page, token=token)
            if not isinstance(answer.body, list):
                break
            items += answer.body
            pages += 1
        return Pages(items, complete=not answer.next_page)

    def _judge(self, check: Check, answer: Answer, pages: Pages | None) -> Result:
        sent = fill(check.request, self._public())
        levels = ((check.demanded, Outcome.failed), (check.usual, Outcome.open))
        for expected, outcome in levels:
            if expected is None:
                continue
            mismatch = compare(fill(expected, self._values), answer, pages)
            if mismatch:
                status = str(answer.status)
                hint = STATUS_HINTS.get(status) or STATUS_HINTS.get(status[0])
                if status in expected.status or outcome is Outcome.open or not hint:
                    hint = expected.hint
                mismatch = Mismatch(*map(self._mask, mismatch))
                return Result(
                    check, outcome, sent, status=answer.status, mismatch=mismatch, hint=hint
                )
        return Result(check, Outcome.passed, sent, status=answer.status)

    def _secrets(self) -> dict[str, str]:
        return {
            name: str(value)
            for name, value in self._values.items()
            if name == "password" or (name.endswith("_token") and name not in GIVEN)
        }

    def _public(self) -> dict[str, object]:
        """Return the values, with the names of secrets instead of them."""
        unknown = {name: f"${name}" for check in CHECKS for name in _made(check)}
        return unknown | self._values | {name: f"${name}" for name in self._secrets()}

    def _mask(self, text: Text) -> Text:
        for name, secret in self._secrets().items():
            text = Text(*(part.replace(secret, f"${name}") for part in text))
        return text


async def run_checks(
    url: str, groups: Collection[Group], begin: Callable[[Check], None]
) -> list[Result]:
    """Run the checks of these groups, or all, against the service at a URL."""
    async with Service(url) as service:
        return await Runner(service).run(groups, begin)
