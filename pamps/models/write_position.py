"""How far replicas have to be before they may serve a caller: tables and queries.

A position is one in the write-ahead log (LSN), as a number of bytes. See
docs/decisions/0025-replicas.md.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import AnySelect, created_at
from pamps.models.user import USER_ID

# For how many seconds a new primary makes writes wait until it must be known everywhere: without a
# primary, replicas are read, and they would not have what it has.
WRITES_WAIT_SECONDS = 3
# The `caller` of the row with the position that everybody needs at least.
FLOOR = 0
ANYBODY = sa.literal_column(str(FLOOR), sa.BigInteger)
NOW = sa.literal_column("(pg_current_wal_insert_lsn() - '0/0')::bigint", sa.BigInteger)
POSITION = sa.bindparam("position", type_=sa.BigInteger)
EPOCH = sa.bindparam("epoch", type_=sa.BigInteger)
CALLERS = sa.bindparam("callers", type_=sa.ARRAY(sa.BigInteger))


class PrimaryEpoch(SQLModel, table=True):
    """One row, a random number that is replaced whenever the rows of `write_position` are lost.

    A replica that shows another one follows another primary, or one as it was before a crash.
    """

    __tablename__ = "primary_epoch"

    id: int = Field(
        sa_type=sa.BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    date: datetime = created_at()


class WritePosition(SQLModel, table=True):
    """Where the log was after the latest write of a caller.

    A caller is the id of a user, or a negative number that stands for an address. As the table is
    unlogged, writing to it costs little; PostgreSQL empties it after a crash, and on a standby that
    is promoted.
    """

    __tablename__ = "write_position"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    caller: int = Field(
        sa_type=sa.BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    position: int = Field(sa_type=sa.BigInteger)


IS_FLOOR = col(WritePosition.caller) == ANYBODY


def record_positions() -> AnySelect:
    """Record for `callers`, who are in order, where the log is now; return that and the epoch.

    `is_known` is false while a write has to wait as the primary is new.
    """
    now = sa.select(NOW.label("position")).cte("now")
    rows = sa.select(sa.func.unnest(CALLERS), now.c.position)
    statement = insert(WritePosition).from_select(["caller", "position"], rows)
    newer = statement.excluded.position
    statement = statement.on_conflict_do_update(
        index_elements=["caller"],
        set_={"position": newer},
        where=col(WritePosition.position) < newer,
    )
    epoch = sa.select(col(PrimaryEpoch.id)).scalar_subquery().label("epoch")
    since = sa.func.greatest(col(PrimaryEpoch.date), sa.func.pg_postmaster_start_time())
    is_old = sa.func.clock_timestamp() - since > sa.func.make_interval(
        0, 0, 0, 0, 0, 0, WRITES_WAIT_SECONDS
    )
    has_floor = sa.exists().where(IS_FLOOR)
    is_known = sa.exists().where(is_old, has_floor).label("is_known")
    return sa.select(epoch, now.c.position, is_known).add_cte(statement.cte("recorded"))


def needed_positions() -> AnySelect:
    """Select the epoch, and the position that each of `callers` needs; nothing without a floor."""
    caller = sa.func.unnest(CALLERS).table_valued("id", name="caller").render_derived()
    floor, own = sa.orm.aliased(WritePosition), sa.orm.aliased(WritePosition)
    needed = sa.func.greatest(col(floor.position), col(own.position)).label("position")
    is_own = col(own.caller) == sa.cast(caller.c.id, sa.BigInteger)
    return (
        sa.select(caller.c.id.label("caller"), col(PrimaryEpoch.id).label("epoch"), needed)
        .select_from(caller)
        .join(PrimaryEpoch, sa.true())
        .join(floor, col(floor.caller) == ANYBODY)
        .outerjoin(own, is_own)
    )


def with_needed_position(statement: AnySelect) -> AnySelect:
    """Add the epoch and the position that `user_id` needs to a statement about that user."""
    floor, own = sa.orm.aliased(WritePosition), sa.orm.aliased(WritePosition)
    needed = sa.select(sa.func.greatest(col(floor.position), col(own.position)))
    needed = needed.select_from(floor).outerjoin(own, col(own.caller) == USER_ID)
    needed = needed.where(col(floor.caller) == ANYBODY).correlate(None)
    return statement.add_columns(
        sa.select(col(PrimaryEpoch.id)).scalar_subquery().label("epoch"),
        needed.scalar_subquery().label("position"),
    )


def floor_position() -> AnySelect:
    """Select the epoch, the position that everybody needs, and where the log is now."""
    position = col(WritePosition.position)
    floor: AnySelect = sa.select(col(PrimaryEpoch.id).label("epoch"), position, NOW.label("now"))
    return floor.select_from(PrimaryEpoch).join(WritePosition, IS_FLOOR)


def begin_epoch() -> AnySelect:
    """Begin the epoch `epoch` if there is no floor: everybody needs what is stored by now."""
    floor = sa.select(ANYBODY, NOW)
    inserted = insert(WritePosition).from_select(["caller", "position"], floor)
    begun = inserted.on_conflict_do_nothing().returning(col(WritePosition.caller)).cte("begun")
    is_new = sa.select(sa.func.count()).select_from(begun).scalar_subquery() > 0
    ended = sa.delete(PrimaryEpoch).where(is_new).cte("ended")
    epoch = insert(PrimaryEpoch).from_select(["id"], sa.select(EPOCH).select_from(begun))
    return sa.select(begun.c.caller).add_cte(ended, epoch.cte("added"))


def raise_floor() -> sa.Update:
    """Make everybody need `position`, which is of the epoch `epoch`."""
    is_current = sa.exists().where(col(PrimaryEpoch.id) == EPOCH)
    raised = sa.update(WritePosition).where(IS_FLOOR, col(WritePosition.position) < POSITION)
    return raised.where(is_current).values(position=POSITION)


def obsolete_positions(limit: int) -> sa.Delete:
    """Delete up to `limit` positions that are not beyond the one that everybody needs."""
    floor = sa.select(col(WritePosition.position)).where(IS_FLOOR).scalar_subquery()
    obsolete = sa.select(col(WritePosition.caller)).where(~IS_FLOOR)
    obsolete = obsolete.where(col(WritePosition.position) <= floor).limit(limit)
    # A CTE runs once; a subquery may run for each row, and skip what is deleted already.
    batch = obsolete.with_for_update(skip_locked=True).cte("batch")
    return sa.delete(WritePosition).where(col(WritePosition.caller) == batch.c.caller)
