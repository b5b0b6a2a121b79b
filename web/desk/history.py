"""What publications changed: any two compared, as a page and as a file, and the prices of one SKU through all."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from pricing.model import PricePublication
from pricing.service import Change, PublicationNotFound
from pricing.sku_history import history_of
from web.desk.describe import KINDS, Field, changed, key_text, kind_text
from web.desk.drafts import page_number
from web.desk.price_pages import SkuNotFound
from web.http import AnyRequest, Html, locale_of, services_of
from web.pages import page
from web.people import names_of

PAGE_SIZE: Final = 50
HISTORY: Final = 200
SKU_PUBLICATIONS: Final = 50
NUMBER_MOST: Final = 2**31
CSV_BATCH: Final = 1000


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    fields: tuple[Field, ...]
    came: bool
    went: bool


class SkuStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one publication did to a SKU's prices, row by row."""

    publication: PricePublication
    rows: tuple[Compared, ...]


@get("/desk/prices/compare", include_in_schema=False, summary="Compare two publications")
async def compare(request: AnyRequest) -> Html:
    """By kind, a page at a time. Without numbers: the last publication and the one before it."""
    services, locale = services_of(request), locale_of(request)
    history = await services.pricing.list_publications(HISTORY)
    older, newer = _numbers(request, history)
    changes = await services.pricing.compare(older, newer) if history else ()
    counts = Counter(change.kind for change in changes)
    kind = request.query_params.get("kind", "")
    if kind in counts:
        changes = tuple(change for change in changes if change.kind == kind)
    number = page_number(request)
    start = (number - 1) * PAGE_SIZE
    asked = {"older": older, "newer": newer}
    return page(
        request,
        "desk/compare.html",
        history=history,
        older=older,
        newer=newer,
        kinds=[(name, kind_text(name, locale), counts[name]) for name in KINDS if counts[name]],
        kind=kind if kind in counts else "",
        total=sum(counts.values()),
        changes=[_compared(change, locale) for change in changes[start : start + PAGE_SIZE]],
        number=number,
        pages=max(1, -(-len(changes) // PAGE_SIZE)),
        address=lambda **more: f"/desk/prices/compare?{urlencode({**asked, **more})}",
        file=f"/desk/prices/compare.csv?{urlencode(asked)}",
    )


@get("/desk/prices/compare.csv", include_in_schema=False, summary="Two publications compared, as a file")
async def compare_csv(request: AnyRequest) -> Response[Any]:
    """A line a field that differs: kind, key, field, before, after."""
    services = services_of(request)
    older, newer = _numbers(request, await services.pricing.list_publications(HISTORY))
    changes = await services.pricing.compare(older, newer)
    return Stream(
        _lines(changes, locale_of(request)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="prices-{older}-{newer}.csv"'},
    )


@get("/desk/prices/history", include_in_schema=False, summary="The prices of one SKU through all publications")
async def sku_history(request: AnyRequest) -> Html:
    """The publications that changed a row of the SKU, newest first, up to a number of them."""
    services, locale = services_of(request), locale_of(request)
    code = request.query_params.get("sku", "")[:200]
    known = (await services.catalog.find_skus([code])).get(code)
    history = await history_of(services.pricing, code, most=SKU_PUBLICATIONS)
    if known is None and not history.priced:
        raise SkuNotFound(f"The catalogue has no SKU {code}.", sku=code)
    steps = [
        SkuStep(publication=step.publication, rows=tuple(_compared(change, locale) for change in step.changes))
        for step in history.steps
    ]
    return page(
        request,
        "desk/sku_history.html",
        code=code,
        name=known.names.in_(locale) if known is not None else "",
        steps=steps,
        looked_at=history.looked_at,
        more=history.more,
        names=await names_of(services, [step.publication.published_by for step in steps]),
    )


HANDLERS: list[ControllerRouterHandler] = [compare, compare_csv, sku_history]


def _numbers(request: AnyRequest, history: Any) -> tuple[int, int]:
    """The older and the newer number asked for, the smaller first.

    :raises PublicationNotFound: when a number is none
    """
    last = history[0].number if history else 0
    numbers = []
    for name, otherwise in (("older", max(last - 1, 1)), ("newer", last)):
        text = request.query_params.get(name, "") or str(otherwise)
        if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < NUMBER_MOST):
            raise PublicationNotFound(f"There is no publication {text[:20]}.")
        numbers.append(int(text))
    return min(numbers), max(numbers)


def _compared(change: Change, locale: str) -> Compared:
    return Compared(
        kind=kind_text(change.kind, locale),
        name=key_text(change.kind, change.key),
        fields=changed(change.before, change.after, locale),
        came=change.before is None,
        went=change.after is None,
    )


def _lines(changes: tuple[Change, ...], locale: str) -> Iterator[bytes]:
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(["kind", "key", "field", "before", "after"])
    for number, change in enumerate(changes, 1):
        for field in changed(change.before, change.after, locale):
            cells = [change.kind, " / ".join(change.key), field.label, field.before or "", field.after or ""]
            writer.writerow([_safe(cell) for cell in cells])
        if not number % CSV_BATCH:
            yield _taken(written)
    yield _taken(written)


def _taken(written: io.StringIO) -> bytes:
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text.encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
