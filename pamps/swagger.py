"""The documentation page at /docs: Swagger UI, with its files served by Pamps itself."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from pamps.language import PreferredLanguage, find_language

FOLDER = Path(str(files("fastapi_swagger.resources")))
FILES = SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"


@cache
def _page(root: str, language: str) -> HTMLResponse:
    """Return the page. `root` is the relative reference from the page to the root of the API."""
    query = "" if language == "en" else f"?lang={language}"
    page = bytes(
        get_swagger_ui_html(
            openapi_url=f"{root}openapi.json{query}",
            swagger_js_url=f"{root}swagger/{SCRIPT}",
            swagger_css_url=f"{root}swagger/{STYLE}",
            swagger_favicon_url=f"{root}swagger/{ICON}",
            title="Pamps",
        ).body
    )
    (script,) = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    script_hash = base64.b64encode(hashlib.sha256(script).digest()).decode()
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
        # 'unsafe-inline', as Swagger UI sets styles on its elements.
        f"style-src 'self' 'unsafe-inline'; script-src 'self' 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = page.replace(b"<html>", f'<html lang="{language}">'.encode())
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return HTMLResponse(page, headers=headers | {"Content-Security-Policy": policy})


def add_docs(app: FastAPI) -> None:
    """Add /docs, and the files that it loads at /swagger."""

    @app.get("/docs", include_in_schema=False)
    async def docs(
        request: Request, preferred: PreferredLanguage, lang: str | None = None
    ) -> HTMLResponse:
        root = "../" if request.scope["raw_path"].endswith(b"/") else ""
        return _page(root, preferred if lang is None else find_language(lang))

    @app.get("/swagger/{name}", include_in_schema=False)
    async def swagger_file(name: str) -> FileResponse:
        if name not in FILES:
            raise HTTPException(404)
        return FileResponse(FOLDER / name)
