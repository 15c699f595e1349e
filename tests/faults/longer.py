"""What takes time: half an hour of ordinary use, and a backup of all there is."""

import random
import statistics
import time
from pathlib import Path

from tests.faults.clients import Answer, Client, Record, crowd
from tests.faults.scenarios import Stage, scenario
from tests.faults.servers import WORKERS
from tests.postgresql import PostgreSQL

MEGABYTES_PER_10_MINUTES = 1
SAMPLE_SECONDS = 10


def _resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def _use(client: Client, posts: list[int], users: list[Client]) -> Answer:
    """One thing that a user does, what is done more often more often."""
    post, other = random.choice(posts), random.choice(users)
    match random.choices(range(9), (30, 15, 10, 10, 10, 8, 2, 5, 10))[0]:
        case 0:
            return client.request("GET", "/post/")
        case 1:
            return client.request("GET", f"/post/{post}/")
        case 2:
            return client.request("GET", "/user/timeline")
        case 3:
            return client.request("GET", f"/post/user/{other.username}/")
        case 4:
            return client.request(random.choice(("POST", "DELETE")), f"/post/{post}/like/")
        case 5 if other is not client:
            return client.request(random.choice(("POST", "DELETE")), f"/user/follow/{other.id}")
        case 6:
            answer = client.request("POST", "/token", form=client.credentials)
            client.refresh_token = answer.json()["refresh_token"] if answer.succeeded else ""
            return answer
        case 7 if getattr(client, "refresh_token", ""):
            body = {"refresh_token": client.refresh_token}
            answer = client.request("POST", "/refresh_token", body)
            client.refresh_token = answer.json()["refresh_token"] if answer.succeeded else ""
            if answer.succeeded:  # the access token would not last for half an hour
                client.token = answer.json()["access_token"]
            return answer
        case _:
            return client.request("POST", "/post/", {"text": client.next_text()})


@scenario(long={"minutes": 30, "connections": 80})
def steady(stage: Stage, minutes: float, connections: int) -> None:
    # With the hashes of production, as they are what takes memory.
    costs = {"SECURITY__ARGON2_MEMORY_COST": "19456", "SECURITY__ARGON2_TIME_COST": "2"}
    with stage.ground.new_world(**costs) as world:
        users, record = world.users(8), Record()
        posts = [
            user.insist("POST", "/post/", {"text": user.next_text()})["id"]
            for user in users
            for _ in range(20)
        ]

        def turn(client: Client) -> None:
            record.add(_use(client, posts, users))
            record.successes.clear()  # half an hour of them is not needed
            time.sleep(0.01)

        samples: dict[int, list[tuple[float, float]]] = {pid: [] for pid in world.pamps.workers()}
        open_connections = []
        began = time.monotonic()
        warm, ends = min(300, minutes * 60 / 3), minutes * 60
        counting = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with crowd(users, turn):
            while (now := time.monotonic() - began) < ends:
                for pid, of_worker in samples.items():
                    of_worker.append((now, _resident_megabytes(pid)))
                ((count,),) = world.database.execute(counting)
                open_connections.append(count - 1)
                time.sleep(SAMPLE_SECONDS)
        stage.say(f"{minutes:g} minutes, {record.total} requests: {record}")
        stage.expect(sorted(samples) == sorted(world.pamps.workers()), "a worker died")
        for of_worker in samples.values():
            after = [sample for sample in of_worker if sample[0] >= warm]
            seconds, megabytes = zip(*after, strict=True)
            growth = statistics.linear_regression(seconds, megabytes).slope * 600
            stage.say(f"{growth:+.2f} MB in 10 minutes from {megabytes[0]:.1f} MB")
            stage.expect(growth < MEGABYTES_PER_10_MINUTES, f"a worker grew: {megabytes[::6]}")
        stage.say(f"connections {max(open_connections)} at most")
        stage.expect(max(open_connections) <= connections, f"connections {max(open_connections)}")
        wrong = [answer for answer in record.others if not 200 <= answer.status < 500]
        stage.expect_none(wrong, "5xx or none", world)
        stage.expect(len(samples) == WORKERS, f"{len(samples)} workers")


def _all_rows(server: PostgreSQL) -> dict[str, list[tuple]]:
    """Each table's rows, and where each sequence is, as text."""
    named = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
    rows = {}
    for (table,) in server.execute(named):
        query = f"SELECT whole::text FROM {table} AS whole ORDER BY 1"
        rows[table] = server.execute(query)
    sequences = "SELECT sequencename, last_value::text FROM pg_sequences ORDER BY 1"
    return rows | {"sequences": server.execute(sequences)}


@scenario(long={"users": 500, "posts": 20_000})
def backup(stage: Stage, users: int, posts: int) -> None:
    file = stage.ground.folder / "backup"
    with stage.ground.new_world() as world:
        run, (ana,) = world.pamps.run, world.users(1)
        # Production refuses made-up data, and is what a backup is of.
        run("fake-data", "--users", str(users), "--posts", str(posts), PAMPS_ENV="development")
        ana.request("POST", "/post/", {"text": "ação, 日本語, \\ and \t"}, key="once")
        before = _all_rows(world.database)
        before["session"] = []  # a restore ends them
        run("backup", str(file))
        # A restore is refused while somebody may write.
        stage.expect(world.pamps.stop() == 0, "Pamps did not stop")
        run("reset-db", "--force")
        gone = _all_rows(world.database)
        stage.expect(not any(gone.values()), f"reset-db has left {list(gone)}")
        run("restore", "--force", str(file))
        after = _all_rows(world.database)
        world.pamps.start()
        size = file.stat().st_size / 2**20
        stage.say(f"{sum(map(len, before.values()))} rows of {len(before)} tables, {size:.1f} MB")
        for table in before.keys() | after.keys():
            one, other = before.get(table, []), after.get(table, [])
            stage.expect(one == other, f"{table}: {len(one)} rows were, {len(other)} are other")
        ana.http.close()
        ana.token = ana.sign_in()["access_token"]
        answers = [ana.request("POST", "/post/", {"text": f"after {n}"}) for n in range(20)]
        wrong = [answer for answer in answers if not answer.succeeded]
        stage.expect_none(wrong, "posts refused afterwards", world)
