"""What a path answers to, told to those who ask."""

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send


class Allowing:
    """Wraps a Litestar application so that OPTIONS names all methods of a path.

    Litestar's own answer knows those of the first handler that was registered for it, and no others.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._allowed = {
            route.path_format: ", ".join(sorted(route.methods)).encode()
            for route in app.routes
            if route.scope_type is ScopeType.HTTP
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and correct the answer."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return

        async def corrected(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 204:
                others = [header for header in message["headers"] if header[0] != b"allow"]
                message["headers"] = [*others, (b"allow", self._allowed[scope["path_template"]])]
            await send(message)

        await self._app(scope, receive, corrected)
