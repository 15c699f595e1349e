"""What timelines cost at internet scale: fan-out on read, on write, and the hybrid of both.

    python -m bench.fan_out [--users 100000000] [--exponent 2.276] [--followers 100] …

Prints what each takes of PostgreSQL in a day, and draws docs/images/fan-out.svg. Each field of
`Load` and `Costs` is an option: see `bench/timelines.py`.
"""

import argparse
from dataclasses import fields, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from bench.timelines import (
    Authors,
    Costs,
    Load,
    authors,
    best_threshold,
    crossing,
    hybrid,
    on_read,
    on_write,
)

PLOT = Path(__file__).parents[1] / "docs" / "images" / "fan-out.svg"
THRESHOLDS = 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0


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
        "| fan-out, a day | CPU of PostgreSQL, s | statements | WAL | rows stored | machines |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for limit in THRESHOLDS:
        strategies[f"hybrid, up to {scale(limit)}"] = hybrid(authors, limit, costs, load)
    for name, cost in strategies.items():
        cells = scale(cost.cpu_seconds), scale(cost.statements), scale(cost.logged, "B")
        cells += scale(cost.stored, "B"), f"{cost.machines(costs):.1f}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    famous = authors.followers > best
    above = float(authors.users[famous].sum())
    share = float(authors.users[famous] @ authors.followers[famous]) / load.users / load.followers
    top = float(authors.followers[0])
    rows = float((authors.users * authors.posts) @ authors.followers)
    cpu = crossing(lambda strategy, at: strategy(authors, costs, at).cpu_seconds, load)
    machines = crossing(lambda strategy, at: strategy(authors, costs, at).machines(costs), load)
    lines += [
        "",
        f"on write takes less CPU from {cpu:,.0f} pages of a user and day on,",
        f"and fewer machines from {machines:,.0f}",
        f"authors above the best threshold: {scale(above)}, with {share:.0%} of all follows",
        f"readers of a post: {rows / load.users / load.posts:.0f}",
        f"most followers: {scale(top)}; CPU to deliver a post: {top * costs.row / 1e6:,.0f} s",
    ]
    return "\n".join(lines)


def plot(authors: Authors, costs: Costs, load: Load) -> None:
    """Draw the machines by how much is read, and by the threshold."""
    mpl.rcParams.update({"svg.hashsalt": "pamps", "font.size": 9})
    figure, (by_reads, by_threshold) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    reads = np.geomspace(1, 10_000, 60)
    lines: dict[str, list[float]] = {"on read": [], "on write": [], "hybrid": []}
    for number in reads:
        at = replace(load, reads=float(number))
        best = best_threshold(authors, costs, at)
        lines["on read"].append(on_read(authors, costs, at).machines(costs))
        lines["on write"].append(on_write(authors, costs, at).machines(costs))
        lines["hybrid"].append(hybrid(authors, best, costs, at).machines(costs))
    for name, machines in lines.items():
        by_reads.plot(reads, machines, "--" if name == "hybrid" else "-", label=name)
    by_reads.axvline(load.reads, color="grey", linewidth=0.8)
    by_reads.set(xlabel="pages a user reads in a day", ylabel="machines")
    thresholds = np.geomspace(1, authors.followers[0], 120)
    machines = [hybrid(authors, limit, costs, load).machines(costs) for limit in thresholds]
    by_threshold.plot(thresholds, machines, "C2--", label="hybrid")
    both = on_read(authors, costs, load), on_write(authors, costs, load)
    for color, name, cost in zip(("C0", "C1"), ("on read", "on write"), both, strict=True):
        by_threshold.axhline(cost.machines(costs), color=color, label=name)
    by_threshold.axvline(best_threshold(authors, costs, load), color="grey", linewidth=0.8)
    by_threshold.set(xlabel="followers up to which authors are delivered")
    for axes in by_reads, by_threshold:
        axes.set(xscale="log", yscale="log")
        axes.legend()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


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
    plot(authors(load), costs, load)


if __name__ == "__main__":
    main()
