"""A signed quote: promised to a company, kept as it was given, checked by a stranger, void after its day."""

import json
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from kernel.canonical import canonical_json
from kernel.jws import key_set
from kernel.signing import Keyring, Purpose
from pricing import verify_quote
from pricing.engine import Buyer, LineRequest, QuoteRequest
from pricing.engine.request import TaxInput, Treatment
from pricing.quotes import Issuer, QuoteDocument, Quotes, SignedQuoteNotFound, ValidityTooLong
from tests.conftest import ROOT
from tests.web.api.partners import ACME, GLOBEX, Program, key_of, person
from tests.web.conftest import Shop
from web.cli import main

LINES = [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "12"}, {"sku": "ANCH-M10-120", "quantity": "500"}]


async def signed(shop: Shop, body: dict[str, Any] | None = None, *, email: str = ACME) -> tuple[Program, bytes]:
    program = Program(shop, await key_of(shop, email))
    answer = await program.post("/api/v1/signed-quotes", json=body or {"lines": LINES})
    assert answer.status_code == 201, answer.text
    return program, answer.content


async def keys(shop: Shop) -> bytes:
    return (await Program(shop).get("/.well-known/jwks.json")).content


def outcomes(checks: tuple[verify_quote.Check, ...]) -> dict[str, str]:
    return {check.name: check.outcome for check in checks}


async def test_a_key_gets_a_promise_of_what_a_quote_says_and_a_stranger_verifies_it(partner_shop: Shop) -> None:
    program, document = await signed(partner_shop)
    asked = (await program.post("/api/v1/quotes", json={"lines": LINES})).json()
    quote = msgspec.json.decode(document, type=QuoteDocument, strict=True)

    assert [line.total for line in quote.lines] == [line["total"]["amount"] for line in asked["lines"]]
    assert quote.totals.total == asked["totals"]["total"]["amount"]
    assert (quote.root, quote.tax_treatment, quote.currency) == (
        asked["root"], asked["tax_treatment"], asked["currency"]
    )  # fmt: skip
    assert quote.publication == partner_shop.services.books.in_force(partner_shop.clock.now()).number
    assert (quote.buyer.company, quote.issuer.name) == ("acme", partner_shop.services.merchant.legal_name)
    assert quote.expires_at - quote.issued_at == timedelta(days=30)
    checks = verify_quote.verify_quote(document, await keys(partner_shop), at=quote.issued_at)
    assert outcomes(checks) == dict.fromkeys(("format", "canonical", "signature", "time"), "passed")


async def test_it_is_given_again_byte_for_byte_and_only_to_its_company(partner_shop: Shop) -> None:
    program, document = await signed(partner_shop)
    address = f"/api/v1/signed-quotes/{json.loads(document)['id']}"

    again = await program.get(address)
    unchanged = await program.get(address, headers={"if-none-match": again.headers["etag"]})
    stranger = Program(partner_shop, await key_of(partner_shop, GLOBEX))
    theirs, missing = await stranger.get(address), await stranger.get(f"/api/v1/signed-quotes/{uuid.uuid4()}")

    assert again.content == document
    assert unchanged.status_code == 304
    assert (theirs.status_code, theirs.json()["type"]) == (404, "/problems/signed-quote-not-found")
    assert theirs.content == missing.content
    assert (await Program(partner_shop).get(address)).status_code == 401
    reader = Program(partner_shop, await key_of(partner_shop, ACME, ["prices:read"]))
    assert (await reader.get(address)).status_code == 403
    assert (await program.get("/api/v1/signed-quotes/nonsense")).status_code == 400


