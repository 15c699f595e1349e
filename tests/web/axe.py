"""Accessibility of a page, by axe-core."""

from playwright.sync_api import Page

from tests.web import AXE

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
START = """(tags) => {
    window.told = null
    axe.run({ runOnly: tags }).then((told) => (window.told = told))
}"""


def violations(page: Page) -> list[str]:
    """What axe finds in the page as it is now: the rule, and where."""
    page.evaluate(AXE.read_text())
    # Not by `evaluate` alone, which waits for ever for a page that hangs.
    page.evaluate(START, TAGS)
    told = page.wait_for_function("window.told").json_value()
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in told["violations"]
        for node in rule["nodes"]
    ]
