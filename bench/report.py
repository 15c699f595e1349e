"""The results as a table and as plots."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "pamps", "font.size": 9})
HEAD = """# Results

Written by `./bench.sh`. The machine: {machine}. Pamps: one worker with {places}
connections. The floor: {places} threads. wrk beside them.
"""


def line(row: dict[str, Any]) -> str:
    name = f"{row['posts']:>10,} {row['route']:31} {row['clients']:4} {row['who']:6}"
    if "served" in row:
        return f"{name} {row['served']:,} served, {row['megabytes']:.1f} MB"
    return (
        f"{name} {row['cpu']:6.0f} µs {row['per_second']:6.0f}/s"
        f" median {row['median']:.2f} p99 {row['p99']:.1f} ms"
        f" refused {row['refused']} failed {row['failed']}"
    )


def find(found: list[dict[str, Any]], **wanted: Any) -> dict[str, Any] | None:
    return next((row for row in found if wanted.items() <= row.items()), None)


def names(found: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["route"] for row in found if "cpu" in row))


def table(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines)) + "\n"


def against_floor(found: list[dict[str, Any]], posts: int) -> str:
    head = [
        "route",
        "CPU, µs",
        "floor",
        "ratio",
        "PostgreSQL's, µs",
        "floor",
        "a second",
        "of floor",
    ]
    lines = []
    for name in names(found):
        own = find(found, posts=posts, route=name, who="pamps", clients=16)
        low = find(found, posts=posts, route=name, who="floor", clients=16)
        if own:
            cells = [f"{own['cpu']:.0f}", "", "", f"{own['database_cpu']:.0f}", ""]
            cells += [f"{own['per_second']:.0f}", "", f"{own['statements']:.1f}"]
            if low:
                cells[1:3] = f"{low['cpu']:.0f}", f"**{own['cpu'] / low['cpu']:.2f}**"
                cells[4] = f"{low['database_cpu']:.0f}"
                cells[6] = f"{own['per_second'] / low['per_second']:.2f}"
            lines.append([name, *cells])
    return table([*head, "statements"], lines)


def growth(found: list[dict[str, Any]], sizes: list[int], clients: int) -> str:
    lines = []
    for name in names(found):
        rows = [find(found, posts=n, route=name, who="pamps", clients=clients) for n in sizes]
        if all(rows):
            medians = [row["median"] for row in rows if row]
            cells = [f"{median:.2f}" for median in medians]
            lines.append([name, *cells, f"{medians[-1] / medians[0]:.2f}"])
    return table(["median, ms", *(f"{n:,}" for n in sizes), "last / first"], lines)


def crowds(found: list[dict[str, Any]], posts: int) -> str:
    head = [
        "route",
        "clients",
        "a second",
        "median, ms",
        "p99, ms",
        "p99 / median",
        "refused",
        "failed",
    ]
    lines = []
    for row in found:
        if row["posts"] == posts and row["clients"] >= 256:
            cells = [f"{row['clients']}", f"{row['per_second']:.0f}", f"{row['median']:.0f}"]
            cells += [f"{row['p99']:.0f}", f"{row['p99'] / row['median']:.1f}"]
            lines.append([row["route"], *cells, str(row["refused"]), str(row["failed"])])
    return table(head, lines)


def write(folder: Path, found: list[dict[str, Any]], machine: str, places: int) -> None:
    sizes = sorted({row["posts"] for row in found})
    parts = [HEAD.format(machine=machine, places=places)]
    for posts in sizes:
        parts.append(f"## Against the floor, {posts:,} posts, 16 clients\n")
        parts.append(against_floor(found, posts))
    if len(sizes) > 1:
        parts += ["## Growth, 1 client\n", growth(found, sizes, 1)]
        parts += ["## Growth, 16 clients\n", growth(found, sizes, 16)]
        for posts in sizes:
            parts += [f"## Crowds, {posts:,} posts\n", crowds(found, posts)]
    memory = [row for row in found if "megabytes" in row]
    if memory:
        cells = [
            [f"{row['served']:,}" if "served" in row else "and a crowd", f"{row['megabytes']:.1f}"]
            for row in memory
        ]
        parts += ["## Memory of the worker\n", table(["mixed requests served", "MB"], cells)]
    (folder / "results.md").write_text("\n".join(parts))
    plot_cpu(folder / "cpu.svg", found, sizes[-1])
    plot_latency(folder / "latency.svg", found, sizes)


def plot_cpu(path: Path, found: list[dict[str, Any]], posts: int) -> None:
    shown = [name for name in names(found) if name != "sign-in"][::-1]
    figure, axes = plt.subplots(figsize=(7, 1 + 0.25 * len(shown)))
    for offset, who, colour in ((0.2, "pamps", "#2a6f97"), (-0.2, "floor", "#bbbbbb")):
        rows = [find(found, posts=posts, route=name, who=who, clients=16) for name in shown]
        values = [row["cpu"] if row else 0 for row in rows]
        axes.barh([n + offset for n in range(len(shown))], values, 0.4, label=who, color=colour)
    axes.set_yticks(range(len(shown)), shown)
    axes.set_xlabel(f"CPU of the API's process for a request, µs ({posts:,} posts, 16 clients)")
    axes.legend()
    save(figure, path)


def plot_latency(path: Path, found: list[dict[str, Any]], sizes: list[int]) -> None:
    shown = list(dict.fromkeys(row["route"] for row in found if row.get("is_read")))
    figure, panels = plt.subplots(1, 2, figsize=(9, 1 + 0.2 * len(shown)), sharey=True)
    for axes, what in zip(panels, ("median", "p99"), strict=True):
        for name in shown:
            rows = [find(found, posts=n, route=name, who="pamps", clients=16) for n in sizes]
            axes.plot(sizes, [row[what] if row else None for row in rows], marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="posts", title=f"{what}, ms (16 clients)")
    panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
