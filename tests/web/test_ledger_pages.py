"""The ledger's heads and proofs as a watcher polls them."""

import base64
import hashlib
from datetime import datetime
from typing import Any

import msgspec

from agreements import ledger
from agreements.service import timestamp
from kernel import merkle
from kernel.canonical import canonical_json
from kernel.db import for_staff
from kernel.signing import Purpose, verify_ed25519
from tests.web.conftest import Shop

AT = "/.well-known/tarifa-ledger"


async def grow(shop: Shop, rows: int) -> None:
    """Rows of the house's own, then a signed head."""
    now = shop.clock.now()
    async with shop.services.db.begin(for_staff()) as session:
        for _ in range(rows):
            await ledger.append(session, kind="note", company_id=None, recorded_at=now, content=note(now))
    await shop.services.checkpoints.sign()


def note(now: datetime) -> dict[str, Any]:
    return {"type": "tarifa.note.v1", "recorded_at": timestamp(now)}


def parsed(head: str) -> tuple[int, bytes]:
    return int(head.split("\n")[1]), base64.b64decode(head.split("\n")[2])


async def test_a_watcher_polls_the_signed_head_and_proves_that_it_only_grew(shop: Shop) -> None:
    async with shop.client() as watcher:
        await grow(shop, 3)
        older = (await watcher.get(f"{AT}/checkpoint")).text
        await grow(shop, 4)
        answer = await watcher.get(f"{AT}/checkpoint")
        (first, old_root), (second, new_root) = parsed(older), parsed(answer.text)
        assert (second - first, answer.headers["content-type"]) == (4, "text/plain; charset=utf-8")
        assert answer.headers["cache-control"] == "public, max-age=10"
        again = await watcher.get(f"{AT}/checkpoint", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

        proof = (await watcher.get(f"{AT}/consistency?from={first}&to={second}")).json()
        nodes = [bytes.fromhex(node) for node in proof["proof"]]
        assert merkle.verify_consistency(first, second, old_root, new_root, nodes)
        assert (proof["first_checkpoint"], proof["second_checkpoint"]) == (older, answer.text)
        assert (await watcher.get(f"{AT}/checkpoints/{first}")).text == older
        assert (await watcher.get(f"{AT}/consistency?from={first}")).json() == proof

        found = (await watcher.get(f"{AT}/inclusion?leaf={first}&size={second}")).json()
        row = canonical_json({**note(shop.clock.now()), "seq": first})
        path = [bytes.fromhex(node) for node in found["proof"]]
        assert merkle.verify_inclusion(row, first, second, path, new_root)
        assert found["leaf_hash"] == merkle.leaf_hash(row).hex()
        assert set(found) == {"index", "size", "leaf_hash", "proof"}, "nothing of what the row says"


async def test_the_head_is_signed_by_a_key_of_the_public_list(shop: Shop) -> None:
    async with shop.client() as watcher:
        await grow(shop, 1)
        head = (await watcher.get(f"{AT}/checkpoint")).text
        keys = (await watcher.get("/.well-known/tarifa-keys.json")).json()["keys"]
    body, _, tail = head.rpartition("\n\n")
    signed = base64.b64decode(tail.strip().split(" ")[2])
    origin = body.split("\n")[0]
    public = [base64.b64decode(key["public_key"]) for key in keys if key["purpose"] == "ledger"]
    (key,) = [each for each in public if hashlib.sha256(origin.encode() + b"\n\x01" + each).digest()[:4] == signed[:4]]
    assert verify_ed25519(key, signed[4:], f"{body}\n".encode())
    (seal,) = [key for key in keys if key["purpose"] == Purpose.SEAL]
    assert set(seal) >= {"certificate", "certificate_sha256", "not_before", "not_after", "retired", "announced"}


async def test_sizes_that_were_never_signed_are_refused_with_a_sentence(shop: Shop) -> None:
    await grow(shop, 2)
    async with shop.client() as watcher:
        for path in (
            "checkpoints/1000000",
            "checkpoints/x",
            "consistency",
            "consistency?from=0",
            "consistency?from=2&to=1000000",
            "consistency?from=-1",
            "consistency?from=%C2%B2",
            "inclusion?leaf=1000000",
            "inclusion?leaf=0&size=0",
            f"inclusion?leaf={10**30}",
        ):
            answer = await watcher.get(f"{AT}/{path}", headers={"accept": "application/json"})
            assert answer.status_code == 404, path
            assert msgspec.json.decode(answer.content)["type"].endswith("ledger-size-unknown"), path
