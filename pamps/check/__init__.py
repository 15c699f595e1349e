"""The checker of `pamps check`: anybody's service against the FastAPI workshop, over HTTP."""
