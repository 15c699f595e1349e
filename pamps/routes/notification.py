"""Notifications of what others did."""

from typing import Annotated

from fastapi import APIRouter, Query as QueryParameters, Request, Response
from sqlmodel import col

from pamps import db
from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.models import Notification
from pamps.models.notification import Kind
from pamps.models.notification_list import (
    NotificationResponse,
    ReadRequest,
    lock_inbox,
    notifications,
    read_notifications,
)
from pamps.pagination import NewestFirstPage, PaginatedQuery
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/user/me/notifications", tags=["user"])

# By whether they are of one kind, and whether they are only those that are not read.
NOTIFICATIONS = {
    (of_kind, unread): PaginatedQuery(
        notifications(of_kind=of_kind, unread=unread), col(Notification.id)
    )
    for of_kind in (False, True)
    for unread in (False, True)
}
LOCK_INBOX = Query(lock_inbox())
READ_NOTIFICATIONS = Query(read_notifications())


class NotificationsPage(NewestFirstPage):
    """The page of notifications that a request asks for."""

    kind: Kind | None = None
    unread: bool = False


@router.get("/", response_model=list[NotificationResponse])
async def list_notifications(
    user: AuthenticatedUser,
    request: Request,
    page: Annotated[NotificationsPage, QueryParameters()],
) -> Response:
    """List what others did that concerns you, the newest first."""
    kind = {"kind": page.kind} if page.kind else {}
    query = NOTIFICATIONS[bool(page.kind), page.unread]
    return await page.response(request, query, viewer_id=user.id, **kind)


@router.post("/read/", status_code=204)
async def mark_notifications_as_read(
    read: ReadRequest, user: AuthenticatedUser, outer: ActiveTransaction
) -> None:
    """Mark your notifications as read, up to the one with the id `up_to`."""
    async with db.transaction(outer) as transaction:
        await LOCK_INBOX.execute(transaction, viewer_id=user.id)
        await READ_NOTIFICATIONS.execute(transaction, viewer_id=user.id, up_to=read.up_to)
