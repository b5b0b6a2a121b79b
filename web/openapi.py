"""The OpenAPI document, generated from the code."""

from litestar.openapi import OpenAPIConfig


def openapi_config() -> OpenAPIConfig | None:
    return OpenAPIConfig(title="Tarifa", version="1.0.0", enabled_endpoints=set())
