import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accounts.principal import Principal
from agreements import ledger, verify
from agreements.model import Acceptance
from agreements.service import ReceiptNotFound
from agreements.verify import Check, exit_code, verify_receipt
from kernel.canonical import canonical_json
from kernel.clock import FixedClock
from kernel.db import for_staff
from kernel.ids import new_id
from kernel.merkle import leaf_hash
from kernel.signing import Keyring, Purpose
from tests.agreements.conftest import Step


def ledger_key(step: Step) -> str:
    (key,) = step.agreements.keyring.public_keys(Purpose.LEDGER)
    return base64.b64encode(key.public_key).decode()


def outcomes(checks: tuple[Check, ...], outcome: str) -> set[str]:
    return {check.name for check in checks if check.outcome == outcome}


@pytest.fixture
async def accepted(step: Step) -> Acceptance:
    """The fourth of six acceptances, so that its proof has nodes on both sides."""
    accepted = []
    for _ in range(6):
        each = step.but(checkout_id=new_id())
        accepted.append(await each.accept(await each.present()))
    return accepted[3]


@pytest.fixture
async def receipt(step: Step, accepted: Acceptance) -> dict[str, Any]:
    return await step.receipt(accepted.order_id)


async def test_every_check_of_a_receipt_passes_for_who_knows_the_key(step: Step, receipt: dict[str, Any]) -> None:
    checks = verify_receipt(canonical_json(receipt), ledger_key(step))

    assert outcomes(checks, "failed") == set()
    assert outcomes(checks, "skipped") == {"opening annex"}
    assert outcomes(checks, "passed") >= {
        *("format", "canonical", "key", "seal", "presentation signature", "presentation digest", "order digest"),
        *("documents", "statements", "time", "inclusion", "chain", "checkpoint"),
        *("opening actor_email", "opening actor_name", "opening actor_id", "opening job_title"),
        *("opening order.ship_to.name", "opening order.ship_to.line1"),
    }
    assert exit_code(checks) == 0
    assert next(check.detail for check in checks if check.name == "opening job_title") == "Head of purchasing"


async def test_without_the_key_nothing_fails_but_the_receipt_does_not_vouch_for_itself(receipt: dict[str, Any]) -> None:
    checks = verify_receipt(receipt)

    assert outcomes(checks, "skipped") == {"canonical", "key", "opening annex"}
    assert exit_code(checks) == 2


async def test_another_issuers_key_fails(receipt: dict[str, Any], clock: FixedClock) -> None:
    (other,) = Keyring.generate(now=clock.now()).public_keys(Purpose.LEDGER)

    checks = verify_receipt(receipt, other.public_key)

    assert outcomes(checks, "failed") == {"key"}
    assert exit_code(checks) == 1


async def test_a_receipt_is_the_same_bytes_each_time(
    step: Step, accepted: Acceptance, receipt: dict[str, Any], clock: FixedClock
) -> None:
    clock.advance(days=3)
    later = step.but(checkout_id=new_id())
    await later.accept(await later.present())

    assert canonical_json(await step.receipt(accepted.order_id)) == canonical_json(receipt)


async def test_a_stranger_and_an_unknown_order_have_no_receipt(
    step: Step, accepted: Acceptance, globex: Principal
) -> None:
    with pytest.raises(ReceiptNotFound):
        await step.receipt(new_id())
    with pytest.raises(ReceiptNotFound):
        await step.but(principal=globex).receipt(accepted.order_id)


