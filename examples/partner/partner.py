"""A partner of a Tarifa shop, over plain HTTP: it keeps a copy of its prices, checks them, sells with signed quotes.

    python partner.py sync FOLDER            take the feed, later only what changed
    python partner.py check FOLDER           the log's signatures, and proofs of rows of the copy
    python partner.py quote FOLDER SKU QTY   a signed quote, its package and PDF, verified offline
    python partner.py handover FOLDER ID     where the buyer goes on, and the order once there is one
    python partner.py order FOLDER DELIVERY SKU QTY [TOTAL]
                                             what an order comes to; with that TOTAL: order

The seller's address is in SHOP, the API key in KEY. Nothing of Tarifa is imported: this file needs Python 3.11 alone,
and what verifies is `tarifa-verify.pyz`, which it downloads once from the seller and runs (`pip install cryptography
msgspec`). A partner who trusts nobody takes that file and the keys once, reads them, and keeps them.
"""

import json
import os
import subprocess
import sys
import uuid
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote as escaped
from urllib.parse import urlencode
from urllib.request import Request, urlopen

SHOP = os.environ.get("SHOP", "http://127.0.0.1:8000")
KEY = os.environ.get("KEY")
VERIFIER = "tarifa-verify.pyz"
QUOTE_KEYS = "jwks.json"
LOG_KEYS = "tarifa-keys.json"
ROWS_PROVED = 5


def main(arguments: list[str]) -> int:
    match arguments:
        case ["sync", folder]:
            return sync(Path(folder))
        case ["check", folder]:
            return check(Path(folder))
        case ["quote", folder, sku, quantity]:
            return quote(Path(folder), sku, quantity)
        case ["handover", folder, quote_id]:
            return hand_over(Path(folder), quote_id)
        case ["order", folder, delivery, sku, quantity, *total]:
            return order(Path(folder), Path(delivery), sku, quantity, *total[:1])
    print(__doc__, file=sys.stderr)
    return 2


