"""PgBouncer: many connections of clients on few of the server."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from tests.faults.clients import Client, Record, crowd
from tests.faults.deployment import production
from tests.faults.production import CLIENTS
from tests.faults.scenarios import Stage, scenario

# What a session has set; PgBouncer itself sets the name and the encoding of each client.
CHANGED = """SELECT name FROM pg_settings WHERE source = 'session'
    AND name NOT IN ('application_name', 'client_encoding')"""
SERVERS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pamps'"


@scenario(long={"clients": 500, "servers": 8, "turns": 20})
def production_pool(stage: Stage, clients: int, servers: int, turns: int) -> None:
    with production(stage) as service:
        config = service.folder / "etc" / "pgbouncer.ini"
        text = config.read_text()
        config.write_text(text.replace("default_pool_size = 20", f"default_pool_size = {servers}"))
        service.kill(service.pid("pgbouncer"))
        service.start("pgbouncer")
        users, record = service.users(CLIENTS), Record()
        port = service.up.port("etc/pgbouncer.ini", "listen_port = ")
        connections = [service.connect(port, "pamps") for _ in range(clients)]
        found: set[str] = set()
        most, transactions, lock = 0, itertools.count(), threading.Lock()

        def use(part: list[psycopg2.extensions.connection]) -> None:
            """Let each of these connections store, read, and look for what others have set."""
            for connection in part * turns:
                cursor = connection.cursor()
                cursor.execute("BEGIN; SET LOCAL work_mem = '1MB'; SELECT count(*) FROM post")
                cursor.execute("COMMIT")
                cursor.execute(CHANGED)
                with lock:
                    found.update(name for (name,) in cursor.fetchall())
                    next(transactions)

        def turn(client: Client) -> None:
            record.add(client.request("GET", "/user/timeline"))
            text = client.next_text()
            record.add(client.request("POST", "/post/", {"text": text}), text)

        with crowd(users, turn), ThreadPoolExecutor(CLIENTS) as pool:
            parts = [pool.submit(use, connections[n::CLIENTS]) for n in range(CLIENTS)]
            while not all(part.done() for part in parts):
                most = max(most, int(service.up.psql("primary", SERVERS)))
            for part in parts:
                part.result()
        stage.say(f"{clients} connections, {next(transactions)} × 2 transactions, no error")
        stage.say(f"Pamps meanwhile {record}, the slowest {record.slowest:.1f} s")
        stage.say(f"at most {most} connections of the server, session state found {sorted(found)}")
        stage.expect(not record.others, f"{[str(each) for each in record.others[:3]]}")
        stage.expect(not found, f"state of sessions: {found}")
        stage.expect(most <= servers, f"{most} connections of the server")
        connections[0].cursor().execute("SET work_mem = '1MB'")
        seen = any(service.execute(port, "pamps", CHANGED) for _ in range(100))
        stage.expect(seen, "what is left behind cannot be seen")
        for connection in connections:
            connection.close()
