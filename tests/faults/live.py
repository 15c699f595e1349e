"""Streams of events, while what they come from and what sends them is killed."""

import contextlib
import http.client
import json
import random
import threading
import time

from tests.faults.clients import Client, Record, crowd
from tests.faults.scenarios import Stage, scenario
from tests.postgresql import wait_until

SUBSCRIBERS, WRITERS = 100, 4
PAUSE_SECONDS = 0.2


class Subscriber:
    """Somebody who reads a stream, and comes back by the id of the latest event."""

    def __init__(self, port: int, reader: Client) -> None:
        self.port, self.token = port, reader.token
        self.texts: list[str] = []
        self.last, self.opened, self.resets = "", 0, 0
        self.connection: http.client.HTTPConnection | None = None
        self.ended = False
        self.thread = threading.Thread(target=self._read_on, daemon=True)
        self.thread.start()

    def _read_on(self) -> None:
        while not self.ended:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._read()
            time.sleep(random.uniform(0, PAUSE_SECONDS))

    def _read(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.token}"}
        headers |= {"Last-Event-ID": self.last} if self.last else {}
        self.connection.request("GET", "/live/", headers=headers)
        response = self.connection.getresponse()
        if response.status != 200:
            return
        self.opened += 1
        fields: dict[str, str] = {}
        while line := response.readline():
            name, _, value = line.decode().strip().partition(": ")
            if name:
                fields[name] = value
                continue
            # An event counts once all of it is there.
            self.last = fields.get("id", self.last)
            if fields.get("event") == "post":
                self.texts.append(json.loads(fields["data"])["text"])
            self.resets += fields.get("event") == "reset"
            fields = {}

    def end(self) -> None:
        self.ended = True
        if self.connection and self.connection.sock:
            with contextlib.suppress(OSError):
                self.connection.sock.shutdown(2)
        self.thread.join(30)


@scenario(quick={"kills": 3}, long={"kills": 20})
def live(stage: Stage, kills: int) -> None:
    stage.ground.clear()  # the new one is in the same place
    with stage.ground.new_world(LIVE__max_streams_per_caller="1000") as world:
        writers, (reader,) = world.newcomers(WRITERS), world.newcomers(1)
        for writer in writers:
            reader.insist("POST", f"/user/follow/{writer.id}")
        readers = [Subscriber(world.pamps.port, reader) for _ in range(SUBSCRIBERS)]
        stage.expect(wait_until(lambda: all(r.opened for r in readers), 30), "no streams")
        record = Record()

        def turn(client: Client) -> None:
            text = client.next_text()
            record.add(client.request("POST", "/post/", {"text": text}), text)
            time.sleep(PAUSE_SECONDS)

        victims = (["worker", "database", "connections"] * kills)[:kills]
        with crowd(writers, turn):
            for victim in victims:
                time.sleep(random.uniform(0.5, 1.5))
                if victim == "worker":
                    wait_until(lambda: world.pamps.kill_worker() is not None, 15)
                elif victim == "database":
                    world.database.kill()
                    world.database.start()
                else:
                    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
                    world.database.execute(ended)
            record.first_success(time.monotonic(), 15)
        # Acknowledged or not: what is stored arrives, in the order of the transactions.
        stored = [text for (text,) in world.database.execute(STORED)]
        wait_until(lambda: all(len(each.texts) >= len(stored) for each in readers), 60)
        for each in readers:
            each.end()
        opened = sum(each.opened for each in readers)
        stage.say(f"{kills} kills, {len(readers)} streams opened {opened} times, {record}")
        wrong = [each for each in readers if each.texts != stored]
        stage.say(f"{len(stored)} posts each, wrong for {len(wrong)}")
        stage.expect(not any(each.resets for each in readers), "an id was not known")
        for each in wrong[:3]:
            missing = [text for text in stored if text not in each.texts]
            stage.expect(False, f"{len(each.texts)} arrived, missing {missing[:3]}")
        stage.expect_kept(world, record)


STORED = """
SELECT text FROM event JOIN post ON post.id = subject_id WHERE kind = 'post' ORDER BY xid, event.id
"""