def sync(folder: Path) -> int:
    """Bring the copy in *folder* to the prices of now: by deltas where it can, else by the whole feed."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "prices.json"
    if kept.exists():
        copy = json.loads(kept.read_bytes())
        root = json.loads(get("/api/v1/price-books/current"))["root"]
        try:
            changes = apply_changes(copy, root)
        except HTTPError as refused:
            if refused.code != 410:  # 410: the copy is too old, or the company's terms have changed
                raise
        else:
            save(kept, copy)
            print(f"{changes} rows changed; the copy is of {copy['root']} at {copy['at']}")
            return 0
    copy = whole_feed()
    save(kept, copy)
    print(f"{len(copy['rows'])} rows of {copy['root']} at {copy['at']}")
    return 0


def whole_feed() -> dict[str, Any]:
    """All pages of the feed. They are of one book at one instant, whatever is published meanwhile."""
    page = json.loads(get("/api/v1/price-feed?limit=500"))
    copy = {name: page[name] for name in ("root", "at", "reader", "currency", "valid_until")}
    copy["rows"] = {name_of(row): row for row in page["rows"]}
    while page["next"] is not None:
        page = json.loads(get(f"/api/v1/price-feed?limit=500&cursor={page['next']}"))
        copy["rows"] |= {name_of(row): row for row in page["rows"]}
    return copy


def apply_changes(copy: dict[str, Any], root: str) -> int:
    """Bring *copy* to the book *root*; nothing is changed in it before all pages are there."""
    asked = {"since": copy["root"], "at": copy["at"], "reader": copy["reader"], "limit": "500"}
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["next"] is not None:
        more = {"cursor": pages[-1]["next"]} if pages else {}
        pages.append(json.loads(get(f"/api/v1/price-books/{root}/delta?{urlencode(asked | more)}")))
    for page in pages:
        for gone in page["removed"]:
            del copy["rows"][name_of(gone)]
        copy["rows"] |= {name_of(row): row for row in page["added"] + page["changed"]}
    copy |= {name: pages[-1][name] for name in ("root", "at", "reader", "valid_until")}
    return sum(len(page[kind]) for page in pages for kind in ("added", "changed", "removed"))


def check(folder: Path) -> int:
    """Whether the house signed that the copy's book was in force, and whether rows of the copy are in that book."""
    copy = json.loads((folder / "prices.json").read_bytes())
    fetch_verifier(folder)
    (folder / "log.json").write_bytes(get("/api/v1/price-books?limit=200"))
    failed = run(folder, "log", "log.json", "--keys", LOG_KEYS)
    log = json.loads((folder / "log.json").read_bytes())["publications"]
    at = datetime.fromisoformat(copy["at"])
    in_force = next(entry for entry in log if datetime.fromisoformat(entry["effective_at"]) <= at)
    if in_force["root"] != copy["root"]:
        print(f"WRONG: at {copy['at']} the log says {in_force['root']}")
        failed = 1
    rows = list(copy["rows"].values())
    for row in rows[:: max(1, len(rows) // ROWS_PROVED)]:
        failed |= prove(folder, copy["root"], row)
    return failed


def prove(folder: Path, root: str, row: dict[str, Any]) -> int:
    """Whether the price list row behind *row* is in the book: its proof leads to the root."""
    for unit in dict.fromkeys((row["unit"], row["price_unit"])):
        asked = urlencode({"list": row["list"], "sku": row["sku"], "unit": unit})
        try:
            (folder / "proof.json").write_bytes(get(f"/api/v1/price-books/{root}/proofs/row?{asked}"))
        except HTTPError as refused:
            if refused.code != 404:  # 404: the list prices it by another unit, or in windows that have names of theirs
                raise
            continue
        return run(folder, "proof", "proof.json", root)
    print(f"Not proved: {row['sku']}, whose price begins at a day")
    return 0


def quote(folder: Path, sku: str, quantity: str) -> int:
    """Have a price promised, keep the quote with all that proves it, and verify that without the seller."""
    fetch_verifier(folder)
    signed = post("/api/v1/signed-quotes", {"lines": [{"sku": sku, "quantity": quantity}], "valid_days": 30})
    said = json.loads(signed)
    name = f"quote-{said['id']}"
    (folder / f"{name}.json").write_bytes(signed)
    (folder / f"{name}-package.json").write_bytes(get(f"/api/v1/signed-quotes/{said['id']}/package"))
    (folder / f"{name}.pdf").write_bytes(get(f"/api/v1/signed-quotes/{said['id']}/document"))
    print(f"{said['id']} {said['totals']['total']} {said['currency']} until {said['expires_at']}", flush=True)
    at = ("--at", said["issued_at"])
    return run(folder, "quote", f"{name}.json", "--keys", QUOTE_KEYS, *at) | run(
        folder, "quote", f"{name}-package.json", "--keys", QUOTE_KEYS, *at
    )


def hand_over(folder: Path, quote_id: str) -> int:
    """Where a person of the company goes on to the agreement step, and what became of it. 0 once it is ordered."""
    said = json.loads(get(f"/api/v1/signed-quotes/{quote_id}/order"))
    (folder / f"order-{quote_id}.json").write_text(json.dumps(said))
    print(f"{said['state']} {said['order'] or said['continue_url']}")
    return 0 if said["state"] == "ordered" else 1


def order(folder: Path, delivery: Path, sku: str, quantity: str, total: str = "0.00") -> int:
    """Order by the framework agreement that the company accepted, at *total* or not at all. The file *delivery* holds
    `ship_to` and `email`. Nothing costs nothing, so that an order at 0.00 is refused and the refusal says its total.

    The call is written down with its name before it is sent: whatever dies meanwhile, the same command makes one order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    agreement = json.loads(get("/api/v1/framework-agreement"))
    (folder / "framework-agreement.json").write_text(json.dumps(agreement))
    body = {
        "framework_agreement": agreement["id"],
        "lines": [{"sku": sku, "quantity": quantity}],
        "expected_total": {"amount": total, "currency": json.loads((folder / "prices.json").read_bytes())["currency"]},
        **json.loads(delivery.read_bytes()),
    }
    kept = folder / "ordering.json"
    call = json.loads(kept.read_bytes()) if kept.exists() else {}
    if call.get("body") != body:
        call = {"name": str(uuid.uuid4()), "body": body}
        save(kept, call)
    try:
        said = json.loads(post("/api/v1/orders", body, name=call["name"]))
    except HTTPError as refused:
        problem = json.loads(refused.read())
        if problem["type"] != "/problems/price-changed":
            raise
        print(f"it comes to {problem['new']['amount']} {problem['new']['currency']}; nothing was ordered")
        return 1
    (folder / f"order-{said['number']}.json").write_text(json.dumps(said))
    kept.unlink()
    print(f"{said['number']} {said['state']} {said['total']['amount']} {said['total']['currency']} {said['pay_url']}")
    return 0


# --- Helpers ---


def name_of(row: dict[str, Any]) -> str:
    """What names a row of the feed."""
    return f"{row['sku']} {row['unit']} {row['from_quantity']}"


def save(path: Path, copy: dict[str, Any]) -> None:
    """Write beside and rename: a reader of the copy sees the old one or the new one."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(copy))
    beside.replace(path)


def fetch_verifier(folder: Path) -> None:
    """Take the program that verifies, and the seller's keys, once. They are what trust rests on: keep them."""
    for name, path in ((VERIFIER, ""), (QUOTE_KEYS, ".well-known/"), (LOG_KEYS, ".well-known/")):
        if not (folder / name).exists():
            (folder / name).write_bytes(get(f"/{path}{name}"))


def run(folder: Path, *arguments: str) -> int:
    """Run the program that verifies on files of the folder."""
    command = [sys.executable, "-I", VERIFIER, *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603 - it is what the partner trusts


def get(path: str) -> bytes:
    return ask(Request(SHOP + escaped(path, safe="/?&=%")))  # noqa: S310 - the seller's address is the caller's word


def post(path: str, body: object, *, name: str | None = None) -> bytes:
    """*name* the call, so that it is done once however often it is sent."""
    sent = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({} if name is None else {"Idempotency-Key": name})
    return ask(Request(SHOP + path, data=sent, headers=headers))  # noqa: S310 - as above


def ask(request: Request) -> bytes:
    """The body of the answer. An error of the API is a problem document, which says what to do."""
    if KEY:
        request.add_header("Authorization", f"Bearer {KEY}")
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            body: bytes = answer.read()
    except HTTPError as refused:
        problem = refused.read()
        print(f"{request.full_url}: {refused.code} {problem.decode(errors='replace')}", file=sys.stderr)
        raise HTTPError(refused.url, refused.code, refused.reason, refused.headers, BytesIO(problem)) from None
    return body


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
