"""What a sign-in costs, and whether the time of a failed one tells who exists.

    python -m bench.sign_in [--tries 200]

Serves Pamps with its defaults on a database of its own, and tries a name that nobody has, a wrong
password for an argon2 hash, and one for a bcrypt hash of a workshop database. The area under the
ROC curve says how well times of one kind are told from those of another: 0.5 is not at all.
"""

import argparse
import contextlib
import itertools
import math
import os
import random
import time
from pathlib import Path

from passlib.hash import bcrypt
from sqlalchemy import make_url

from tests.databases import embedded_server, execute, migrated_database
from tests.servers import served


def area(left: list[float], right: list[float]) -> float:
    """Under the ROC curve: how often a time of the right is longer than one of the left."""
    pairs = itertools.product(left, right)
    return sum((a < b) + (a == b) / 2 for a, b in pairs) / (len(left) * len(right))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=200, help="of each kind")
    tries = parser.parse_args().tries
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(migrated_database(stack.enter_context(embedded_server())))
        settings = {"PAMPS_DB__uri": database, "PAMPS_RATE_LIMIT__enabled": "false"}
        process, client = stack.enter_context(served(settings))
        for name in ("argon2", "bcrypt"):
            account = {"username": name, "email": f"{name}@pamps.com", "password": "right"}
            client.post("/user/", json=account).raise_for_status()
        old = bcrypt.using(rounds=12).hash("right")
        change = f"UPDATE \"user\" SET password = '{old}' WHERE username = 'bcrypt'"
        execute(make_url(database), change)

        times: dict[str, list[float]] = {"nobody": [], "argon2": [], "bcrypt": []}
        for _ in range(tries):
            # In another order each time, or what comes after bcrypt would always be the same.
            for name, seen in random.sample(sorted(times.items()), len(times)):
                started = time.perf_counter()
                response = client.post("/token", data={"username": name, "password": "wrong"})
                seen.append(time.perf_counter() - started)
                assert response.status_code == 401
        for name, seen in times.items():
            print(f"{name}: median {sorted(seen)[tries // 2] * 1000:.2f} ms")
        for left, right in itertools.combinations(times, 2):
            print(f"ROC AUC, {left} and {right}: {area(times[left], times[right]):.3f}")
        # The standard error of the area between two samples of one distribution (Mann-Whitney).
        chance = math.sqrt((2 * tries + 1) / (12 * tries**2))
        print(f"by chance alone, two of three lie within 0.5 ± {chance:.3f}")

        before = cpu_seconds(process.pid)
        for _ in range(tries):
            form = {"username": "argon2", "password": "right"}
            assert client.post("/token", data=form).status_code == 200
        each = (cpu_seconds(process.pid) - before) / tries
        print(f"CPU of the server for a sign-in: {each * 1000:.1f} ms")
        process.terminate()


if __name__ == "__main__":
    main()