async def test_a_row_is_another_companys_to_the_use_case_too(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    stranger = await person(partner_shop, GLOBEX)
    assert stranger.company_id is not None

    with pytest.raises(SignedQuoteNotFound):
        await partner_shop.services.quotes.find(uuid.UUID(json.loads(document)["id"]), company_id=stranger.company_id)


async def test_a_refused_line_is_named_and_nothing_is_signed(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    body = {"lines": [*LINES, {"sku": "NO-SUCH-THING", "quantity": "1"}], "language": "es"}

    answer = await program.post("/api/v1/signed-quotes", json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/quote-not-signed")
    (line,) = answer.json()["lines"]
    assert (line["sku"], line["reason"], line["requested"]) == ("NO-SUCH-THING", "unknown_sku", [2])


async def test_nobody_is_promised_a_price_without_a_key(partner_shop: Shop) -> None:
    answer = await Program(partner_shop).post("/api/v1/signed-quotes", json={"lines": LINES})

    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")


@pytest.mark.parametrize("days", [0, -1, 3651, "30", 1.5])
async def test_a_validity_that_is_no_number_of_days_is_malformed(partner_shop: Shop, days: object) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))

    answer = await program.post("/api/v1/signed-quotes", json={"lines": LINES, "valid_days": days})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "valid_days"


async def test_a_price_is_promised_for_as_long_as_asked_and_the_house_allows(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop, {"lines": LINES, "valid_days": 90})
    program = Program(partner_shop, await key_of(partner_shop, ACME))

    quote = msgspec.json.decode(document, type=QuoteDocument)
    longer = await program.post("/api/v1/signed-quotes", json={"lines": LINES, "valid_days": 91})

    assert quote.expires_at - quote.issued_at == timedelta(days=90)
    assert (longer.status_code, longer.json()["type"]) == (422, "/problems/quote-validity-too-long")
    assert longer.json()["days_most"] == 90


async def test_a_house_that_promises_less_than_a_month_does_so_unasked(partner_shop: Shop) -> None:
    services, buyer = partner_shop.services, await person(partner_shop, ACME)
    assert buyer.company is not None
    quotes = Quotes(services.db, services.books, services.keyring, days_most=7)
    request = QuoteRequest(
        buyer=Buyer(company="acme", country="ES"), currency="EUR",
        lines=(LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="1"),), tax=TaxInput(treatment=Treatment.EXEMPT),
    )  # fmt: skip
    issuer, at = Issuer(name="Meridian", url="http://127.0.0.1:8000"), partner_shop.clock.now()

    kept = await quotes.sign(request, company=buyer.company, issuer=issuer, at=at)

    assert kept.expires_at - kept.issued_at == timedelta(days=7)
    with pytest.raises(ValidityTooLong):
        await quotes.sign(request, company=buyer.company, issuer=issuer, at=at, days=8)


async def test_it_holds_from_its_instant_until_it_expires_and_not_at_it(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    quote, public = msgspec.json.decode(document, type=QuoteDocument), await keys(partner_shop)
    moment = timedelta(microseconds=1)

    def time_at(at: datetime) -> str:
        return outcomes(verify_quote.verify_quote(document, public, at=at))["time"]

    assert time_at(quote.issued_at - moment) == "failed"
    assert time_at(quote.issued_at) == "passed"
    assert time_at(quote.expires_at - moment) == "passed"
    assert time_at(quote.expires_at) == "failed"


async def test_after_a_rotation_old_quotes_verify_and_new_ones_name_the_new_key(partner_shop: Shop) -> None:
    services, buyer = partner_shop.services, await person(partner_shop, ACME)
    _, old = await signed(partner_shop)
    issued_at = msgspec.json.decode(old, type=QuoteDocument).issued_at
    assert buyer.company is not None

    rotated = services.keyring.rotated(Purpose.QUOTES, now=partner_shop.clock.now())
    request = QuoteRequest(
        buyer=Buyer(company="acme", country="ES"), currency="EUR",
        lines=(LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="1"),), tax=TaxInput(treatment=Treatment.EXEMPT),
    )  # fmt: skip
    new = await Quotes(services.db, services.books, rotated, days_most=90).sign(
        request, company=buyer.company, issuer=Issuer(name="Meridian", url=""), at=issued_at
    )

    public, before = canonical_json(key_set(rotated)), canonical_json(key_set(services.keyring))
    assert outcomes(verify_quote.verify_quote(old, public, at=issued_at))["signature"] == "passed"
    assert outcomes(verify_quote.verify_quote(new.document, public, at=issued_at))["signature"] == "passed"
    assert outcomes(verify_quote.verify_quote(new.document, before, at=issued_at))["signature"] == "failed"
    assert len(json.loads(public)["keys"]) == len(json.loads(before)["keys"]) + 1


