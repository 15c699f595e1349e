"""Export to a file."""

import asyncio
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from pamps.maintenance import MaintenanceError
from pamps.maintenance.export import USER, export_in_parts, open_snapshot
from pamps.maintenance.files import check_target, new_file


def write(file: Path, user_id: int, *, overwrite: bool) -> int:
    """Write everything that is a user's to a file, and return its size in bytes.

    Raises MaintenanceError, psycopg.Error and FolderError.
    """
    check_target(file, overwrite=overwrite)
    with new_file(file) as new:
        asyncio.run(_write(new, user_id))
        return new.stat().st_size


async def _write(file: Path, user_id: int) -> None:
    columns = TextColumn("Exporting"), BarColumn(), DownloadColumn()
    async with open_snapshot() as snapshot:
        user = await USER.first(snapshot, user_id=user_id)
        if user is None:
            raise MaintenanceError("the account was just deleted")
        progress = Progress(*columns, transient=True)
        progress.disable = not progress.console.is_terminal
        with file.open("wb") as output, progress:
            task = progress.add_task("", total=None)
            async for part in export_in_parts(snapshot, user_id, user):
                progress.advance(task, output.write(part))
