"""Modules import only from their own layer and from those below, by docs/development.md's list."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.servers import CHECKOUT

PACKAGE = CHECKOUT / "pamps"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")
    for path in PACKAGE.rglob("*.py")
} - {"__init__"}


def layers() -> list[list[str]]:
    """The list in docs/development.md, top down: modules, `folder/`s, and `folder/module`s."""
    text = (CHECKOUT / "docs" / "development.md").read_text()
    section = text.partition("## Import layers\n")[2].partition("\n## ")[0]
    return [re.findall("`([^`]+)`", line) for line in re.findall("^- (.*)$", section, re.MULTILINE)]


def layer(module: str) -> int | None:
    """How high a module is, counted from above; a module's own name goes before its folder's."""
    names = {name.rstrip("/"): n for n, names in enumerate(layers()) for name in names}
    return names.get(module, names.get(module.partition("/")[0]))


def run_time(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all that are in it, but for what only a type checker reads."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from run_time(child)


def imports(module: str) -> Iterator[str]:
    """The modules of Pamps that a module imports, those within functions included."""
    path = PACKAGE / f"{module}.py"
    tree = ast.parse((path if path.exists() else PACKAGE / module / "__init__.py").read_text())
    for node in run_time(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = f"pamps.{module}".rpartition(".")[0] if node.level else ""
            folder = source.replace("/", ".") if path.exists() else f"pamps.{module}"
            source = f"{folder}.{node.module or ''}".strip(".") if node.level else node.module
            names = [f"{source}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            while parts[0] == "pamps" and len(parts) > 1:
                if (found := "/".join(parts[1:])) in MODULES:
                    yield found
                    break
                parts.pop()


def test_every_module_is_in_a_layer():
    assert [module for module in sorted(MODULES) if layer(module) is None] == []


def test_every_name_in_the_list_is_a_module():
    names = {name.rstrip("/") for names in layers() for name in names}
    assert names - MODULES - {Path(module).parent.as_posix() for module in MODULES} == set()


def test_no_module_imports_upwards():
    upwards = [
        f"{module} imports {imported}"
        for module in sorted(MODULES)
        for imported in sorted(set(imports(module)))
        if (layer(imported) or 0) < (layer(module) or 0)
    ]
    assert upwards == []
