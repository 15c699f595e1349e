"""The API's routes, in one flat list: FastAPI takes longer to look through routers in routers."""

from fastapi.routing import APIRoute

from .admin import router as admin_router
from .auth import router as auth_router
from .health import router as health_router
from .index import router as index_router
from .post import router as post_router
from .user import router as user_router

routes = [
    route
    for router in (
        post_router,
        user_router,
        auth_router,
        admin_router,
        health_router,
        index_router,
    )
    for route in router.routes
]
for route in routes:
    if isinstance(route, APIRoute):
        route.operation_id = route.name  # by which generated clients name their functions
