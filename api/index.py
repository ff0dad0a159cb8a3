"""The ASGI application, for Vercel (which looks for a top-level `app` in this file) and for uvicorn.

Importing it needs no environment variable and no network: a cold start must survive both.
"""

from __future__ import annotations

from lib.settings import Settings
from lib.web.app import create_app

app = create_app(Settings())
