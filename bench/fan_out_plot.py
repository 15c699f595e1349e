"""The plot of `bench.fan_out`: cores of PostgreSQL by how much is read, and by the threshold."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from bench.fan_out import DAY, Authors, Costs, Load, best_threshold, hybrid, on_read, on_write

PLOT = Path(__file__).parents[1] / "docs" / "images" / "fan-out.svg"


def plot(authors: Authors, costs: Costs, load: Load) -> None:
    """Draw the CPU by how much is read, and by the threshold."""
    mpl.rcParams.update({"svg.hashsalt": "pamps", "font.size": 9})
    figure, (by_reads, by_threshold) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    reads = np.geomspace(0.1, 1000, 60)
    lines: dict[str, list[float]] = {"on read": [], "on write": [], "hybrid": []}
    for number in reads:
        at = replace(load, reads=float(number))
        best = best_threshold(authors, costs, at)
        lines["on read"].append(on_read(authors, costs, at).cpu_seconds / DAY)
        lines["on write"].append(on_write(authors, costs, at).cpu_seconds / DAY)
        lines["hybrid"].append(hybrid(authors, best, costs, at).cpu_seconds / DAY)
    for name, cores in lines.items():
        by_reads.plot(reads, cores, "--" if name == "hybrid" else "-", label=name)
    by_reads.axvline(load.reads, color="grey", linewidth=0.8)
    by_reads.set(xlabel="pages a user reads in a day", ylabel="cores of PostgreSQL")
    thresholds = np.geomspace(1, authors.followers[0], 120)
    cores = [hybrid(authors, limit, costs, load).cpu_seconds / DAY for limit in thresholds]
    by_threshold.plot(thresholds, cores, "C2--", label="hybrid")
    both = on_read(authors, costs, load), on_write(authors, costs, load)
    for color, name, cost in zip(("C0", "C1"), ("on read", "on write"), both, strict=True):
        by_threshold.axhline(cost.cpu_seconds / DAY, color=color, label=name)
    by_threshold.axvline(best_threshold(authors, costs, load), color="grey", linewidth=0.8)
    by_threshold.set(xlabel="followers up to which authors are delivered", ylim=(0, None))
    by_reads.set(yscale="log")
    for axes in by_reads, by_threshold:
        axes.set(xscale="log")
        axes.legend()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})