CHANGES: list[tuple[tuple[Any, ...], set[str]]] = [
    (("acceptance", "order_id"), {"inclusion", "chain"}),
    (("acceptance", "recorded_at"), {"inclusion", "chain"}),
    (("acceptance", "ticked", 0), {"statements", "inclusion", "chain"}),
    (("acceptance", "commitments", "job_title"), {"opening job_title", "inclusion", "chain"}),
    (("acceptance", "presentation_digest"), {"presentation digest", "inclusion", "chain"}),
    (("presentation", "content", "statements", 0, "text"), {"presentation signature", "presentation digest"}),
    (("presentation", "content", "button_label"), {"presentation signature", "presentation digest", "statements"}),
    (("presentation", "content", "template_digest"), {"presentation signature", "presentation digest"}),
    (("presentation", "signature", "signature"), {"presentation signature"}),
    (("presentation", "signature", "key_id"), {"presentation signature"}),
    (("order", "total"), {"order digest"}),
    (("order", "lines", 0, "net"), {"order digest"}),
    (("order", "personal", "ship_to.name"), {"order digest", "opening order.ship_to.name"}),
    (("documents", 0, "source_markdown"), {"documents"}),
    (("documents", 1, "rendered_html"), {"documents"}),
    (("documents", 2, "title"), {"documents"}),
    (("openings", "actor_email", "value"), {"opening actor_email"}),
    (("openings", "actor_email", "salt"), {"opening actor_email"}),
    (("inclusion", "index"), {"inclusion"}),
    (("inclusion", "size"), {"inclusion"}),
    (("inclusion", "proof", 1), {"inclusion"}),
    (("chain", "previous_hash"), {"chain"}),
    (("chain", "chain_hash"), {"chain"}),
    (("checkpoint",), {"checkpoint"}),
    (("issuer",), set()),
    (("proves", 0), set()),
    (("does_not_prove", 1), set()),
    (("keys", 0, "created"), set()),
]


async def test_a_changed_value_breaks_the_seal_and_the_check_of_its_own(step: Step, receipt: dict[str, Any]) -> None:
    for path, named in CHANGES:
        changed = json.loads(canonical_json(receipt))
        parent = changed
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = altered(parent[path[-1]])

        checks = verify_receipt(canonical_json(changed), ledger_key(step))

        assert outcomes(checks, "failed") >= {"seal", *named}, path
        assert exit_code(checks) == 1


def altered(value: str | int) -> str | int:
    """Another value of the same shape: its last letter or digit is another one."""
    if isinstance(value, int):
        return value + 1
    at = max(index for index, character in enumerate(value) if character.isalnum())
    if value.endswith("="):
        at -= 1  # the last digit of a padded base64 text has bits that say nothing
    return value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]


async def test_no_byte_of_a_receipt_can_be_flipped_unnoticed(step: Step, receipt: dict[str, Any]) -> None:
    content, key = canonical_json(receipt), ledger_key(step)

    for at in range(0, len(content), 97):
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert exit_code(verify_receipt(flipped, key)) == 1, at
    for mangled in (content + b" ", content[:-1], b" " + content, content.replace(b":", b": ", 1), b"", b"[]", b"\xff"):
        assert exit_code(verify_receipt(mangled, key)) == 1


