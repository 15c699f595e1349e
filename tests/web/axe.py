"""Accessibility of a page, by axe-core."""

from playwright.sync_api import Page

from tests.web import AXE

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe finds in the page as it is now: the rule, and where."""
    page.evaluate(AXE.read_text())
    told = page.evaluate("(tags) => axe.run({runOnly: tags})", TAGS)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in told["violations"]
        for node in rule["nodes"]
    ]
