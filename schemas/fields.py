"""Types of fields as the schemas that we publish describe them. Nothing is checked by them."""

from typing import Annotated

from msgspec import Meta

Natural = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Seconds = Annotated[float, Meta(extra_json_schema={"minimum": 0})]
Instant = Annotated[str, Meta(description="RFC 3339.", extra_json_schema={"format": "date-time"})]
Encoding = Annotated[str, Meta(description="How bytes became text.", extra_json_schema={"enum": ["utf-8", "base64"]})]
Sum = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{16}$"})]
