"""Lets schemathesis send bodies of types that it does not know."""

import schemathesis


@schemathesis.serializer("application/toml", "application/octet-stream")
def text(_context, value):
    """What is generated, as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
