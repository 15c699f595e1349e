"""Whether the time of `POST /password/forgot/` tells who has an account.

    python -m bench.mail [--tries 500]

Serves Pamps on a database of its own, with an SMTP server that takes all mails, and asks in turn by
chance for an address that somebody has and for one that nobody has. It measures these requests, and
after each a read of somebody else, which could wait while the mail is sent. The area under the ROC
curve says how well the times of one kind are told from those of the other: 0.5 is not at all.
"""

import argparse
import contextlib
import itertools
import math
import random
import time

from bench.sign_in import area
from tests.databases import embedded_server, migrated_database
from tests.mailbox import Mailbox
from tests.servers import served

REQUESTS = {
    "forgot": "the request itself",
    "read": "a read that follows it at once",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=500, help="of each kind")
    tries = parser.parse_args().tries
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(migrated_database(stack.enter_context(embedded_server())))
        mailbox = stack.enter_context(Mailbox())
        settings = {
            "PAMPS_DB__uri": database,
            "PAMPS_RATE_LIMIT__requests": "1000000/minute",
            "PAMPS_RATE_LIMIT__mails": "1000000/minute",
            "PAMPS_RATE_LIMIT__mails_per_address": "1000000/minute",
            "PAMPS_MAIL__host": "127.0.0.1",
            "PAMPS_MAIL__port": str(mailbox.port),
            "PAMPS_MAIL__tls": "none",
            "PAMPS_MAIL__from": "pamps@pamps.com",
        }
        process, client = stack.enter_context(served(settings))
        account = {"username": "known", "email": "known@pamps.com", "password": "right"}
        client.post("/user/", json=account).raise_for_status()

        times: dict[tuple[str, str], list[float]] = {
            (name, email): [] for name, email in itertools.product(REQUESTS, ("known", "nobody"))
        }
        emails = random.sample(["known", "nobody"] * tries, 2 * tries)
        for email in emails:
            body = {"email": f"{email}@pamps.com"}
            started = time.perf_counter()
            assert client.post("/password/forgot/", json=body).status_code == 202
            asked = time.perf_counter()
            assert client.get("/user/known/").status_code == 200
            read = time.perf_counter()
            times["forgot", email].append(asked - started)
            times["read", email].append(read - asked)
        process.terminate()
    print(f"{mailbox.mails.qsize()} mails were sent")
    for name, description in REQUESTS.items():
        known, nobody = times[name, "known"], times[name, "nobody"]
        medians = ", ".join(f"{sorted(seen)[tries // 2] * 1000:.2f}" for seen in (known, nobody))
        print(f"{description}: median {medians} ms, ROC AUC {area(nobody, known):.3f}")
    # The standard error of the area between two samples of one distribution (Mann-Whitney).
    chance = math.sqrt((2 * tries + 1) / (12 * tries**2))
    print(f"by chance alone, two of three lie within 0.5 ± {chance:.3f}")


if __name__ == "__main__":
    main()
