"""What the web client costs a person: its first load, its interactions, a long timeline.

    python -m bench.web [--posts 2000]

Serves Pamps as in production on a PostgreSQL of its own, with generated posts. First load and
interactions are those of a phone on slow 4G by Chromium's own throttling, with nothing in its
cache; scrolling is not throttled. Figures without a window and a graphics card are upper bounds.
"""

import argparse
import contextlib
import itertools
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Browser, CDPSession, Page, Request

from bench import servers
from pamps.maintenance.fake import PASSWORD
from tests.browser import chromium
from tests.databases import PAMPS, embedded_server, migrated_database
from tests.servers import run

SLOW_4G = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 // 8,
    "uploadThroughput": 750_000 // 8,
}
CPU_SLOWDOWN = 4
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
TURNS = 5
PEOPLE = 200
# How many posts a request gets.
PAGE_SIZE = 20
SCROLL_PIXELS, SCROLL_PIXELS_PER_SECOND = 8000, 8000
SEEN = "post", "lcp", "cls", "tbt"
# Blocking begins after 50 ms of work without a pause, as in Lighthouse.
OBSERVE = """
window.seen = {lcp: 0, cls: 0, tbt: 0, post: 0, events: []};
const on = (type, each, options) => new PerformanceObserver((list) =>
    list.getEntries().forEach(each)).observe({type, buffered: true, ...options});
on('largest-contentful-paint', (entry) => { seen.lcp = entry.startTime; });
on('layout-shift', (entry) => { if (!entry.hadRecentInput) seen.cls += entry.value; });
on('longtask', (entry) => { seen.tbt += Math.max(0, entry.duration - 50); });
on('event', (entry) => { if (entry.interactionId) seen.events.push([entry.name, entry.duration]); },
   {durationThreshold: 16});
new MutationObserver((_, observer) => {
    if (document.querySelector('article')) {
        seen.post = performance.now();
        observer.disconnect();
    }
}).observe(document, {subtree: true, childList: true});
"""
FRAMES = """
window.frames = [];
const frame = (time) => { frames.push(time); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


def table(title: str, rows: dict[str, str]) -> None:
    print(f"\n{title}")
    for name, figure in rows.items():
        print(f"  {name:44}{figure:>14}")


def open_page(browser: Browser, address: str, **options: object) -> tuple[Page, CDPSession]:
    context = browser.new_context(base_url=address, locale="en-US", **options)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.add_init_script(OBSERVE)
    return page, context.new_cdp_session(page)


def throttle(cdp: CDPSession) -> None:
    cdp.send("Network.enable")
    cdp.send("Network.emulateNetworkConditions", SLOW_4G)
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})


def count_bytes(cdp: CDPSession) -> Counter[str]:
    """Count what the network carries, compressed and with headers, by its kind."""
    kinds: dict[str, str] = {}
    total: Counter[str] = Counter()

    def responded(event: dict) -> None:
        kinds[event["requestId"]] = event["type"]

    def loaded(event: dict) -> None:
        total[kinds.get(event["requestId"], "Other")] += event["encodedDataLength"]

    cdp.on("Network.responseReceived", responded)
    cdp.on("Network.loadingFinished", loaded)
    return total


def first_load(browser: Browser, address: str) -> None:
    turns = []
    for _ in range(TURNS):
        page, cdp = open_page(browser, address, viewport=PHONE)
        total = count_bytes(cdp)
        throttle(cdp)
        page.goto("/")
        page.get_by_role("article").first.wait_for()
        page.wait_for_load_state("networkidle")
        turns.append(page.evaluate("seen"))
        page.context.close()
    seen = {name: statistics.median(turn[name] for turn in turns) for name in SEEN}
    table(
        f"First load on slow 4G, processor slowed down 4 times; median of {TURNS}",
        {
            "all that was loaded (KB)": f"{sum(total.values()) / 1000:.1f}",
            **{f"  {kind} (KB)": f"{size / 1000:.1f}" for kind, size in total.most_common()},
            "first post there (ms)": f"{seen['post']:.0f}",
            "largest contentful paint (ms)": f"{seen['lcp']:.0f}",
            "cumulative layout shift": f"{seen['cls']:.3f}",
            "total blocking time (ms)": f"{seen['tbt']:.0f}",
        },
    )


def interactions(browser: Browser, address: str) -> None:
    """Print the longest time from an input until what it changes is painted."""
    page, cdp = open_page(browser, address, viewport=PHONE)
    page.goto("/sign-in")
    page.get_by_label("Username").fill(httpx.get(f"{address}/user/").json()[0]["username"])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("article").first.wait_for()
    throttle(cdp)
    article = page.get_by_role("article").first
    acts: dict[str, Callable[[], None]] = {
        "like": lambda: article.get_by_role("button", name=re.compile("^Like")).click(),
        "type 20 characters": lambda: page.get_by_role("textbox").first.press_sequentially(
            "x" * 20
        ),
        "open a post": lambda: article.locator("time").click(),
    }
    rows = {}
    for name, act in acts.items():
        page.evaluate("seen.events = []")
        act()
        # An entry is there after the frame that it is about.
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        # Those below 16 ms are not told.
        longest = max((duration for _, duration in page.evaluate("seen.events")), default=16)
        rows[f"{name} (ms)"] = f"{longest:.0f}"
    rows["cumulative layout shift until here"] = f"{page.evaluate('seen.cls'):.3f}"
    table("Longest interaction, throttled likewise", rows)
    page.context.close()


def proportional_megabytes(browser: Browser) -> float:
    """Memory of the largest renderer, of shared pages its share."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    sizes = []
    for process in processes:
        if process["type"] == "renderer":
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text()
            sizes.append(int(re.search(r"^Pss: +(\d+)", text, re.M)[1]) / 1024)
    return max(sizes)


