"""Rows of queries as dicts."""

from typing import Any

Row = dict[str, Any]


class RowMapper:
    """Convert rows to dicts, with a dict inside for columns labelled "user.id", "user.name".

    A dict may be inside another one: "post.user.id". It is None if its first column is null.
    """

    def __init__(self, columns: list[str]) -> None:
        self.names = columns
        # For each inner dict, the innermost first: the indexes of its first and after its last
        # column, and their names.
        self._inner: list[tuple[int, int, list[str]]] = []
        while "." in (deepest := max(self.names, key=lambda name: name.count("."), default="")):
            prefix = deepest.rpartition(".")[0]
            prefixes = [name.rpartition(".")[0] for name in self.names]
            start, end = prefixes.index(prefix), prefixes.index(prefix) + prefixes.count(prefix)
            fields = [name.rpartition(".")[2] for name in self.names[start:end]]
            self._inner.append((start, end, fields))
            self.names = [*self.names[:start], prefix, *self.names[end:]]

    def map(self, rows: list[tuple[object, ...]]) -> list[Row]:
        for start, end, names in self._inner:
            rows = [
                (
                    *row[:start],
                    None if row[start] is None else dict(zip(names, row[start:end], strict=True)),
                    *row[end:],
                )
                for row in rows
            ]
        return [dict(zip(self.names, row, strict=True)) for row in rows]
