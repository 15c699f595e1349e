"""What timelines cost by fan-out on read, on write, and by the hybrid of both: the arithmetic.

Fan-out on read finds the newest entries of all followed users for each page, as Pamps does. Fan-out
on write delivers a row to each follower of an author, and a page is read from these rows. The
hybrid delivers what authors with few followers write, and reads the famous ones as before.

Nothing is random: authors are the quantiles of the distribution, in groups.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Strategy = Callable[..., "Cost"]

DAY = 86_400
PAGE = 20
GROUPS = 20_000


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
    # What a machine is used for: 60 % of 32 cores, and of the WAL that a standby replays in a
    # second (157 MB: `python -m bench.stack`).
    cores: float = 19
    replayed: float = 94e6


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

    def machines(self, costs: Costs) -> float:
        """Return how many primaries that takes, for its CPU or for its WAL."""
        return max(self.cpu_seconds / costs.cores, self.logged / costs.replayed) / DAY


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
    rows, written, delivery = (
        values[~is_famous].sum() for values in deliveries(authors, costs, load)
    )
    posts = (authors.users * authors.posts)[is_famous].sum()  # one row each, to be found there
    reads = load.users * load.reads
    return Cost(
        cpu_seconds=float(reads * microseconds + delivery + posts * costs.row) / 1e6,
        statements=float(reads * statements + written),
        logged=float(rows + posts) * costs.logged,
        stored=float(rows + posts) * costs.stored * load.kept_days,
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
    """Return the threshold at which the hybrid takes the fewest machines; 0 to deliver nothing."""
    # For each number of groups that are famous: none, the first, the first two, …
    follows, posts = (
        np.append(0, np.cumsum(authors.users * each)) for each in (authors.followers, authors.posts)
    )
    _, page = merged_page(follows / load.users, costs, load)
    rows, _, delivery = (
        np.append(np.cumsum(values[::-1])[::-1], 0) for values in deliveries(authors, costs, load)
    )
    cpu_seconds = (load.users * load.reads * page + delivery + posts * costs.row) / 1e6
    machines = np.maximum(cpu_seconds / costs.cores, (rows + posts) * costs.logged / costs.replayed)
    return float(np.append(authors.followers, 0)[int(np.argmin(machines))])


def crossing(find: Callable[[Strategy, Load], float], load: Load) -> float:
    """Return from how many pages of a user and day on fan-out on write costs less.

    `find` returns what a strategy costs.
    """
    low, high = 1e-3, 1e6
    for _ in range(100):
        middle = np.sqrt(low * high)
        at = replace(load, reads=middle)
        is_cheaper = find(on_write, at) < find(on_read, at)
        low, high = (low, middle) if is_cheaper else (middle, high)
    return high
