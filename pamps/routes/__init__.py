"""The API's routes, in one flat list: FastAPI takes longer to look through routers in routers."""

import re

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from .admin import router as admin_router
from .auth import router as auth_router
from .follow import router as follow_router
from .health import router as health_router
from .index import router as index_router
from .like import router as like_router
from .post import router as post_router
from .session import router as session_router
from .user import router as user_router

# In the order of the documentation. Those of a line share a prefix.
ROUTERS = [
    [post_router, like_router],
    [user_router, follow_router],
    [auth_router, session_router],
    [admin_router],
    [health_router],
    [index_router],
]


def _begins_with_parameter(route: BaseRoute) -> bool:
    """Whether a parameter follows the prefix of a route, as in `/post/{post_id}/`."""
    return isinstance(route, APIRoute) and re.match("/[a-z]+/{", route.path) is not None


# Paths with a fixed word come before those with a parameter in its place.
routes = [
    route
    for routers in ROUTERS
    for route in sorted(
        (route for router in routers for route in router.routes), key=_begins_with_parameter
    )
]
for route in routes:
    if isinstance(route, APIRoute):
        route.operation_id = route.name  # by which generated clients name their functions
