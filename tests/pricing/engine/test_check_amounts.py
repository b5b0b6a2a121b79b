"""A whole book is swept: what that finds is what asking one line after the other finds."""

from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine.book import SkuFacts, UnitFact
from tests.pricing.engine.cast import CHAIR, ROPE, STOOL, content, row
from tests.pricing.engine.checking import the

MANY = 400
"""SKUs, so that more is asked than is worth asking one by one."""


def alike(facts: SkuFacts) -> list[SkuFacts]:
    return [replace(facts, sku=f"{facts.sku}-{number:03}") for number in range(MANY)]


@pytest.mark.parametrize(
    ("facts", "rows", "fall"),
    [
        (CHAIR, ({"said": "1:10"}, {"said": "1:100 5:60", "unit": "box"}), ("box", "4", "400.00", "5", "300.00")),
        (ROPE, ({"said": "0:10 2.5:7", "unit": "metre"},), ("metre", "2.49", "24.90", "2.5", "17.50")),
        (
            replace(STOOL, units=(UnitFact(unit="gram", decimals=3),)),
            ({"said": "0:10 0.02:1", "unit": "gram"},),
            ("gram", "0.019", "0.19", "0.02", "0.02"),
        ),
    ],
)
def test_a_fall_of_many_skus_is_found_in_each(
    facts: SkuFacts, rows: tuple[dict[str, Any], ...], fall: tuple[str, ...]
) -> None:
    skus = alike(facts)
    of = content(*(row(**{**said, "sku": one.sku}) for one in skus for said in rows), skus=tuple(skus))
    params = the("total_falls", of).params

    assert (params["sku"], params["count"]) == (skus[0].sku, str(MANY))
    assert tuple(params[name] for name in ("unit", "quantity", "before", "more", "after")) == fall
