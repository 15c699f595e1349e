"""Where settings come from: files and variables, which dynaconf reads.

All that a person may have meant as a setting, and that would have no effect, stops the start.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

FILES = ("settings.toml", ".secrets.toml")
# Variables that are no settings: the environment, the database's name in docker-compose.yaml, and
# what Kubernetes tells of services with such names.
NO_SETTINGS = re.compile(
    r"""PAMPS_ENV=.*|PAMPS_DB=(?!\{).*
    |PAMPS_([A-Z0-9]+_)*PORT(_[0-9]+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*
    |PAMPS_([A-Z0-9]+_)*(
        SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)
    )=.*""",
    re.DOTALL | re.VERBOSE,
)


def stop(name: str, problem: str) -> NoReturn:
    """End the process with one line that names a setting, a file or a variable."""
    raise SystemExit(f"pamps: {name}: {problem}")


def _check_file(path: Path, environments: Sequence[str]) -> None:
    """Stops if a settings file cannot be read, or has a table that no environment reads."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if path.is_symlink():
            stop(str(path), "is a link to nothing")
        return
    except OSError as error:
        stop(str(path), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        stop(str(path), "cannot be read: it is not in UTF-8")
    except tomllib.TOMLDecodeError as error:
        stop(str(path), f"cannot be read: {error}")
    for name, table in tables.items():
        if name.lower() not in ("default", *environments) or not isinstance(table, dict):
            known = ", ".join(("default", *environments))
            stop(str(path), f"{name} is no environment, as {known} are: [default.{name}]?")


def _variables(defaults: dict[str, Any]) -> list[str]:
    """The names of the variables that are settings. Stops at one that is nothing."""
    known = {
        f"PAMPS_{table}__{key}".upper(): f"PAMPS_{table.upper()}__{key}"
        for table, keys in defaults.items()
        for key in keys
    }
    tables = {f"PAMPS_{table}".upper() for table in defaults}
    inside = ("PAMPS_DB__CONNECT_ARGS__",)  # a setting that is a table itself
    found = []
    for name, value in os.environ.items():
        if not name.startswith("PAMPS_") or NO_SETTINGS.fullmatch(f"{name}={value}"):
            continue
        if name.upper() not in {*known, *tables} and not name.upper().startswith(inside):
            from difflib import get_close_matches  # here, as it is seldom needed

            near = get_close_matches(name, [*known.values(), "PAMPS_ENV"], 1)
            stop(name, "no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        found.append(name)
    return found


@contextmanager
def _only(names: Iterable[str]) -> Iterator[None]:
    """Hides other variables from dynaconf: many would change how it works, or be settings."""
    hidden = {name: os.environ[name] for name in set(os.environ) - set(names)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _by_setting(source: dict[str, Any]) -> dict[str, Any]:
    """The settings of a source one by one, so that each replaces that of an earlier source."""
    flat: dict[str, Any] = {}
    for name, value in source.items():
        if isinstance(value, dict) and "__" not in name:
            flat |= {f"{name}__{key}": setting for key, setting in value.items()}
        else:
            flat[name] = value
    return flat


def read(
    defaults_file: Path,
    root: Path,
    environment: str,
    environments: Sequence[str],
    defaults: dict[str, Any],
) -> Any:
    """What dynaconf makes of the sources. Stops the process if one leads nowhere."""
    files = [root / name for name in FILES]
    for file in files:
        _check_file(file, environments)
        # dynaconf reads that one too.
        _check_file(file.with_name(file.name.replace(".toml", ".local.toml")), environments)
    variables = _variables(defaults)
    with _only(variables):
        from dynaconf import Dynaconf
        from dynaconf.utils.parse_conf import parse_conf_data

        for name in variables:
            try:
                parse_conf_data(os.environ[name], tomlfy=True, box_settings={})
            except Exception as error:  # Of many kinds, which may quote the value.
                stop(name, f"cannot be read: {type(error).__name__}")
        loaded: Any = Dynaconf(
            envvar_prefix="PAMPS",
            root_path=root,
            preload=[defaults_file],
            settings_files=list(map(str, files)),
            environments=list(environments),
            env=environment,
            filter_strategy=_by_setting,
        )
        try:
            loaded.as_dict()  # now, and not when the first setting is asked for
        except Exception as error:  # Of many kinds, which may quote a value.
            stop(" or ".join(FILES), f"cannot be read: {type(error).__name__}")
    return loaded