def members(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every member and item."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from members(item, (*path, name))


async def test_a_mangled_receipt_fails_and_never_crashes_the_verifier(step: Step, receipt: dict[str, Any]) -> None:
    content, key = canonical_json(receipt), ledger_key(step)
    replacements: tuple[Any, ...] = (None, "x", -1, [], {}, 1.5, True)

    for number, path in enumerate(members(json.loads(content))):
        changed = json.loads(content)
        parent: Any = changed
        for part in path[:-1]:
            parent = parent[part]
        before = parent[path[-1]]
        for replacement in (replacements[number % 7], replacements[(number + 3) % 7]):
            parent[path[-1]] = replacement
            if json.dumps(replacement) != json.dumps(before):
                assert exit_code(verify_receipt(changed, key)) == 1, (path, replacement)


async def test_erasing_a_persons_values_leaves_a_receipt_that_verifies(
    step: Step, accepted: Acceptance, receipt: dict[str, Any], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        connection.execute("delete from acceptance_opening where ledger_seq = %s", (accepted.ledger_seq,))
        connection.execute("delete from acceptance_annex where acceptance_id = %s", (accepted.id,))

    erased = await step.receipt(accepted.order_id)

    checks = verify_receipt(canonical_json(erased), ledger_key(step))
    assert exit_code(checks) == 0
    assert outcomes(checks, "skipped") == {f"opening {field}" for field in (*receipt["openings"], "annex")}
    personal = [opening["value"] for opening in receipt["openings"].values()]
    assert not any(value in canonical_json(erased).decode() for value in personal)


async def test_a_rewritten_ledger_is_found_through_an_older_receipts_checkpoint(
    step: Step, accepted: Acceptance, receipt: dict[str, Any], owner_url: str
) -> None:
    """Rows changed, every hash recomputed: consistent in itself, but not with what was signed before."""
    with psycopg.connect(owner_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        for table in ("acceptance_ledger", "acceptance_ledger_node", "acceptance_ledger_checkpoint"):
            connection.execute(f"alter table {table} disable trigger user")
        content = dict(receipt["acceptance"], order_digest="sha256:" + "0" * 64)
        leaf = leaf_hash(canonical_json(content))
        connection.execute(
            "update acceptance_ledger set content = %s, leaf_digest = %s where seq = %s",
            (json.dumps(content), leaf, accepted.ledger_seq),
        )
        connection.execute("delete from acceptance_ledger_checkpoint")
        rebuild(connection)
    async with step.database.begin(for_staff()) as session:
        state = await step.agreements.check_ledger(session)

    assert state.broken_at is None
    assert state.root is not None
    assert base64.b64encode(state.root).decode() != receipt["checkpoint"].split("\n")[2]


def rebuild(connection: psycopg.Connection[Any]) -> None:
    from agreements import tree

    rows = connection.execute("select seq, leaf_digest from acceptance_ledger order by seq").fetchall()
    connection.execute("delete from acceptance_ledger_node")
    previous, nodes = bytes(32), dict[tree.Place, bytes]()
    for seq, leaf in rows:
        for place, value in tree.completed_by(seq, leaf, nodes):
            nodes[place] = value
            connection.execute("insert into acceptance_ledger_node values (%s, %s, %s)", (*place, value))
        chained = ledger.chain_hash(previous, leaf)
        connection.execute(
            "update acceptance_ledger set previous_hash = %s, chain_hash = %s where seq = %s", (previous, chained, seq)
        )
        previous = chained
    connection.execute("update acceptance_ledger_tail set chain_hash = %s", (previous,))


async def test_a_receipt_from_before_a_key_rotation_verifies_with_the_key_that_seals_now(
    step: Step, accepted: Acceptance, receipt: dict[str, Any], clock: FixedClock
) -> None:
    keyring = step.agreements.keyring.rotated(Purpose.LEDGER, now=clock.now()).rotated(
        Purpose.PRESENTATION, now=clock.now()
    )
    step.agreements.keyring = keyring

    resealed = await step.receipt(accepted.order_id)

    now_key = next(key for key in keyring.public_keys(Purpose.LEDGER) if key.retired is None)
    assert exit_code(verify_receipt(canonical_json(resealed), now_key.public_key)) == 0
    assert resealed["checkpoint"] == receipt["checkpoint"]


async def test_the_checkpoint_is_a_signed_note_in_c2sps_format(step: Step, receipt: dict[str, Any]) -> None:
    origin, size, root, blank, signature, end = receipt["checkpoint"].split("\n")

    assert (origin, size, blank, end) == ("shop.example/agreements", "6", "", "")
    assert len(base64.b64decode(root)) == 32
    dash, name, blob = signature.split(" ")
    assert (dash, name) == ("\N{EM DASH}", origin)
    public = base64.b64decode(ledger_key(step))
    assert base64.b64decode(blob)[:4] == hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]


async def test_the_verifier_is_one_file_that_runs_alone(step: Step, receipt: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "verify.py"
    script.write_bytes(Path(verify.__file__).read_bytes())
    good, bad = tmp_path / "receipt.json", tmp_path / "changed.json"
    good.write_bytes(canonical_json(receipt))
    bad.write_bytes(canonical_json(receipt).replace(b"Acme GmbH", b"Acme GmbX"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(script), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    with_key = run(str(good), "--key", ledger_key(step))
    assert (with_key.returncode, with_key.stderr) == (0, "")
    assert "passed   inclusion: leaf 3 of 6" in with_key.stdout
    assert run(str(good)).returncode == 2
    changed = run(str(bad), "--key", ledger_key(step))
    assert changed.returncode == 1
    assert "failed   seal" in changed.stdout
    assert run(str(tmp_path / "absent.json")).returncode == 1


def test_the_verifiers_canonical_json_is_the_kernels() -> None:
    values: tuple[Any, ...] = (
        {"b": [1, True, None, '\u20ac\n\t\x1f\x7f"\\/'], "a": {"\ufb33": 1, "\U0001f600": 2, "é": 3}},
        [],
        {},
        "\u2028",
    )
    for value in values:
        assert verify.canonical(value) == canonical_json(value)
