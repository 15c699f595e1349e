"""The report of `pamps check`: a table for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text as Line

from pamps.terminal import PlainConsole, escape

from .model import Group, Language, Request, Text
from .runner import Outcome, Result

GROUPS = {
    Group.users: Text("Users", "Usuários"),
    Group.auth: Text("Sign-in", "Autenticação"),
    Group.posts: Text("Posts", "Postagens"),
    Group.social: Text("Social", "Seguir"),
    Group.like: Text("Like", "Curtir"),
}
OUTCOMES = {
    Outcome.passed: ("✓", "green", Text("passed", "passou")),
    Outcome.failed: ("✗", "red", Text("failed", "falhou")),
    Outcome.open: ("○", "yellow", Text("left open", "em aberto")),
    Outcome.not_tried: ("–", "dim", Text("not tried", "não testado")),
}
SENT = Text("sent", "enviado")
EXPECTED = Text("expected", "esperado")
HOPED_FOR = Text("usual", "usual")
RECEIVED = Text("received", "recebido")
HINT = Text("hint", "dica")


def count(results: Sequence[Result]) -> Counter[Outcome]:
    return Counter(result.outcome for result in results)


def print_report(url: str, results: Sequence[Result], language: Language) -> None:
    """Print a table of the results, and their numbers."""
    title = Text("The workshop's API at", "A API da oficina em").to(language)
    table = Table(title=f"{title} {escape(url)}", show_lines=False)
    table.add_column("")
    table.add_column(Text("Check", "Verificação").to(language), overflow="fold")
    table.add_column(Text("Result", "Resultado").to(language), overflow="fold")
    group = None
    for result in results:
        if result.stopped:  # for the reason in the row before
            continue
        if result.check.group is not group:
            if group:
                table.add_section()
            group = result.check.group
            table.add_row("", Line(GROUPS[group].to(language), style="bold"), "")
        sign, style, name = OUTCOMES[result.outcome]
        details = Line()
        for label, text in _details(result, language):
            details.append("\n" if details else "")
            details.append(f"{label}: " if label else "", style="dim")
            details.append("\n".join(escape(line) for line in text.split("\n")))
        title_line = Line(result.check.title.to(language))
        table.add_row(Line(f"{sign} {name.to(language)}", style=style), title_line, details)
    console = PlainConsole()
    console.print(table)
    numbers = count(results)
    summary = (f"{OUTCOMES[outcome][2].to(language)}: {numbers[outcome]}" for outcome in Outcome)
    console.print(", ".join(summary))


def _details(result: Result, language: Language) -> list[tuple[str, str]]:
    """Return what there is to say about a result, each with a label."""
    line = f"{result.sent.method} {result.sent.path}"
    if result.outcome is Outcome.passed:
        return [("", f"{line} → {result.status}")]
    if result.outcome is Outcome.not_tried:
        return [("", line), ("", result.reason.to(language) if result.reason else "")]
    details = [(SENT, Text.same(describe_request(result.sent)))]
    if result.mismatch:
        wanted = EXPECTED if result.outcome is Outcome.failed else HOPED_FOR
        details += [(wanted, result.mismatch.expected), (RECEIVED, result.mismatch.received)]
    if result.reason:
        details.append((RECEIVED, result.reason))
    if result.hint:
        details.append((HINT, result.hint))
    return [(label.to(language), text.to(language)) for label, text in details]


def describe_request(request: Request) -> str:
    parts = [request.method, request.path]
    if request.json is not None:
        parts.append(json.dumps(request.json, ensure_ascii=False))
    if request.form is not None:
        parts.append("&".join(f"{name}={value}" for name, value in request.form.items()))
    if request.token:
        parts.append(f"(Authorization: Bearer ${request.token})")
    return " ".join(parts)


def to_json(url: str, results: Sequence[Result], language: Language) -> str:
    """Return the results as a JSON document."""
    numbers = count(results)
    checks = [
        {
            "id": result.check.id,
            "group": result.check.group,
            "title": result.check.title.to(language),
            "outcome": result.outcome,
            "sent": describe_request(result.sent),
            "status": result.status,
            "expected": result.mismatch.expected.to(language) if result.mismatch else None,
            "received": result.mismatch.received.to(language) if result.mismatch else None,
            "reason": result.reason.to(language) if result.reason else None,
            "hint": result.hint.to(language) if result.hint else None,
        }
        for result in results
    ]
    document = {"url": url, **{name.value: numbers[name] for name in Outcome}, "checks": checks}
    return json.dumps(document, indent=2)
