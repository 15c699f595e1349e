"""Read the settings from files and environment variables, with dynaconf.

An unknown setting or PAMPS_… variable, such as a misspelled name, stops the start.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ENVIRONMENTS = ("development", "classroom", "testing", "production")
FILES = ("settings.toml", ".secrets.toml")
# PAMPS_… variables that are not settings: the environment, the name of the database in
# docker-compose.yaml, and those that Kubernetes sets for services called pamps or pamps-….
IGNORED_VARIABLES = re.compile(
    r"""PAMPS_ENV=.*|PAMPS_DB=(?!\{).*
    |PAMPS_([A-Z0-9]+_)*PORT(_[0-9]+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*
    |PAMPS_([A-Z0-9]+_)*(
        SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)
    )=.*""",
    re.DOTALL | re.VERBOSE,
)


def exit_with(name: str, problem: str) -> NoReturn:
    """Exit with one line that names a setting, a file or a variable."""
    raise SystemExit(f"pamps: {name}: {problem}")


def _check_file(path: Path) -> None:
    """Exit if a settings file cannot be read, or has a table that belongs to no environment."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if path.is_symlink():
            exit_with(str(path), "is a link to nothing")
        return
    except OSError as error:
        exit_with(str(path), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        exit_with(str(path), "cannot be read: it is not in UTF-8")
    except tomllib.TOMLDecodeError as error:
        exit_with(str(path), f"cannot be read: {error}")
    for name, table in tables.items():
        if name.lower() not in ("default", *ENVIRONMENTS) or not isinstance(table, dict):
            known = ", ".join(("default", *ENVIRONMENTS))
            exit_with(str(path), f"{name} is no environment, as {known} are: [default.{name}]?")


def _variables(tables: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names of the variables that are settings. Exit at an unknown PAMPS_… variable."""
    known = {
        f"PAMPS_{table}__{key}".upper(): f"PAMPS_{table.upper()}__{key}"
        for table, keys in tables.items()
        for key in keys
    }
    whole_tables = {f"PAMPS_{table}".upper() for table in tables}
    inside = ("PAMPS_DB__CONNECT_ARGS__",)  # a setting that is a table itself
    found = []
    for name, value in os.environ.items():
        if not name.startswith("PAMPS_") or IGNORED_VARIABLES.fullmatch(f"{name}={value}"):
            continue
        if name.upper() not in {*known, *whole_tables} and not name.upper().startswith(inside):
            from difflib import get_close_matches  # here, because it is rarely needed

            near = get_close_matches(name, [*known.values(), "PAMPS_ENV"], 1)
            exit_with(name, "no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        found.append(name)
    return found


@contextmanager
def _only_variables(names: Iterable[str]) -> Iterator[None]:
    """Hide all other variables from dynaconf, because some of them would configure it."""
    hidden = {name: os.environ[name] for name in set(os.environ) - set(names)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _flatten_tables(source: dict[str, object]) -> dict[str, object]:
    """Flatten tables, so that later sources override single settings, not whole tables."""
    flat: dict[str, object] = {}
    for name, value in source.items():
        if isinstance(value, dict) and "__" not in name:
            flat |= {f"{name}__{key}": setting for key, setting in value.items()}
        else:
            flat[name] = value
    return flat


def read(defaults_file: Path, root: Path, environment: str) -> dict[str, object]:
    """Return the values of all sources, merged by dynaconf and not validated yet.

    `defaults_file` has all settings. Exits if a source cannot be read.
    """
    if environment not in ENVIRONMENTS:
        exit_with("PAMPS_ENV", f"must be one of {', '.join(ENVIRONMENTS)}")
    files = [root / name for name in FILES]
    for file in files:
        _check_file(file)
        # dynaconf also reads settings.local.toml and .secrets.local.toml.
        _check_file(file.with_suffix(".local.toml"))
    variables = _variables(tomllib.loads(defaults_file.read_text("utf-8"))["default"])
    with _only_variables(variables):
        from dynaconf import Dynaconf
        from dynaconf.utils.parse_conf import parse_conf_data

        for name in variables:
            try:
                parse_conf_data(os.environ[name], tomlfy=True, box_settings={})
            except Exception as error:  # of many types, whose text may quote the value
                exit_with(name, f"cannot be read: {type(error).__name__}")
        loaded = Dynaconf(
            envvar_prefix="PAMPS",
            root_path=root,
            # Not by `preload`, for which dynaconf inspects the whole stack of calls.
            settings_files=list(map(str, [defaults_file, *files])),
            environments=list(ENVIRONMENTS),
            env=environment,
            filter_strategy=_flatten_tables,
        )
        try:
            values = {name.lower(): value for name, value in loaded.as_dict().items()}
        except Exception as error:  # of many types, whose text may quote a value
            exit_with(" or ".join(FILES), f"cannot be read: {type(error).__name__}")
    del values["filter_strategy"]  # dynaconf lists this argument among the settings
    return values
