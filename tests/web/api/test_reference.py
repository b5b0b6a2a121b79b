"""The reference lists every operation without a script, and loads nothing from elsewhere."""

import json
import re

from tests.web.conftest import Shop
from web.api.document import COMMITTED


async def test_every_operation_is_listed_without_a_script(read_only_shop: Shop) -> None:
    page = (await read_only_shop.client().get("/api-reference")).text
    document = json.loads(COMMITTED.read_bytes())

    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page


async def test_every_file_of_it_is_ours(read_only_shop: Shop) -> None:
    client = read_only_shop.client()
    page = (await client.get("/api-reference")).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert len([name for name in files if name.startswith("/static/")]) == 5
    for name in files:
        assert name.startswith("/"), name
        assert (await client.get(name)).status_code == 200, name
