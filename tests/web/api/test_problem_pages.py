"""Every problem type leads to a page that explains it."""

import pytest

from tests.web.conftest import Shop
from web.api.problem_pages import ADVICE, MEANING, problem_types


async def test_every_problem_type_has_a_page(read_only_shop: Shop) -> None:
    browser = read_only_shop.client()
    for slug, found in problem_types().items():
        page = await browser.get(f"/problems/{slug}")
        assert page.status_code == 200, slug
        assert f"/problems/{slug}" in page.text
        assert "What to do" in page.text
        assert {status for status, _ in found.variants} <= set(MEANING)


async def test_all_types_are_listed(read_only_shop: Shop) -> None:
    page = (await read_only_shop.client().get("/problems")).text

    assert all(f'href="/problems/{slug}"' in page for slug in problem_types())


def test_advice_is_for_types_that_exist() -> None:
    assert set(ADVICE) <= set(problem_types())


@pytest.mark.parametrize("slug", ["nothing", "%2e%2e%2f", "Malformed", "<script>alert(1)</script>"])
async def test_a_type_that_does_not_exist_is_not_found(read_only_shop: Shop, slug: str) -> None:
    page = await read_only_shop.client().get(f"/problems/{slug}")

    assert page.status_code == 404
    assert "<script>alert" not in page.text
