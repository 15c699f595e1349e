"""The settings: `settings.db.pool_size`, `settings.security.SECRET_KEY`.

Dynaconf loads them (`sources`), and the models in `pamps.settings` check them.
"""

import os
from pathlib import Path
from typing import cast

from annotated_types import Ge, Le
from pydantic import ValidationError

from pamps import sources
from pamps.settings import Settings, SettingsTable
from pamps.sources import exit_with

PACKAGE = Path(__file__).parent
# The checkout; if Pamps was installed from a wheel, the current folder.
ROOT: Path = PACKAGE.parent if (PACKAGE.parent / "alembic.ini").is_file() else Path.cwd()

ENVIRONMENT = os.environ.get("PAMPS_ENV", "development")

# Messages for Pydantic's types of errors.
MESSAGES = {
    "string_type": "must be text",
    "string_unicode": "must be text in UTF-8",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a table of texts and whole numbers",
    "model_type": "must be a table",
    "list_type": 'must be a list of texts, like ["one", "two"]',
}


def _explain(error: ValidationError) -> tuple[str, str]:
    """Return the first wrong setting and the problem, without the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    path, item = [str(part) for part in first["loc"][:2]], first["loc"][2:]
    kind = first["type"]
    if item and kind == "string_type":
        kind = "list_type" if isinstance(item[0], int) else "dict_type"
    table: type[SettingsTable] = Settings
    if len(path) > 1:
        table = cast("type[SettingsTable]", Settings.model_fields[path[0]].annotation)
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in table.model_fields.items()]
        problem = f"no such setting; there are {', '.join(known)}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        limits = table.model_fields[path[-1]].metadata
        smallest = next(limit.ge for limit in limits if isinstance(limit, Ge))
        largest = next(limit.le for limit in limits if isinstance(limit, Le))
        problem = f"must be from {smallest} to {largest}"
    elif kind == "value_error":  # of our own validators
        problem = str(first["ctx"]["error"])
    else:
        problem = MESSAGES.get(kind, first["msg"])
    return ".".join(path), problem


def _resolve_automatic(loaded: Settings) -> Settings:
    """Replace 0 in `server.workers` and `db.pool_size` by values for this machine."""
    # The cores that this process may use, if the system says so. A container's quota is ignored.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = loaded.server.workers or min(cores or 1, 8)
    pool_size = loaded.db.pool_size or max(1, min(8, 50 // workers))
    server = loaded.server.model_copy(update={"workers": workers})
    db = loaded.db.model_copy(update={"pool_size": pool_size})
    return loaded.model_copy(update={"server": server, "db": db})


def _load() -> Settings:
    """Load and check the settings; if one is wrong, exit with a line that names it."""
    values = sources.read(PACKAGE / "default.toml", ROOT, ENVIRONMENT)
    try:
        loaded = Settings.model_validate(values, context={"environment": ENVIRONMENT})
    except ValidationError as error:
        exit_with(*_explain(error))
    return _resolve_automatic(loaded)


settings: Settings = _load()
