"""What stands beside a signed quote: a PDF for people, a package that proves every price, an order."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel.canonical import canonical_json
from pricing import verify_quote
from pricing.quote_package import TraceLost, answer_of
from pricing.quotes import QuoteDocument
from pricing.replay_quote import replay_package
from tests.web.api.partners import ACME, GLOBEX, Program, key_of
from tests.web.api.test_signed_quotes import LINES, keys, outcomes, signed
from tests.web.conftest import Shop
from web.cli import main


async def package(shop: Shop, body: dict[str, Any] | None = None, *, email: str = ACME) -> tuple[bytes, bytes]:
    """A signed quote and its package."""
    program, document = await signed(shop, body, email=email)
    answer = await program.get(f"/api/v1/signed-quotes/{json.loads(document)['id']}/package")
    assert answer.status_code == 200, answer.text
    return document, answer.content


@pytest.mark.parametrize("email", [ACME, GLOBEX])
@pytest.mark.parametrize("country", ["ES", "DE", "US"])
async def test_a_package_proves_signature_and_prices_offline(partner_shop: Shop, email: str, country: str) -> None:
    document, content = await package(partner_shop, {"lines": LINES, "country": country}, email=email)
    at = msgspec.json.decode(document, type=QuoteDocument).issued_at

    checks = verify_quote.verify_quote(content, await keys(partner_shop), at=at)
    found = replay_package(content)

    assert outcomes(checks) == dict.fromkeys(("format", "canonical", "signature", "time", "prices"), "passed")
    assert found is not None
    assert found.findings == ()
    assert sum("steps" in said for said in found.checked) == len(LINES)
    assert canonical_json(json.loads(content)["quote"]) == document


async def test_a_package_is_small_and_shows_nobody_elses_prices(partner_shop: Shop) -> None:
    _, content = await package(partner_shop)
    leaves = json.loads(content)["leaves"]

    assert len(content) < 100_000
    assert len(leaves["nodes"]) < leaves["size"] / 4
    assert not re.search(rb'"(cost|margin)', content)
    assert {leaf["key"][0] for leaf in leaves["shown"] if leaf["kind"] == "sku"} == {line["sku"] for line in LINES}
    audiences = [leaf["content"]["audience"]["company"] for leaf in leaves["shown"] if leaf["kind"] == "list"]
    assert set(audiences) <= {None, "acme"}


async def test_whatever_is_changed_in_a_package_is_found(
    partner_shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, content = await package(partner_shop)
    public, whole = tmp_path / "jwks.json", json.loads(content)
    public.write_bytes(await keys(partner_shop))
    line = whole["answer"]["lines"][0]

    def code(changed: dict[str, Any] | bytes) -> int:
        file = tmp_path / "package.json"
        file.write_bytes(changed if isinstance(changed, bytes) else canonical_json(changed))
        return main(["verify-quote", str(file), "--keys", str(public), "--at", json.loads(document)["issued_at"]])

    def with_line(**values: Any) -> dict[str, Any]:
        lines = [{**line, **values}, *whole["answer"]["lines"][1:]]
        return {**whole, "answer": {**whole["answer"], "lines": lines}}

    assert code(content) == 0
    assert "steps, tax and amounts" in capsys.readouterr().out
    steps = line["trace"]["steps"]
    assert code(with_line(total="1.00")) == 1
    assert code(with_line(trace={**line["trace"], "steps": [{**steps[0], "after": "1"}, *steps[1:]]})) == 1
    assert code({**whole, "answer": {**whole["answer"], "at": "2026-01-01T00:00:00Z"}}) == 1
    assert code({**whole, "answer": {**whole["answer"], "total": {"minor": 1, "currency": "EUR"}}}) == 1
    assert code({**whole, "quote": {**whole["quote"], "currency": "USD"}}) == 1
    assert code({**whole, "leaves": {**whole["leaves"], "nodes": whole["leaves"]["nodes"][1:]}}) == 1
    assert code({**whole, "more": 1}) == 1
    assert code(json.dumps(whole).encode()) == 1


async def test_a_quote_names_the_agreements_of_its_day(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop, {"lines": LINES, "language": "es"})
    agreements = json.loads(document)["agreements"]

    assert {"code", "version", "language", "sha256"} == set(agreements[0])
    assert all(each["language"] == "es" and each["sha256"].startswith("sha256:") for each in agreements)


async def test_a_quote_from_before_agreements_were_named_still_verifies(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    before = {name: value for name, value in json.loads(document).items() if name != "agreements"}
    at = msgspec.json.decode(document, type=QuoteDocument).issued_at

    checks = outcomes(verify_quote.verify_quote(canonical_json(before), await keys(partner_shop), at=at))

    assert checks["format"] == "passed"
    assert checks["signature"] == "failed"  # it was signed with them
    assert msgspec.json.decode(canonical_json(before), type=QuoteDocument).agreements == ()


async def test_the_document_is_the_same_pdf_each_time(partner_shop: Shop) -> None:
    program, document = await signed(partner_shop, {"lines": LINES, "language": "es"})
    address = f"/api/v1/signed-quotes/{json.loads(document)['id']}/document"

    first, again = await program.get(address), await program.get(address)
    english = await program.get(f"{address}?language=en")
    unchanged = await program.get(address, headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"] == "application/pdf"
    assert first.content.startswith(b"%PDF-1.7")
    assert first.content == again.content
    assert len(first.content) < 80_000
    assert b"<pdfaid:part>2</pdfaid:part>" in first.content
    assert b"<pdfuaid:part>1</pdfuaid:part>" in first.content
    assert b"/Lang(es)" in first.content
    assert b"/Lang(en)" in english.content
    assert english.headers["etag"] != first.headers["etag"]
    assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_what_stands_beside_a_quote_is_its_companys_alone(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    stranger = Program(partner_shop, await key_of(partner_shop, GLOBEX))
    for part in ("document", "package", "order"):
        theirs = await stranger.get(f"/api/v1/signed-quotes/{json.loads(document)['id']}/{part}")
        missing = await stranger.get(f"/api/v1/signed-quotes/{uuid.uuid4()}/{part}")
        assert (theirs.status_code, theirs.content) == (404, missing.content)


async def test_steps_that_are_not_those_that_were_signed_are_not_shown(partner_shop: Shop) -> None:
    _, content = await signed(partner_shop)
    document = msgspec.json.decode(content, type=QuoteDocument)
    other = msgspec.structs.replace(document.lines[0], total="0.01")

    with pytest.raises(TraceLost):
        await answer_of(
            msgspec.structs.replace(document, lines=(other, *document.lines[1:])), partner_shop.services.books
        )
