"""The page at /: files of this package, and nothing else, read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aiohttp import web

__all__ = ["FOLDER", "Page"]

FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Page:
    """The page's files by name: what is not among them at the start is not there."""

    def __init__(self) -> None:
        self._files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(FOLDER.iterdir())
            if path.suffix in _TYPES
        }
        self._tags = {
            name: hashlib.sha256(data).hexdigest()[:32] for name, (data, _) in self._files.items()
        }

    async def index(self, request: web.Request) -> web.Response:
        """Answer the page itself."""
        return self._answer(request, "index.html")

    async def file(self, request: web.Request) -> web.Response:
        """Answer one of the page's files, 404 for any other name."""
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        if name not in self._files:
            raise web.HTTPNotFound
        data, content_type = self._files[name]
        tag = self._tags[name]
        if any(each.value == tag for each in request.if_none_match or ()):
            answer = web.Response(status=304, content_type=content_type)
        else:
            answer = web.Response(body=data, content_type=content_type, charset="utf-8")
        answer.etag = tag
        return answer