def heap_megabytes(cdp: CDPSession) -> float:
    cdp.send("HeapProfiler.collectGarbage")
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize") / 2**20


def scrolling(browser: Browser, address: str, posts: int) -> None:
    page, cdp = open_page(browser, address, viewport=DESKTOP)
    cdp.send("Performance.enable")
    lists: list[str] = []

    def count(request: Request) -> None:
        if request.resource_type == "fetch" and "/post/" in request.url:
            lists.append(request.url)

    page.on("requestfinished", count)
    page.goto("/")
    page.get_by_role("article").first.wait_for()
    before = heap_megabytes(cdp), proportional_megabytes(browser)
    page.evaluate(FRAMES)
    gesture = {"x": 600, "y": 400, "yDistance": -SCROLL_PIXELS, "speed": SCROLL_PIXELS_PER_SECOND}
    for _ in range(posts):
        if len(lists) * PAGE_SIZE >= posts:
            break
        cdp.send("Input.synthesizeScrollGesture", gesture | {"gestureSourceType": "mouse"})
    frames = page.evaluate("frames")
    lengths = sorted(later - earlier for earlier, later in itertools.pairwise(frames))
    table(
        f"Scrolling {len(lists) * PAGE_SIZE} posts at {SCROLL_PIXELS_PER_SECOND} pixels a second",
        {
            "frames a second": f"{1000 * len(lengths) / sum(lengths):.0f}",
            "frames longer than 20 ms": f"{sum(x > 20 for x in lengths) / len(lengths):.1%}",
            "99th percentile of a frame (ms)": f"{lengths[len(lengths) * 99 // 100]:.0f}",
            "posts in the page": str(page.get_by_role("article").count()),
            "heap before and after (MB)": f"{before[0]:.0f} → {heap_megabytes(cdp):.0f}",
            "renderer (PSS, MB)": f"{before[1]:.0f} → {proportional_megabytes(browser):.0f}",
        },
    )
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=2000, help="to scroll through")
    posts = parser.parse_args().posts
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(migrated_database(stack.enter_context(embedded_server())))
        # About half of the generated posts are replies, which home does not have.
        numbers = "--users", str(PEOPLE), "--posts", str(posts * 3)
        run([PAMPS, "fake-data", *numbers], PAMPS_DB__uri=database).check_returncode()
        address, _ = stack.enter_context(
            servers.pamps(servers.make_url(database), folder / "server.log")
        )
        browser = stack.enter_context(chromium())
        print(f"Chromium {browser.version}")
        # The server listens before it has started.
        httpx.get(f"{address}/post/", timeout=60).raise_for_status()
        first_load(browser, address)
        interactions(browser, address)
        scrolling(browser, address, posts)


if __name__ == "__main__":
    main()
