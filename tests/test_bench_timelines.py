"""The arithmetic of `bench/timelines.py`, on cases that can be done by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bench import timelines
from bench.timelines import DAY, Authors, Costs, Load

# One author with 80 followers and four posts a day, and ten with 2 followers and one post.
AUTHORS = Authors(np.array([1.0, 10.0]), np.array([80.0, 2.0]), np.array([4.0, 1.0]))
LOAD = Load(users=100, reads=5, nodes=1, kept_days=2)
COSTS = Costs(
    page=100,
    merge=10,
    famous=60,
    read=120,
    followed=50,
    row=20,
    statement=7,
    stored=3,
    logged=9,
    batch=30,
    cores=2,
    replayed=1e9,
)


def test_on_read_looks_for_every_followed_user_on_each_page():
    cost = timelines.on_read(AUTHORS, COSTS, LOAD)
    # 500 pages, 100 follows of 100 users, 14 posts.
    assert cost.cpu_seconds * 1e6 == pytest.approx(500 * (120 + 50) + 14 * 20)
    assert cost.statements == pytest.approx(500)
    assert (cost.logged, cost.stored) == pytest.approx((14 * 9, 14 * 3 * 2))


def test_on_write_delivers_a_row_to_every_follower():
    cost = timelines.on_write(AUTHORS, COSTS, LOAD)
    # 4 posts to 80 followers in 3 statements each, 10 posts to 2 followers in one.
    rows, statements = 4 * 80 + 10 * 2, 4 * 3 + 10
    assert cost.cpu_seconds * 1e6 == pytest.approx(500 * 100 + rows * 20 + statements * 7)
    assert cost.statements == pytest.approx(500 + statements)
    assert (cost.logged, cost.stored) == pytest.approx((rows * 9, rows * 3 * 2))


def test_the_hybrid_reads_the_famous_and_delivers_all_others():
    cost = timelines.hybrid(AUTHORS, 2, COSTS, LOAD)
    # 80 of the 100 follows are of the famous author: 0.8 for each user. Each of its posts is a row.
    page = 100 + 10 + 0.8 * 60
    assert cost.cpu_seconds * 1e6 == pytest.approx(500 * page + (20 + 4) * 20 + 10 * 7)
    assert cost.statements == pytest.approx(500 + 10)
    assert (cost.logged, cost.stored) == pytest.approx((24 * 9, 24 * 3 * 2))


def test_a_page_asks_each_machine_that_has_a_row_of_it():
    assert timelines.asked(1, 20) == 1
    assert timelines.asked(2, 2) == pytest.approx(1.5)
    load = replace(LOAD, nodes=2)
    read, write = (find(AUTHORS, COSTS, load) for find in (timelines.on_read, timelines.on_write))
    assert read.statements == pytest.approx(500)  # each user follows one
    # 2 followers are on 1.5 machines; 40 followers on each of two machines are two batches.
    assert write.statements == pytest.approx(500 * 2 + 4 * 2 * 2 + 10 * 1.5)
    more = 500 * 7 + (4 * 2 * 2 + 10 * 1.5) * 7
    assert write.cpu_seconds * 1e6 == pytest.approx(500 * 100 + 340 * 20 + more)


def test_a_machine_has_so_many_cores_and_replays_so_much():
    cost = timelines.Cost(cpu_seconds=4 * DAY, statements=0, logged=1e9 * DAY, stored=0)
    assert cost.machines(COSTS) == pytest.approx(2)
    assert cost.machines(replace(COSTS, replayed=1e8)) == pytest.approx(10)


@pytest.mark.parametrize("reads", [0.1, 1, 10, 1000])
@pytest.mark.parametrize("logged", [0, 1_000])
def test_no_threshold_takes_fewer_machines_than_the_best(reads, logged):
    load, costs = Load(users=10_000, reads=reads), Costs(logged=logged)
    authors = timelines.authors(load)
    best = timelines.hybrid(authors, timelines.best_threshold(authors, costs, load), costs, load)
    all_costs = [timelines.hybrid(authors, limit, costs, load) for limit in (0, *authors.followers)]
    assert best.machines(costs) == pytest.approx(min(cost.machines(costs) for cost in all_costs))


def test_both_cost_the_same_where_they_cross():
    def cpu_seconds(strategy, load, costs=COSTS):
        return strategy(AUTHORS, costs, load).cpu_seconds

    load = replace(LOAD, reads=timelines.crossing(cpu_seconds, LOAD))
    assert 0.01 < load.reads < 100
    assert cpu_seconds(timelines.on_read, load) == pytest.approx(
        cpu_seconds(timelines.on_write, load)
    )


def test_followers_and_posts_have_the_means_and_the_tail_that_are_asked_for():
    load = Load(users=1e8, exponent=2.5, followers=40, posts=3, activity=0.3)
    authors = timelines.authors(load)
    assert authors.users.sum() == load.users
    assert np.average(authors.followers, weights=authors.users) == pytest.approx(40)
    assert np.average(authors.posts, weights=authors.users) == pytest.approx(3)
    # A hundred times as many users have 100 ** (1 / 1.5) times fewer followers.
    rank = np.cumsum(authors.users)
    few, many = (authors.followers[np.searchsorted(rank, number)] for number in (1e4, 1e2))
    assert many / few == pytest.approx(100 ** (1 / 1.5), rel=0.01)
