"""What several people signed, as one sealed JSON document that a stranger checks by `verify_package.py`."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import ledger, packages, store, tree
from agreements.ledger import LedgerBroken
from agreements.model import PresentedDocument
from agreements.package_model import Package
from agreements.receipts import _base64, _key, _text, _version
from agreements.verify_package import EVIDENCE_TYPE
from kernel.canonical import canonical_json
from kernel.signing import Keyring, Purpose


async def build(
    session: AsyncSession, package: Package, *, keyring: Keyring, origin: str, now: datetime
) -> dict[str, Any]:
    """The evidence of an executed package. Openings that were erased since are left out.

    :raises packages.PackageUnknown: unless all have signed
    """
    if package.executed_seq is None:
        raise packages.PackageUnknown("There is no evidence yet: not everybody has signed.")
    checkpoint = await ledger.checkpoint_covering(
        session, package.executed_seq, keyring=keyring, origin=origin, now=now
    )
    leaves = []
    for leaf in await packages.leaves_of(session, package):
        entry = await store.find_entry(session, leaf["content"]["seq"])
        if entry is None:
            raise LedgerBroken(f"Package {package.id} has lost a row of the ledger.")
        proof = await ledger.spans_hashed(session, tree.inclusion_spans(entry.seq, checkpoint.size))
        leaves.append(
            {
                **leaf,
                "inclusion": {"index": entry.seq, "size": checkpoint.size, "proof": [node.hex() for node in proof]},
                "chain": {"previous_hash": entry.previous_hash.hex(), "chain_hash": entry.chain_hash.hex()},
            }
        )
    named = msgspec.convert(package.content["documents"], tuple[PresentedDocument, ...])
    unsealed = {
        "type": EVIDENCE_TYPE,
        "issuer": package.content["seller_name"],
        "package": {
            "content": package.content,
            "signature": {"key_id": package.key_id, "signature": _base64(package.signature)},
        },
        "order": package.order_content,
        "documents": [_text(await _version(session, each)) for each in named],
        "leaves": leaves,
        "checkpoint": checkpoint.note,
        "keys": [_key(key) for key in keyring.public_keys() if key.purpose in (Purpose.LEDGER, Purpose.PRESENTATION)],
    }
    evidence: dict[str, Any] = msgspec.json.decode(canonical_json(unsealed))
    seal = keyring.sign(Purpose.LEDGER, canonical_json(evidence))
    return {**evidence, "seal": {"key_id": seal.key_id, "signature": _base64(seal.signature)}}
