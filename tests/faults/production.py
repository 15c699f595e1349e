"""Parts of production are killed and replaced under load."""

import itertools
import shutil
import time
import uuid
from collections.abc import Callable

from tests.faults.clients import Client, Record, crowd
from tests.faults.deployment import production
from tests.faults.live import STORED, Subscriber
from tests.faults.replicas import STOP_SECONDS, Pairs
from tests.faults.scenarios import Stage, scenario
from tests.postgresql import wait_until

CLIENTS, STREAMS = 16, 20
TTL_SECONDS = 20  # as in deploy/patroni/patroni.yaml
PAUSE_SECONDS = 0.05
# A release whose migration adds a column and an index, as the first of two steps does.
EXPAND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0000expanded0", {head!r}, None, None
def upgrade():
    op.add_column("post", sa.Column("added", sa.Integer(), nullable=True))
    with op.get_context().autocommit_block():
        op.create_index("post_added", "post", ["added"], postgresql_concurrently=True)
"""


@scenario(long={"pairs": 10_000, "seconds": 30})
def production_replica(stage: Stage, pairs: int, seconds: int) -> None:
    with production(stage) as service:
        users, others = service.users(CLIENTS), {}
        for user in users:
            others[id(user)] = other = Client(service.port, user.username)
            other.token = user.token

        def play(name: str, until: Callable[[Pairs], bool], least: float = 0) -> None:
            found = Pairs()

            def run() -> None:
                with crowd(users, found.turn(others)):
                    wait_until(lambda: until(found), 600, 0.1)

            share = service.share(run)
            stage.say(
                f"{name}: {found.reads} pairs, stale {len(found.stale)},"
                f" {share:.0%} of the reads by the replica; {found.record}"
            )
            stage.expect(not found.stale, f"{name}: stale reads, such as {found.stale[:2]}")
            stage.expect(not found.record.others, f"{name}: {found.record.others[:3]}")
            stage.expect(share >= least, f"{name}: the replica served {share:.0%}")

        def lasting() -> Callable[[Pairs], bool]:
            end = time.monotonic() + seconds
            return lambda _: time.monotonic() > end

        play("both", lambda found: found.reads >= pairs, 0.5)
        service.up.psql("standby", "SELECT pg_wal_replay_pause()")
        play("replay paused", lasting())
        service.up.psql("standby", "SELECT pg_wal_replay_resume()")
        killed: list[float] = []

        def kill_once(found: Pairs) -> bool:
            if not killed and found.reads >= 50:
                service.kill(service.pid("standby"))
                killed.append(time.monotonic())
            return bool(killed) and time.monotonic() > killed[0] + seconds

        play("replica killed", kill_once)
        started: list[float] = []

        def start_once(found: Pairs) -> bool:
            if not started:
                service.start("standby")
                started.append(time.monotonic())
            return time.monotonic() > started[0] + 10

        play("replica starts", start_once)
        play("replica back", lasting(), 0.5)


@scenario(long={"seconds": 60})
def production_failover(stage: Stage, seconds: int) -> None:
    with production(stage, "--patroni") as service:
        writers, record, intended = service.users(CLIENTS), Record(), []
        readers = [Client(service.port) for _ in range(8)]
        for reader, writer in zip(readers[::2], writers, strict=False):
            reader.token = writer.token
        (follower,) = service.users(1, "follower")
        for writer in writers:
            follower.insist("POST", f"/user/follow/{writer.id}")
        # HAProxy divides them among the API processes.
        streams = [Subscriber(service.port, follower) for _ in range(STREAMS)]
        opened = wait_until(lambda: all(each.opened for each in streams), 30)
        stage.expect(opened, "no streams")
        reads, longest, gaps = Record(), 0.0, {id(reader): time.monotonic() for reader in readers}

        def write(client: Client) -> None:
            """Send one post, with one key, until it is stored."""
            text, key = client.next_text(), str(uuid.uuid4())
            intended.append(text)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                answer = client.request("POST", "/post/", {"text": text}, key=key)
                record.add(answer, text)
                if answer.succeeded:
                    return
                time.sleep(PAUSE_SECONDS)

        def read(client: Client) -> None:
            nonlocal longest
            answer = client.request("GET", "/post/")
            reads.add(answer)
            if answer.succeeded:
                longest = max(longest, answer.ended - gaps[id(client)])
                gaps[id(client)] = answer.ended
            else:
                time.sleep(PAUSE_SECONDS)

        with crowd(writers, write), crowd(readers, read):
            time.sleep(5)
            postmaster = service.folder / "postgres-1" / "postmaster.pid"
            service.kill(service.pid("postgres-1"), int(postmaster.read_text().split()[0]))
            killed = time.monotonic()
            success = record.first_success(killed + 1, 90)
            stage.say(f"writes are back after {(success or killed) - killed:.1f} s")
            stage.expect(success and success - killed <= TTL_SECONDS + 5, "writes are not back")
            time.sleep(10)
            service.start("postgres-1")
            time.sleep(seconds / 2)
        primary = service.up.port("etc/haproxy-patroni.cfg", "bind 127.0.0.1:")
        stored = [text for (text,) in service.execute(primary, "pamps", STORED)]
        wait_until(lambda: all(len(each.texts) >= len(stored) for each in streams), 60)
        for each in streams:
            each.end()
        wrong_streams = [each for each in streams if each.resets or each.texts != stored]
        opened = sum(each.opened for each in streams)
        stage.say(f"{len(streams)} streams, opened {opened} times, wrong {len(wrong_streams)}")
        for each in wrong_streams[:3]:
            missing = [text for text in stored if text not in each.texts]
            told = f"{len(each.texts)} of {len(stored)} posts were told, {each.resets} resets"
            stage.expect(False, f"{told}, missing {missing[:3]}")
        counts = service.posts(primary)
        lost = [text for text in record.acknowledged if text not in counts]
        twice = [text for text in intended if counts.get(text, 0) > 1]
        stage.say(f"acknowledged {len(record.acknowledged)}, lost {len(lost)}, twice {len(twice)}")
        stage.say(f"writes {record}, the slowest {record.slowest:.1f} s")
        stage.say(f"reads {reads}, none for {longest:.2f} s at most")
        stage.expect(not lost, f"lost {lost[:3]}")
        stage.expect(not twice, f"twice {twice[:3]}")
        stage.expect(longest <= STOP_SECONDS, f"no reads for {longest:.2f} s")
        wrong = [answer for answer in [*record.others, *reads.others] if not answer.refused]
        stage.say(f"neither success nor 503 with Retry-After {len(wrong)}")
        stage.expect(not wrong, f"{wrong[:3]}")
        stage.expect(max(record.slowest, reads.slowest) < 11, "beyond the deadline")


@scenario(long={"requests": 50_000})
def production_release(stage: Stage, requests: int) -> None:
    with production(stage) as service:
        users, record, number = service.users(CLIENTS), Record(), itertools.count()

        def turn(client: Client) -> None:
            if next(number) % 4:
                record.add(client.request("GET", "/post/"))
            else:
                text = client.next_text()
                record.add(client.request("POST", "/post/", {"text": text}), text)

        old, new = service.folder / "lib", service.folder / "lib-2"
        shutil.copytree(old, new, symlinks=True)
        versions = new / "pamps" / "migrations" / "versions"
        head = service.up.psql("primary", "SELECT version_num FROM alembic_version")
        (versions / "expand.py").write_text(EXPAND.format(head=head))
        releases = 0
        with crowd(users, turn):
            time.sleep(2)
            service.migrate(new)
            while len(record.successes) + len(record.others) < requests:
                for name in service.metrics:
                    service.replace(name, f" PYTHONPATH={old} ", f" PYTHONPATH={new} ")
                    time.sleep(2)
                releases, old = releases + 1, new
        stage.say(f"{releases} releases, the first with a migration; {record}")
        stage.say(f"the slowest {record.slowest:.2f} s")
        counts = service.posts(service.up.port("run/primary", " -p "))
        lost = [text for text in record.acknowledged if text not in counts]
        stage.say(f"acknowledged {len(record.acknowledged)}, lost {len(lost)}")
        stage.expect(not lost, f"lost {lost[:3]}")
        stage.say(f"failed {len(record.others)}")
        stage.expect(not record.others, f"failed: {[str(each) for each in record.others[:5]]}")
