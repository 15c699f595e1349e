"""Tests behind real proxies, for machines that have their programs, as Debian packages them."""

import os
import shutil

# Where Debian keeps nginx and HAProxy is not on every PATH.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
PROGRAMS = "nginx", "haproxy", "openssl"


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SEARCH_PATH)]