async def test_every_changed_removed_or_added_character_is_found(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    public, at = await keys(partner_shop), msgspec.json.decode(document, type=QuoteDocument).issued_at
    assert verify_quote.exit_code(verify_quote.verify_quote(document, public, at=at)) == 0

    missed = []
    for place, byte in enumerate(document):
        others = {byte ^ 1, byte ^ 0x20, byte ^ 0x80, 0x20}
        forgeries = [document[:place] + bytes([other]) + document[place + 1 :] for other in others - {byte}]
        forgeries.append(document[:place] + document[place + 1 :])
        forgeries.append(document[:place] + b" " + document[place:])
        missed += [
            (place, each) for each in forgeries
            if verify_quote.exit_code(verify_quote.verify_quote(each, public, at=at)) != 1
        ]  # fmt: skip

    assert not missed, missed[:3]


async def test_another_houses_key_and_a_doctored_header_are_found(partner_shop: Shop) -> None:
    _, document = await signed(partner_shop)
    quote, public = json.loads(document), await keys(partner_shop)
    at = datetime.fromisoformat(quote["issued_at"])
    header, _, signature = quote["ap2"]["merchant_authorization"].split(".")
    stranger = json.loads(canonical_json(key_set(Keyring.generate(now=at))))["keys"][0]
    impostor = json.dumps({"keys": [{**stranger, "kid": json.loads(public)["keys"][-1]["kid"]}]}).encode()
    none = "eyJhbGciOiJub25lIiwia2lkIjoieCJ9"  # {"alg":"none","kid":"x"}

    def failed(given: object, public: bytes = public) -> bool:
        return verify_quote.exit_code(verify_quote.verify_quote(canonical_json(given), public, at=at)) == 1

    assert not failed(quote)
    assert failed(quote, impostor)
    assert failed(quote, b"{}")
    assert failed(quote, b"not JSON")
    assert failed({**quote, "ap2": {"merchant_authorization": f"{none}..{signature}"}})
    assert failed({**quote, "ap2": {"merchant_authorization": f"{none}.."}})
    assert failed({**quote, "ap2": {"merchant_authorization": f"{header}.e30.{signature}"}})
    assert failed({**quote, "ap2": {**quote["ap2"], "checkout_mandate": "x"}})
    assert failed({**quote, "note": "free of charge"})


async def test_the_database_refuses_to_change_or_delete_a_signed_quote(
    partner_shop: Shop,
) -> None:
    _, document = await signed(partner_shop)
    quote_id = json.loads(document)["id"]
    url = partner_shop.services.settings.database_url
    assert url is not None

    for statement in ("update signed_quote set document = ''", "delete from signed_quote", "truncate signed_quote"):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.Error):
            connection.execute("select set_config('tarifa.scope', 'staff', true)")
            connection.execute(statement.encode())
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        row = connection.execute("select document from signed_quote where id = %s", (quote_id,)).fetchone()
    assert row == (document,)


async def test_the_command_says_0_for_whole_1_for_forged_or_expired_and_2_without_keys(
    partner_shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, document = await signed(partner_shop)
    file, forged, public = tmp_path / "quote.json", tmp_path / "forged.json", tmp_path / "jwks.json"
    file.write_bytes(document)
    forged.write_bytes(document.replace(b'"quantity":"12"', b'"quantity":"13"'))
    public.write_bytes(await keys(partner_shop))
    at = ["--at", json.loads(document)["issued_at"]]

    assert main(["verify-quote", str(file), "--keys", str(public), *at]) == 0
    assert main(["verify-quote", str(forged), "--keys", str(public), *at]) == 1
    assert main(["verify-quote", str(file), "--keys", str(public), "--at", "2030-01-01T00:00:00Z"]) == 1
    assert main(["verify-quote", str(file), *at]) == 2
    assert main(["verify-quote", str(tmp_path / "none.json"), *at]) == 2
    assert main(["verify-quote", str(file), "--at", "yesterday"]) == 2
    assert main(["verify-quote", str(file), "--at", "2026-11-21"]) == 2
    said = capsys.readouterr()
    assert "failed   signature: the quote was changed after it was signed" in said.out
    assert "failed   time: expired" in said.out
    assert "none.json: No such file or directory" in said.err


async def test_the_program_that_verifies_stands_alone(partner_shop: Shop, tmp_path: Path) -> None:
    _, document = await signed(partner_shop)
    program = await Program(partner_shop).get("/verify_quote.py")
    for name, content in (
        ("verify_quote.py", program.content), ("quote.json", document), ("jwks.json", await keys(partner_shop))
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)

    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-I", "verify_quote.py", "quote.json", "--keys", "jwks.json",
         "--at", json.loads(document)["issued_at"]],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert program.content == (ROOT / "pricing" / "verify_quote.py").read_bytes()
