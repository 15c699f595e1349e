"""What timelines cost at internet scale: fan-out on read, on write, and the hybrid of both.

    python -m bench.fan_out [--users 100000000] [--exponent 2.276] [--followers 100] …

Fan-out on read finds the newest entries of all followed users for each page, as Pamps does. Fan-out
on write delivers a row to each follower of an author, and a page is read from these rows. The
hybrid delivers what authors with few followers write, and reads the famous ones as before. Prints
what each takes of PostgreSQL in a day, and draws docs/images/fan-out.svg.

Nothing is random: authors are the quantiles of the distribution, in groups.
"""

import argparse
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY = 86_400
PAGE = 20
GROUPS = 20_000
THRESHOLDS = 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0


@dataclass
class Load:
    """Who follows, reads and writes how much in a day."""

    users: float = 100e6
    # P(followers > n) falls like n ** -(exponent - 1): Kwak et al. 2010, for Twitter in 2009.
    exponent: float = 2.276
    # The mean, and so the mean of how many a user follows. Of all accounts of Twitter it was 46 in
    # 2012 (Gabielkov et al. 2014: 505 million, 23 billion follows); these users are active ones.
    followers: float = 100
    # An author with n followers writes in proportion to (n + 1) ** activity. With this one a post
    # had 3.6 times as many readers in 2009 as a user had followers: 126 (Weaver), 35 (Kwak et al.).
    activity: float = 0.26
    # Pages and posts of a user: Twitter in 2012 had 150 million active users, 300,000 pages a
    # second and 400 million posts a day (Krikorian, Timelines at Scale).
    reads: float = 173
    posts: float = 2.7
    # For how long a delivered row is kept; what is older is read as before.
    kept_days: float = 7
    # Machines that share the users, each with the posts of its own: with 32 cores, half are busy.
    nodes: float = 8


@dataclass
class Costs:
    """What PostgreSQL spends, in microseconds and bytes.

    Measured by `python -m bench.fan_out_costs`: medians of seven turns of one run.
    """

    page: float = 280  # a page of delivered rows, with its posts,
    merge: float = 22  # and with those of the famous,
    famous: float = 7.1  # for each of them
    read: float = 489  # a page that is found by fan-out on read, and
    followed: float = 1.03  # for each followed user
    row: float = 13.4  # delivering a row, the first on its page of the index since a checkpoint
    statement: float = 9.7  # asking one more machine
    stored: float = 127
    logged: float = 6_410
    batch: float = 1_000  # rows in a statement


@dataclass
class Authors:
    """Groups of users with about as many followers: how many users, followers and posts each."""

    users: Floats
    followers: Floats
    posts: Floats


@dataclass
class Cost:
    """What a strategy takes of PostgreSQL, in a day."""

    cpu_seconds: float
    statements: float
    logged: float
    stored: float


def authors(load: Load) -> Authors:
    """Divide all users into groups, the most followed first, by the quantiles of a Lomax law.

    It is a power law for many followers, and allows none. The means are those of `load`.
    """
    edges = np.unique(np.geomspace(1, load.users + 1, GROUPS).round())
    users = np.diff(edges)
    rank = (edges[:-1] + edges[1:] - 1) / 2  # the middle of the group
    followers = (rank / (load.users + 1)) ** (-1 / (load.exponent - 1)) - 1
    followers *= load.followers / np.average(followers, weights=users)
    posts = (followers + 1) ** load.activity
    posts *= load.posts / np.average(posts, weights=users)
    return Authors(users, followers, posts)


def asked(nodes: float, rows: Floats | float) -> Floats:
    """Return how many machines have some of so many rows, which may be anywhere."""
    return np.asarray(nodes * (1 - (1 - 1 / nodes) ** rows))


def deliveries(authors: Authors, costs: Costs, load: Load) -> tuple[Floats, Floats, Floats]:
    """Return the rows, the statements and the microseconds to deliver all posts of each group."""
    posts = authors.users * authors.posts
    rows = posts * authors.followers
    machines = asked(load.nodes, authors.followers)
    statements = posts * machines * np.ceil(authors.followers / load.nodes / costs.batch)
    return rows, statements, rows * costs.row + statements * costs.statement


def merged_page(famous: Floats, costs: Costs, load: Load) -> tuple[Floats, Floats]:
    """Return the statements and the microseconds of a page of delivered rows and of the famous.

    `famous` is how many famous authors the reader follows. The rows are where the reader is; the
    posts, and the rows of the famous, are where their authors are.
    """
    statements = asked(load.nodes, 1 + PAGE + famous)
    microseconds = costs.page + costs.merge * (famous > 0) + costs.famous * famous
    return statements, microseconds + costs.statement * (statements - 1)


