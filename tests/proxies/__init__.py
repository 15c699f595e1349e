"""Tests behind real proxies, for machines that have their programs, as Debian packages them."""

import os
import shutil

# Where Debian keeps nginx and HAProxy is not on every PATH.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
PROGRAMS = "nginx", "haproxy", "openssl"


def missing(*programs: str) -> list[str]:
    """Those of the programs that are not installed."""
    return [name for name in programs or PROGRAMS if not shutil.which(name, path=SEARCH_PATH)]
