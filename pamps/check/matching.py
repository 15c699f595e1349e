"""Comparing an answer with what is expected of it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .client import Answer
from .model import Expected, Json, Kind, Listing, Text

DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
KINDS: dict[Kind, tuple[Text, Callable[[Json], bool]]] = {
    Kind.integer: (Text("an integer", "um número inteiro"), lambda value: type(value) is int),
    Kind.text: (Text("a text", "um texto"), lambda value: isinstance(value, str) and value != ""),
    Kind.date: (
        Text("a date and time in ISO 8601", "data e hora em ISO 8601"),
        lambda value: isinstance(value, str) and DATE.match(value) is not None,
    ),
    Kind.bearer: (
        Text.same('"bearer"'),
        lambda value: isinstance(value, str) and value.lower() == "bearer",
    ),
    Kind.anything: (Text("anything", "qualquer valor"), lambda value: True),
}
MISSING = Text("missing", "ausente")
TOKEN = re.compile(r'("\w*_token"\s*:\s*")[^"]*')
SHOWN = 300  # characters of an answer, and of each value in it


class Mismatch(NamedTuple):
    """A difference: what is expected, and what was received."""

    expected: Text
    received: Text


class Pages(NamedTuple):
    """The items of a list, of which there are more if it is not complete."""

    items: list[Json]
    complete: bool


def compare(expected: Expected, answer: Answer, pages: Pages | None) -> Mismatch | None:
    """Return the first difference between an answer and what is expected, if there is one."""
    whole = describe(answer)
    status = str(answer.status)
    if status not in expected.status and f"{status[0]}xx" not in expected.status:
        return Mismatch(Text.join(expected.status, " or ", " ou "), whole)
    if expected.header:
        name, value = expected.header
        found = answer.headers.get(name, "")
        if found.partition(" ")[0].lower() != value.lower():
            return Mismatch(Text.same(f"{name}: {value}"), Text.same(_clip(f"{name}: {found}")))
    if expected.body is not Kind.anything and not answer.is_json:
        return Mismatch(Text.same("JSON"), whole)
    if pages and isinstance(expected.body, Listing):
        difference = next(_compare_list("", expected.body, pages), None)
    else:
        difference = next(_compare("", expected.body, answer.body), None)
    if difference:
        return Mismatch(difference.expected, difference.received.then(Text.same("\n")).then(whole))
    for name in expected.hidden:
        for field in _fields(answer.body):
            if name in field.lower():
                field = _clip(field)
                return Mismatch(Text(f"no field {field}", f"nenhum campo {field}"), whole)
    return None


def describe(answer: Answer) -> Text:
    """Return an answer in short, without tokens."""
    content = " ".join(answer.content.decode(errors="replace").split())
    if not answer.is_json and content:
        content = f"{answer.headers.get('Content-Type', '').partition(';')[0]} {content}".strip()
    if location := answer.headers.get("Location", ""):
        content = f"→ {location} {content}"
    content = _clip(TOKEN.sub(r"\1…", content))
    if content:
        return Text.same(f"{answer.status} {content}")
    return Text(f"{answer.status}, empty", f"{answer.status}, vazia")


def _clip(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _at(path: str, what: Text) -> Text:
    return Text.same(f"{path}: ").then(what) if path else what


def _show(value: object) -> Text:
    try:
        return Text.same(_clip(json.dumps(value, ensure_ascii=False)))
    except RecursionError:
        return Text("deeply nested", "com muitos níveis")


def _name(wanted: object) -> Text:
    if isinstance(wanted, Kind):
        return KINDS[wanted][0]
    return Text("an array", "uma lista") if isinstance(wanted, Listing) else _show(wanted)


def _compare(path: str, wanted: object, found: Json) -> Iterator[Mismatch]:
    """Yield the differences between a value and what is expected at that path of the body."""
    if isinstance(wanted, Kind):
        name, fits = KINDS[wanted]
        if not fits(found):
            yield Mismatch(_at(path, name), _at(path, _show(found)))
    elif isinstance(wanted, Listing):
        if isinstance(found, list):
            yield from _compare_list(path, wanted, Pages(found, complete=True))
        else:
            yield Mismatch(_at(path, Text("an array", "uma lista")), _at(path, _show(found)))
    elif isinstance(wanted, Mapping):
        if not isinstance(found, dict):
            yield Mismatch(_at(path, Text("an object", "um objeto")), _at(path, _show(found)))
            return
        for name, value in wanted.items():
            field = f"{path}.{name}" if path else str(name)
            if name in found:
                yield from _compare(field, value, found[name])
            else:
                yield Mismatch(_at(field, _name(value)), _at(field, MISSING))
    elif type(found) is not type(wanted) or found != wanted:
        yield Mismatch(_at(path, _show(wanted)), _at(path, _show(found)))


def _compare_list(path: str, wanted: Listing, pages: Pages) -> Iterator[Mismatch]:
    size = len(pages.items)
    whole = Text(f"{size} items", f"{size} itens")
    for n, item in enumerate(pages.items):
        yield from _compare(f"{path}[{n}]", wanted.each, item)
    keys = [item.get(wanted.key) for item in pages.items if isinstance(item, dict)]
    keys = [key for key in keys if type(key) in (int, str)]
    counts = Counter(keys)
    for key in (*wanted.has, *wanted.lacks):
        name, number = Text.same(f"{path} {wanted.key} {key}".strip()), counts[key]
        if key in wanted.lacks and number:
            yield Mismatch(name.then(Text(" not in it", " fora da lista")), whole)
        if key in wanted.has and not number and pages.complete:
            yield Mismatch(name.then(Text(" in it", " na lista")), whole)
        if wanted.once and number > 1:
            times = Text(f"{number} times", f"{number} vezes")
            yield Mismatch(name.then(Text(" once", " uma só vez")), times)
    places = [keys.index(key) for key in wanted.has if key in keys]
    if wanted.in_order and places != sorted(places):
        order = Text.join(map(str, wanted.has), " before ", " antes de ")
        yield Mismatch(order, Text("the other way round", "ao contrário"))


def _fields(body: Json) -> Iterator[str]:
    """Yield the names of all fields of a body, which may be too deep for a recursion."""
    values = [body]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield from value
            values += value.values()
        elif isinstance(value, list):
            values += value