def hybrid(authors: Authors, threshold: float, costs: Costs, load: Load) -> Cost:
    """Return the cost if the posts of authors with up to `threshold` followers are delivered.

    With a threshold that nobody exceeds it is fan-out on write.
    """
    is_famous = authors.followers > threshold
    follows = (authors.users * authors.followers)[is_famous].sum()
    statements, microseconds = merged_page(follows / load.users, costs, load)
    delivered = [values[~is_famous].sum() for values in deliveries(authors, costs, load)]
    reads = load.users * load.reads
    return Cost(
        cpu_seconds=float(reads * microseconds + delivered[2]) / 1e6,
        statements=float(reads * statements + delivered[1]),
        logged=float(delivered[0]) * costs.logged,
        stored=float(delivered[0]) * costs.stored * load.kept_days,
    )


def on_write(authors: Authors, costs: Costs, load: Load) -> Cost:
    return hybrid(authors, np.inf, costs, load)


def on_read(authors: Authors, costs: Costs, load: Load) -> Cost:
    """Return the cost of fan-out on read: one row for each post, in the post's own statement."""
    reads, posts = load.users * load.reads, float(authors.users @ authors.posts)
    followed = float(authors.users @ authors.followers) / load.users
    statements = float(asked(load.nodes, followed))
    microseconds = costs.read + costs.followed * followed + costs.statement * (statements - 1)
    return Cost(
        cpu_seconds=(reads * microseconds + posts * costs.row) / 1e6,
        statements=reads * statements,
        logged=posts * costs.logged,
        stored=posts * costs.stored * load.kept_days,
    )


def best_threshold(authors: Authors, costs: Costs, load: Load) -> float:
    """Return the threshold at which the hybrid takes the least CPU; 0 if it delivers nothing."""
    # For each number of groups that are famous: none, the first, the first two, …
    follows = np.append(0, np.cumsum(authors.users * authors.followers))
    _, page = merged_page(follows / load.users, costs, load)
    _, _, delivery = deliveries(authors, costs, load)
    delivered = np.append(np.cumsum(delivery[::-1])[::-1], 0)
    best = int(np.argmin(load.users * load.reads * page + delivered))
    return float(np.append(authors.followers, 0)[best])


def crossing(authors: Authors, costs: Costs, load: Load) -> float:
    """Return from how many pages of a user and day on fan-out on write takes less CPU."""

    def dearer(reads: float) -> float:
        at = replace(load, reads=reads)
        write, read = on_write(authors, costs, at), on_read(authors, costs, at)
        return write.cpu_seconds - read.cpu_seconds

    saved = dearer(0) - dearer(1)  # by each page
    return dearer(0) / saved if saved > 0 else np.inf


def scale(value: float, unit: str = "") -> str:
    """Return a number in three digits."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def report(authors: Authors, costs: Costs, load: Load) -> str:
    best = best_threshold(authors, costs, load)
    strategies = {
        "on read": on_read(authors, costs, load),
        "on write": on_write(authors, costs, load),
        f"hybrid, up to {scale(best)} followers": hybrid(authors, best, costs, load),
    }
    lines = [
        "| fan-out, a day | CPU of PostgreSQL, s | cores | statements | WAL | rows stored |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for limit in THRESHOLDS:
        strategies[f"hybrid, up to {scale(limit)}"] = hybrid(authors, limit, costs, load)
    for name, cost in strategies.items():
        cells = scale(cost.cpu_seconds), f"{cost.cpu_seconds / DAY:,.0f}", scale(cost.statements)
        cells += scale(cost.logged, "B"), scale(cost.stored, "B")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    famous = authors.followers > best
    above = float(authors.users[famous].sum())
    share = float(authors.users[famous] @ authors.followers[famous]) / load.users / load.followers
    top = float(authors.followers[0])
    rows = float((authors.users * authors.posts) @ authors.followers)
    lines += [
        "",
        f"on write is cheaper from {crossing(authors, costs, load):.3g} pages of a user and day",
        f"authors above the best threshold: {scale(above)}, with {share:.0%} of all follows",
        f"readers of a post: {rows / load.users / load.posts:.0f}",
        f"most followers: {scale(top)}; CPU to deliver a post: {top * costs.row / 1e6:,.0f} s",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for table in Load, Costs:
        for field in fields(table):
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=float, default=field.default
            )
    options = vars(parser.parse_args())
    load, costs = (
        table(**{field.name: options[field.name] for field in fields(table)})
        for table in (Load, Costs)
    )
    print(report(authors(load), costs, load))
    from bench.fan_out_plot import plot  # which imports this module

    plot(authors(load), costs, load)


if __name__ == "__main__":
    main()
