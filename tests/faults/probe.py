"""One client, in a process that nothing else keeps busy.

    python -m tests.faults.probe PORT PATH SECONDS [keep-alive]

It asks for the path, waits so many seconds, and asks again, until its standard input ends. Then it
writes as JSON how long each answer took in milliseconds, a failure for ever, and what failed.
"""

import contextlib
import http.client
import json
import select
import sys
import time


def main(port: str, path: str, pause: str, *keep_alive: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    milliseconds, failures = [], []
    # What Python loads for a first request, beside a crowd, is not the server's time.
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("HEAD", path)
    connection.close()
    print("begins", flush=True)
    while not select.select([sys.stdin], [], [], float(pause))[0]:
        began = time.perf_counter()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            failure = "" if response.status == 200 else f"{response.status} {body[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            failure = repr(error)
            connection.close()
        took = (time.perf_counter() - began) * 1000
        milliseconds.append(float("inf") if failure else took)
        if failure:
            failures.append(f"{failure} after {took:.0f} ms")
        if not keep_alive:
            connection.close()
    print(json.dumps([milliseconds, failures]))


if __name__ == "__main__":
    main(*sys.argv[1:])
