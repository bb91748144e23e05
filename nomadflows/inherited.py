"""What of this process's environment is handed on to code that strangers wrote: install scripts of packages, modules of
components. Enough to find programs, proxies and registries; no server's token, which is often in a variable here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_NAMES: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE",
     "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
     "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
     "NPM_TOKEN", "NODE_AUTH_TOKEN"}  # of a registry, as an .npmrc names it
)  # fmt: skip
_BEGINNINGS: Final = ("LC_", "XDG_", "NPM_CONFIG_", "PIP_", "UV_")


def for_strangers(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Names count in either case: proxies and npm's settings are written in both."""
    given = os.environ if environ is None else environ
    return {
        name: value
        for name, value in given.items()
        if (upper := name.upper()) in _NAMES or upper.startswith(_BEGINNINGS)
    }
