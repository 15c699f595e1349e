from fastapi import APIRouter

from pamps.errors import MAX_BODY_BYTES, errors

from .admin import router as admin_router
from .auth import router as auth_router
from .post import router as post_router
from .user import router as user_router

main_router = APIRouter(max_body_size=MAX_BODY_BYTES, responses=errors(429, 503))
main_router.include_router(auth_router)
main_router.include_router(user_router)
main_router.include_router(post_router)
main_router.include_router(admin_router)
