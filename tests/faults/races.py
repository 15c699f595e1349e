"""Many clients that want the same at the same time."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable

from tests.databases import TRUTH
from tests.faults.clients import Answer, Client
from tests.faults.scenarios import Stage, scenario
from tests.faults.world import World


class Runners:
    """Threads, each with a client, that start at once."""

    def __init__(self, world: World, count: int) -> None:
        self.clients = [world.client() for _ in range(count)]
        self.answers: list[Answer] = []

    def run(self, *requests: Callable[[Client], Answer]) -> list[Answer]:
        """Each request by a client of its own."""
        line, answers = threading.Barrier(len(requests)), []

        def one(client: Client, request: Callable[[Client], Answer]) -> None:
            line.wait(10)
            answers.append(request(client))

        clients = self.clients[: len(requests)]
        pairs = zip(clients, requests, strict=True)
        threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.answers += answers
        return answers


def as_user(
    user: Client, method: str, path: str, body: object = None
) -> Callable[[Client], Answer]:
    def send(client: Client) -> Answer:
        client.token = user.token
        return client.request(method, path, body)

    return send


def refresh(token: str, key: str = "") -> Callable[[Client], Answer]:
    def send(client: Client) -> Answer:
        client.token = ""
        return client.request("POST", "/refresh_token", {"refresh_token": token}, key=key)

    return send


def _statuses(answers: list[Answer]) -> dict[int, int]:
    return dict(Counter(answer.status for answer in answers))


@scenario(
    quick={"rounds": 5, "at_once": 50, "crosswise": 50},
    long={"rounds": 100, "at_once": 50, "crosswise": 1_000},
)
def races(stage: Stage, rounds: int, at_once: int, crosswise: int) -> None:
    with stage.ground.world() as world:
        ana, bia = world.newcomers(2)
        runners = Runners(world, at_once)

        def count(table: str, where: str) -> int:
            ((rows,),) = world.database.execute(f'SELECT count(*) FROM "{table}" WHERE {where}')
            return rows

        def of_one_row(answers: list[Answer], what: str, rows: int) -> None:
            """All succeed, one of them by writing the row."""
            statuses = _statuses(answers)
            right = rows == 1 and statuses == {201: 1, 200: at_once - 1}
            stage.expect(right, f"{what}: {rows} rows, {statuses}")

        for n in range(rounds):
            post = ana.insist("POST", "/post/", {"text": f"round {n}"})["id"]
            for table in ("like", "repost", "bookmark"):
                answers = runners.run(*[as_user(bia, "POST", f"/post/{post}/{table}/")] * at_once)
                of_one_row(answers, f"{table}s", count(table, f"post_id = {post}"))
            for noun, table in {"follow": "social", "mute": "mute", "block": "block"}.items():
                path = f"/user/{noun}/{ana.id}"
                answers = runners.run(*[as_user(bia, "POST", path)] * at_once)
                of_one_row(answers, f"{noun}s", count(table, f"from_id = {bia.id}"))
                assert bia.request("DELETE", path).status == 204
            _block_at_once(stage, runners, ana, bia, count)
            _refresh_at_once(stage, runners, world.newcomers(1)[0], at_once, count)
        for _ in range(crosswise):
            _crosswise(runners, ana, bia)
        for name, *numbers in world.database.execute(TRUTH):
            stage.expect(numbers[::2] == numbers[1::2], f"counters of {name}: {numbers}")
        stage.say(f"{rounds} rounds of {at_once} at once, {crosswise} crosswise")
        stage.say(f"answers {_statuses(runners.answers)}")
        wrong = [answer for answer in runners.answers if not 200 <= answer.status < 500]
        stage.expect_none(wrong, "5xx or none", world)


def _refresh_at_once(
    stage: Stage, runners: Runners, user: Client, at_once: int, count: Callable[[str, str], int]
) -> None:
    """Of one token, with an Idempotency-Key and without: one answer for all of them."""

    def sessions() -> int:
        return count("session", f"user_id = {user.id}")

    # A client that repeats itself gets the one answer, or is told to wait for it.
    token, key, before = user.sign_in()["refresh_token"], str(uuid.uuid4()), sessions()
    answers = runners.run(*[refresh(token, key)] * at_once)
    (last,) = runners.run(refresh(token, key))
    bodies = {answer.body for answer in (*answers, last) if answer.status == 200}
    right = len(bodies) == 1 and set(_statuses(answers)) <= {200, 409} and last.status == 200
    told = f"{len(bodies)} different answers, {_statuses(answers)}, then {last.status}"
    stage.expect(right and sessions() == before, f"refreshes with a key: {told}")
    if right:
        (next_one,) = runners.run(refresh(last.json()["refresh_token"]))
        stage.expect(next_one.status == 200, f"the token of a repeated answer: {next_one}")
    # Without a key it is the same: the token was used just now.
    before, token = sessions() + 1, user.sign_in()["refresh_token"]
    answers = runners.run(*[refresh(token)] * at_once)
    bodies = {answer.body for answer in answers}
    right = _statuses(answers) == {200: at_once} and len(bodies) == 1 and sessions() == before
    told = f"{len(bodies)} different answers, {_statuses(answers)}"
    stage.expect(right, f"plain refreshes: {told}, sessions {before} and then {sessions()}")


def _block_at_once(
    stage: Stage, runners: Runners, ana: Client, bia: Client, count: Callable[[str, str], int]
) -> None:
    """Both act on each other while one blocks the other: in the end there is only the block."""
    posts = {user: user.insist("POST", "/post/", {"text": "block"})["id"] for user in (ana, bia)}
    acts = [
        as_user(one, "POST", path, body)
        for one, other in ((ana, bia), (bia, ana))
        for path, body in (
            (f"/user/follow/{other.id}", None),
            (f"/post/{posts[other]}/like/", None),
            (f"/post/{posts[other]}/repost/", None),
            ("/post/", {"text": "reply", "parent_id": posts[other]}),
        )
    ]
    path = f"/user/block/{bia.id}"
    half = len(acts) // 2
    answers = runners.run(*acts[:half], as_user(ana, "POST", path), *acts[half:])
    between = f"from_id IN ({ana.id}, {bia.id})"
    follows, told = count("social", between), count("notification", between)
    right = set(_statuses(answers)) <= {200, 201, 403} and not follows and not told
    told_of = f"{_statuses(answers)}, {follows} follows, {told} notifications"
    stage.expect(right, f"a block and acts at once: {told_of}")
    late = _statuses(runners.run(*acts))
    stage.expect(late == {403: len(acts)}, f"acts after a block: {late}")
    assert ana.request("DELETE", path).status == 204


def _crosswise(runners: Runners, ana: Client, bia: Client) -> None:
    """Both follow each other, like each other's post, and take it back, in opposite order."""
    posts = {}
    for user in (ana, bia):
        if not hasattr(user, "post"):
            user.post = user.insist("POST", "/post/", {"text": "crosswise"})["id"]
        posts[user.id] = user.post
    runners.run(
        *(
            as_user(one, method, path)
            for one, other in ((ana, bia), (bia, ana))
            for method in ("POST", "DELETE")
            for path in (f"/user/follow/{other.id}", f"/post/{posts[other.id]}/like/")
        )
    )
