"""The API's routes, in one flat list, because FastAPI matches nested routers more slowly."""

import re

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from pamps.mail import ENABLED as MAIL_ENABLED

from . import (
    admin,
    auth,
    block,
    bookmark,
    email,
    export,
    follow,
    health,
    index,
    like,
    live,
    mute,
    notification,
    password,
    password_reset,
    post,
    post_search,
    repost,
    session,
    tag,
    user,
    user_search,
)

# In the order of the documentation. The routes of an inner list are sorted together.
POST_MODULES = [post, like, repost, tag, post_search]
USER_MODULES = [user, user_search, follow, block, mute, export]
MAIL_MODULES = [password_reset, email] if MAIL_ENABLED else []
AUTH_MODULES = [auth, password, session, *MAIL_MODULES]
OTHER_MODULES = [[bookmark], [notification], [live], AUTH_MODULES, [admin], [health], [index]]


def _begins_with_parameter(route: BaseRoute) -> bool:
    """Tell whether a parameter follows the prefix of a route, as in `/post/{post_id}/`."""
    return isinstance(route, APIRoute) and re.match("/[a-z]+/{", route.path) is not None


routes: list[BaseRoute] = []
for modules in [POST_MODULES, USER_MODULES, *OTHER_MODULES]:
    # Literal paths win over parameters: `/user/me/` is never `/user/{username}/`.
    group = [route for module in modules for route in module.router.routes]
    routes += sorted(group, key=_begins_with_parameter)
for route in routes:
    if isinstance(route, APIRoute):
        route.operation_id = route.name  # by which generated clients name their functions
