"""Middleware, one ASGI class a file."""
