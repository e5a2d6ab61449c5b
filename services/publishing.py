"""What we publish for others to check against: OpenAPI of both services and JSON Schema of all events, in docs/api.

    python -m services.publishing

writes it anew. Each document is what a service itself serves at /openapi.json; nothing needs to run for that.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import httpx
from litestar.types import ASGIApp

from eventlog.connection import KafkaSettings
from schemas.published import event_schemas
from services.command.app import command_application
from services.query.app import query_application
from services.query.encoders import QueryEncoders, on

FOLDER = Path(__file__).parents[1] / "docs" / "api"
NOWHERE = "127.0.0.1:9"
POSTGRES = f"postgresql://{NOWHERE}/"


def published() -> dict[str, str]:
    """Every file by its path in the folder."""
    documents = {
        "openapi-command.json": _served(command_application(KafkaSettings(NOWHERE), POSTGRES)),
        "openapi-query.json": _served(query_application(POSTGRES, QueryEncoders(on("cpu")))),
        **{f"events/{name}.schema.json": schema for name, schema in event_schemas().items()},
    }
    return {path: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for path, each in documents.items()}


def _served(app: ASGIApp) -> dict[str, Any]:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(cast(Any, app))  # two names for the one protocol
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/openapi.json")

    document: dict[str, Any] = asyncio.run(get()).raise_for_status().json()
    return document


def write() -> None:
    """Write the files, and remove those that are no more."""
    made = published()
    for old in FOLDER.rglob("*.json"):
        if str(old.relative_to(FOLDER)) not in made:
            old.unlink()
    for path, text in made.items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)


if __name__ == "__main__":
    write()
