"""One client, in a process that nothing else keeps busy.

    python -m tests.faults.probe PORT PATH SECONDS [keep-alive]

It asks for the path, waits so many seconds, and asks again, until its standard input ends. Then it
writes how long each answer took in milliseconds, as a JSON list; a failure has taken for ever.
"""

import http.client
import json
import select
import sys
import time


def main(port: str, path: str, pause: str, *keep_alive: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    milliseconds = []
    print("begins", flush=True)
    while not select.select([sys.stdin], [], [], float(pause))[0]:
        began = time.perf_counter()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            succeeded = response.status == 200
        except (OSError, http.client.HTTPException):
            succeeded = False
            connection.close()
        took = (time.perf_counter() - began) * 1000
        milliseconds.append(took if succeeded else float("inf"))
        if not keep_alive:
            connection.close()
    print(json.dumps(milliseconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
