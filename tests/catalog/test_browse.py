from decimal import Decimal

from catalog.service import Catalog


async def test_the_catalogue_is_imported_and_a_product_shows_its_skus_in_natural_order(catalog: Catalog) -> None:
    product = await catalog.find_product("HEX-BOLT-8.8")

    assert [sku.code for sku in product.skus] == ["HB-88-M8X40", "HB-88-M8X100", "HB-88-M10X40"]
    assert [(unit.unit, unit.factor) for unit in product.skus[0].units] == [
        ("each", Decimal(1)),
        ("box", Decimal(100)),
        ("pallet", Decimal(24000)),
    ]
    assert [each.code for each in product.breadcrumb] == ["FASTENERS", "BOLTS", "HEX"]
