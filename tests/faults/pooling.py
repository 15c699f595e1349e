"""PgBouncer: many connections of clients on few of the server."""

import itertools
import time

from tests.faults.production import CLIENTS, production
from tests.faults.world import Client, Record, Stage, crowd, scenario

# What a session has set; PgBouncer itself sets the name and the encoding of each client.
CHANGED = """SELECT name FROM pg_settings WHERE source = 'session'
    AND name NOT IN ('application_name', 'client_encoding')"""


@scenario(long={"clients": 500, "servers": 8, "seconds": 30})
def production_pool(stage: Stage, clients: int, servers: int, seconds: int) -> None:
    with production(stage) as service:
        config = service.folder / "etc" / "pgbouncer.ini"
        text = config.read_text().replace(
            "default_pool_size = 20", f"default_pool_size = {servers}"
        )
        config.write_text(text + "stats_users = pamps\n")
        service.kill(service.pid("pgbouncer"))
        service.start("pgbouncer")
        for name in service.metrics:  # with two workers each
            more = f" PAMPS_DB__pool_size={clients // 4} PAMPS_ENV="
            service.replace(name, " PAMPS_ENV=", more)
        users, record = service.users(CLIENTS), Record()
        everybody = [Client(service.port) for _ in range(clients)]
        for client, user in zip(everybody, itertools.cycle(users), strict=False):
            client.username, client.token = user.username, user.token
        number = itertools.count()

        def turn(client: Client) -> None:
            if next(number) % 4:
                record.add(client.request("GET", "/user/timeline"))
            else:
                text = client.next_text()
                record.add(client.request("POST", "/post/", {"text": text}), text)

        port = service.up.port("etc/pgbouncer.ini", "listen_port = ")
        most: dict[str, tuple[int, int]] = {}
        found: set[str] = set()
        looks = 0

        with crowd(everybody, turn):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for database, user, *counts in service.execute(port, "pgbouncer", "SHOW POOLS"):
                    if user == "pamps":
                        seen = sum(counts[:2]), sum(counts[3:7])  # of clients, of servers
                        old = most.get(database, (0, 0))
                        most[database] = max(old[0], seen[0]), max(old[1], seen[1])
                for database in ("pamps", "pamps_standby"):
                    found |= {name for (name,) in service.execute(port, database, CHANGED)}
                    looks += 1
        stage.say(f"{record}, the slowest {record.slowest:.1f} s")
        stage.say(f"at most (clients, servers) {most}")
        stage.say(f"session state found {sorted(found)} in {looks} looks")
        stage.expect(not record.others, f"{[str(each) for each in record.others[:3]]}")
        stage.expect(not found, f"state of sessions: {found}")
        service.execute(port, "pamps", "SET work_mem = '1MB'")
        seen = any(service.execute(port, "pamps", CHANGED) for _ in range(100))
        stage.expect(seen, "what is left behind cannot be seen")
