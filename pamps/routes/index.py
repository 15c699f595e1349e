"""The index of the API."""

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from pamps.config import settings
from pamps.paths import reference
from pamps.responses import conditional_response

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """Refer to the documentation, and to every GET route that needs no parameter."""
    app = request.app
    links = {"docs": "docs", "openapi": "openapi.json"} if settings.server.docs else {}
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema and _needs_no_parameter(route):
            links[route.name] = route.path.lstrip("/")
    links = {name: reference(request, path) for name, path in links.items()}
    content = {"title": app.title, "version": app.version, "links": links}
    response = conditional_response(request, content)
    response.headers.add_vary_header("Accept")  # browsers get the page of the web client
    return response


def _needs_no_parameter(route: APIRoute) -> bool:
    needed = any(field.field_info.is_required() for field in get_flat_params(route.dependant))
    return not needed and "GET" in (route.methods or ())
