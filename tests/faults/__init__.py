"""Faults, as an operator meets them: real processes on loopback, killed, frozen, starved, crowded.

    python -m tests.faults [--long] [NAME …]

Each scenario has a PostgreSQL of its own (fsync on, in a temporary folder), `pamps serve` with two
workers as in production, and clients that know what they were promised. The quick form is part of
./test.sh, the long one is `./test.sh --faults`; they differ in numbers only.

| name | what is done | what must hold |
|---|---|---|
| database-killed | kill -9 of all of PostgreSQL under 16 writers | no acknowledged post is lost; 2xx or 503 with Retry-After, before request_timeout; a success 1 s after it accepts |
| database-killed-control | the same, with synchronous_commit off (long) | posts are lost, or the scenario above could not fail |
| database-restarted | the same with a tidy stop, which says goodbye to each connection | the same, and no answer takes request_timeout |
| worker-killed | kill -9 of a worker each second | nothing lost, only 2xx; no answer only on connections of the killed worker |
| stop-under-load | SIGTERM under 16 keep-alive clients, and a new start | every request that was sent is answered with 2xx; exit status 0 |
| retries | kill -9 of workers and database, and clients that hang up and send again | with Idempotency-Key each post is there once |
| races | 50 likes, follows, refreshes at once; follows and likes crosswise | one row; counters equal the truth; no 5xx |
| frozen | SIGSTOP of all of PostgreSQL under 64 clients | each answer within request_timeout + 1 s, 2xx or 503; /health/live in 50 ms; a success 2 s after SIGCONT |
| half-open | connections that send nothing, half a head, a byte a second | closed at receive_timeout (+ 3 s); p99 of somebody else at most 5 times the usual |
| disk-full | the disk of the tables is full (long, root) | reads go on, writes are 503, and both go on when there is room |
| steady | mixed load for half an hour (long) | no 5xx; memory and connections do not grow |
| replicas | a replica that replays nothing, is killed and comes back, and a primary that does, under 16 clients that write at one server and read at another | nobody misses what they have written; no failed request but writes without a primary; reads stop for 2 s at most; the replica serves at least half of the reads |
| production-replica | the same replica faults behind HAProxy and PgBouncer, as `deploy/try.sh` brings them up (long) | the same |
| production-failover | the machine of the primary is lost under 16 writers, Patroni promotes the standby (long) | nothing lost, nothing twice; writes back within ttl + 5 s; reads stop for 2 s at most |
| production-release | rolling releases behind HAProxy under load, the first with a migration that expands the schema (long) | no failed request of 50,000 |
| production-pool | 500 connections of clients on 8 to each database through PgBouncer (long) | no failed request; no state of sessions is left behind |
| network-cut | packets are dropped between API and primary, primary and standby, primary and all but the API (long, root) | never two primaries; nothing lost, nothing twice; each answer within request_timeout + 1 s; writes go on without the standby |
| backup | backup, destroy, restore (long) | every row of every table is equal |
"""  # noqa: E501
