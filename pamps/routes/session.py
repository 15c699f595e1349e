"""The sessions of the caller."""

from fastapi import APIRouter, HTTPException, Request, Response
from sqlmodel import col, delete

from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.models import UserSession
from pamps.models.columns import id_parameter
from pamps.models.session import OF_USER, SessionResponse, sessions
from pamps.models.types import Id
from pamps.pagination import ActivePage, PaginatedQuery

router = APIRouter(prefix="/user/me/sessions", tags=["auth"])

SESSIONS = PaginatedQuery(sessions(), col(UserSession.id))
IS_OWN_SESSION = (col(UserSession.id) == id_parameter("id")) & OF_USER
END_OWN_SESSION = Query(delete(UserSession).where(IS_OWN_SESSION))


@router.get("/", response_model=list[SessionResponse])
async def list_sessions(user: AuthenticatedUser, request: Request, page: ActivePage) -> Response:
    """List where you are signed in, the latest sign-in first."""
    return await page.response(request, SESSIONS, user_id=user.id, session_id=user.session_id)


@router.delete("/{session_id}/", status_code=204)
async def end_session(session_id: Id, user: AuthenticatedUser) -> None:
    """End one of your sessions: its tokens are no longer valid."""
    if not await END_OWN_SESSION.execute(user_id=user.id, id=session_id):
        raise HTTPException(404, "Session not found")
