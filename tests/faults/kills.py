"""Processes that are killed, or asked to stop, while clients write."""

import random
import statistics
import time
import uuid
from collections.abc import Callable

from tests.faults.clients import Answer, Client, Record, crowd
from tests.faults.scenarios import Stage, scenario
from tests.faults.servers import WORKERS
from tests.postgresql import wait_until

CLIENTS = 16
# A client that is refused comes back sooner than it was told to, or nobody would see how soon it
# could have.
PAUSE_SECONDS = 0.05
# One in so many requests is sent by a client that hangs up.
HANG_UP = 20


def writing(record: Record) -> Callable[[Client], None]:
    def turn(client: Client) -> None:
        text = client.next_text()
        answer = client.request("POST", "/post/", {"text": text})
        record.add(answer, text)
        if not answer.succeeded:
            time.sleep(PAUSE_SECONDS)

    return turn


def _kill_database(
    stage: Stage, rounds: int, *, until_loss: bool = False, tidily: bool = False, **settings: str
) -> int:
    """Plays so many rounds, or until there is a loss, and gives the number of lost posts."""
    with stage.ground.new_world(settings) if settings else stage.ground.world() as world:
        users, record, recovered, healed, lost = world.users(CLIENTS), Record(), [], [], []
        world.database.execute("CHECKPOINT")  # or the users would be lost with their posts
        with crowd(users, writing(record)):
            for _ in range(rounds):
                time.sleep(random.uniform(0.5, 1.5))
                if tidily:
                    world.database.stop()
                else:
                    world.database.kill()
                killed = time.monotonic()
                time.sleep(random.uniform(0, 0.5))
                accepted = world.database.start()
                recovered.append(accepted - killed)
                success = record.first_success(killed, 15)
                healed.append(float("inf") if success is None else max(0, success - accepted))
                if until_loss and (lost := world.lost(record)):
                    break
        how = "stops" if tidily else "kills"
        stage.say(f"{len(recovered)} {how}, away for {statistics.median(recovered):.2f} s each")
        stage.say(f"{record}, the slowest after {record.slowest:.2f} s")
        if until_loss:
            stage.say(f"acknowledged {len(record.acknowledged)}")
            return len(lost)
        stage.expect_kept(world, record)
        wrong = [answer for answer in record.others if not answer.refused]
        stage.expect_none(wrong, "neither success nor 503 with Retry-After", world)
        stage.say(
            f"first success {max(healed):.2f} s after it accepts at most, "
            f"{statistics.median(healed):.2f} s in the median"
        )
        stage.expect(max(healed) <= 1, f"first success after {max(healed):.2f} s")
        # Else something has waited for a connection that was no more.
        bound = world.pamps.seconds("request_timeout")
        stage.expect(record.slowest < bound, f"an answer took {record.slowest:.2f} s")
    return 0


@scenario(quick={"rounds": 2}, long={"rounds": 20})
def database_killed(stage: Stage, rounds: int) -> None:
    _kill_database(stage, rounds)


@scenario(quick={"rounds": 2}, long={"rounds": 20})
def database_restarted(stage: Stage, rounds: int) -> None:
    _kill_database(stage, rounds, tidily=True)


@scenario(long={"rounds": 20})
def database_killed_control(stage: Stage, rounds: int) -> None:
    careless = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    lost = _kill_database(stage, rounds, until_loss=True, **careless)
    stage.say(f"lost {lost}")
    stage.expect(lost, "nothing was lost, so that database-killed shows nothing")


@scenario(quick={"seconds": 5}, long={"seconds": 60})
def worker_killed(stage: Stage, seconds: int) -> None:
    with stage.ground.world() as world:
        record, ports, kills = Record(), set(), 0
        with crowd(world.users(CLIENTS), writing(record)):
            for _ in range(seconds):
                time.sleep(1)
                if (had := world.pamps.kill_worker()) is not None:
                    ports |= had
                    kills += 1
            back = wait_until(lambda: len(world.pamps.workers()) == WORKERS, 15)
            record.first_success(time.monotonic(), 15)
        stage.say(
            f"{kills} kills in {seconds} s, {record}, the slowest after {record.slowest:.2f} s"
        )
        stage.expect(back, "a worker was not replaced")
        stage.expect_kept(world, record)

        def was_on_its_way(answer: Answer) -> bool:
            """A connection has one request at a time, so this is true for one of a client."""
            return answer.status == 0 and answer.connected and answer.port in ports

        on_their_way = [answer for answer in record.others if was_on_its_way(answer)]
        stage.say(f"on their way to a killed worker {len(on_their_way)}")
        wrong = [answer for answer in record.others if not was_on_its_way(answer)]
        stage.expect_none(wrong, "wrong answers", world)


@scenario(quick={"stops": 2, "requests": 1_000}, long={"stops": 20, "requests": 50_000})
def stop_under_load(stage: Stage, stops: int, requests: int) -> None:
    with stage.ground.world() as world:
        users, record, statuses, took = world.users(CLIENTS), Record(), [], []
        write, others = writing(record), 0

        def turn(client: Client) -> None:
            nonlocal others
            others += 1
            if others % 4 == 0:
                write(client)
                return
            answer = client.request("GET", "/post/")
            record.add(answer)
            if not answer.succeeded:
                time.sleep(PAUSE_SECONDS)

        def answered() -> int:
            return len(record.successes)

        with crowd(users, turn):
            for n in range(1, stops + 1):
                enough = requests * n / stops
                stage.expect(wait_until(lambda n=enough: answered() >= n, 120), "too few answers")
                began = time.monotonic()
                statuses.append(world.pamps.stop())
                took.append(time.monotonic() - began)
                world.pamps.start()
            record.first_success(time.monotonic(), 15)
        stage.say(f"{stops} stops of {max(took):.2f} s at most, {answered()} answers")
        stage.expect(set(statuses) == {0}, f"exit statuses {statuses}; None had to be killed")
        stage.expect_kept(world, record)
        failed = [answer for answer in record.others if answer.connected]
        stage.say(f"on a new connection {sum(answer.turn == 1 for answer in failed)}")
        stage.expect_none(failed, "failed requests", world)


@scenario(quick={"kills": 3}, long={"kills": 20})
def retries(stage: Stage, kills: int) -> None:
    with stage.ground.world() as world:
        record, intended, hung_up = Record(), [], 0

        def turn(client: Client) -> None:
            """Writes one post, however often it takes."""
            nonlocal hung_up
            text, key = client.next_text(), str(uuid.uuid4())
            intended.append(text)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if random.randrange(HANG_UP) == 0:
                    client.hang_up_on("POST", "/post/", {"text": text}, key=key)
                    hung_up += 1
                answer = client.request("POST", "/post/", {"text": text}, key=key)
                record.add(answer, text)
                if answer.succeeded:
                    break
                time.sleep(PAUSE_SECONDS)

        victims = (["worker", "database"] * kills)[:kills]
        random.shuffle(victims)
        with crowd(world.users(CLIENTS), turn):
            for victim in victims:
                time.sleep(random.uniform(0.5, 1.5))
                if victim == "worker":
                    wait_until(lambda: world.pamps.kill_worker() is not None, 15)
                else:
                    world.database.kill()
                    world.database.start()
            record.first_success(time.monotonic(), 15)
        stage.say(f"{kills} kills, {hung_up} hung up, {record}")
        counts = dict(world.database.execute("SELECT text, count(*) FROM post GROUP BY text"))
        missing = [text for text in intended if text not in counts]
        twice = [text for text in intended if counts.get(text, 0) > 1]
        stage.say(f"intended {len(intended)}, missing {len(missing)}, twice {len(twice)}")
        stage.expect(not missing, f"missing: {len(missing)}, such as {missing[:3]}")
        stage.expect(not twice, f"more than once: {len(twice)}, such as {twice[:3]}")
        stage.expect_kept(world, record)
        wrong = [
            answer
            for answer in record.others
            if not (answer.refused or answer.status == 409 or answer.status == 0)
        ]
        stage.expect_none(wrong, "wrong answers", world)
