"""A bundle holds against whoever changes it, and a stranger checks it with one file."""

import base64
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accounts.principal import Principal
from agreements import bundles, verify
from agreements.checkpoints import Checkpoints
from agreements.model import Acceptance
from agreements.service import ReceiptNotFound
from agreements.verify import Check, canonical_zip, exit_code, read_zip, verify_bundle
from kernel.canonical import canonical_json
from kernel.clock import FixedClock
from kernel.db import for_staff
from kernel.ids import new_id
from kernel.merkle import leaf_hash
from kernel.pdf_seal import look_at_seal
from kernel.signing import Keyring, Purpose
from tests.agreements.conftest import Step
from tests.agreements.test_receipt import outcomes, rebuild

SEED = 7
POSITIONS = 6
"""How many bytes of each class of each member are flipped; the first and the last besides."""


def key(step: Step) -> bytes:
    return step.agreements.keyring.active_key(Purpose.LEDGER).public_key


async def accept_some(step: Step, number: int) -> list[Acceptance]:
    accepted = []
    for _ in range(number):
        each = step.but(checkout_id=new_id())
        accepted.append(await each.accept(await each.present()))
    return accepted


async def bundle_of(step: Step, acceptance: Acceptance) -> bytes:
    made = await bundles.of_order(
        step.database, step.principal.db_scope(), step.agreements, acceptance.order_id, number="T-2026-000001"
    )
    return made.content


@pytest.fixture
async def bundle(step: Step) -> bytes:
    """Of the third of four acceptances; another receipt was signed before."""
    first, _, third, _ = [*await accept_some(step, 2), *await accept_some(step, 2)]
    await step.receipt(first.order_id)
    return await bundle_of(step, third)


async def test_every_check_passes_for_who_knows_the_key(step: Step, bundle: bytes) -> None:
    checks = verify_bundle(bundle, key(step))

    assert outcomes(checks, "failed") == set()
    assert outcomes(checks, "skipped") == {"opening annex"}
    assert outcomes(checks, "passed") >= {"zip", "manifest", "manifest key", "parts", "seal", "inclusion", "pdf seal"}
    assert exit_code(checks) == 0
    assert exit_code(verify_bundle(bundle)) == 2, "it cannot vouch for its own keys"
    members = zipfile.ZipFile(BytesIO(bundle)).namelist()
    assert set(members) >= {
        *("receipt.json", "signature.json", "order.json", "presentation.json", "page.html", "openings.json"),
        *("inclusion.json", "checkpoint.txt", "keys.json", "receipt.pdf", "README.txt", "manifest.json"),
        *("acceptance.json", "manifest-signature.json"),
    }
    assert any(name.startswith("documents/master-terms-") for name in members)


async def test_the_pdf_and_the_page_say_what_was_accepted_and_what_was_erased(
    step: Step, database_url: str, bundle: bytes
) -> None:
    page = read_zip(bundle)["page.html"].decode()
    assert "[x]" in page
    assert "Acme GmbH" in page
    assert "Goods-in, Acme" in page
    seal = look_at_seal(read_zip(bundle)["receipt.pdf"])
    assert seal is not None
    assert seal.intact
    (acceptance,) = await accept_some(step, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        connection.execute("delete from acceptance_opening where ledger_seq = %s", (acceptance.ledger_seq,))

    erased = await bundle_of(step, acceptance)

    assert exit_code(verify_bundle(erased, key(step))) == 0
    for value in ("Goods-in, Acme", "Calle del Río", "The buyer", "Head of purchasing", step.principal.email):
        assert value is not None
        assert value.encode() not in erased
    assert "erased" in read_zip(erased)["page.html"].decode()


async def test_a_stranger_and_an_unknown_order_have_no_bundle(step: Step, globex: Principal) -> None:
    (acceptance,) = await accept_some(step, 1)

    with pytest.raises(ReceiptNotFound):
        await bundle_of(step.but(principal=globex), acceptance)


CLASSES: dict[str, Callable[[int], bool]] = {
    "letter": lambda byte: chr(byte).isalpha() and byte < 128,
    "digit": lambda byte: 48 <= byte < 58,
    "blank": lambda byte: byte in b" \t",
    "line end": lambda byte: byte in b"\r\n",
    "sign": lambda byte: 33 <= byte < 127 and not chr(byte).isalnum(),
    "control": lambda byte: byte < 32 and byte not in b"\t\r\n",
    "above ASCII": lambda byte: byte >= 127,
}


def positions(content: bytes, chance: random.Random) -> list[int]:
    """Where to flip: some bytes of each class that the content has, its first and its last."""
    found = {0, len(content) - 1}
    for belongs in CLASSES.values():
        members = [at for at, byte in enumerate(content) if belongs(byte)]
        found.update(chance.sample(members, min(POSITIONS, len(members))))
    return sorted(found)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


NAMED: dict[str, set[str]] = {
    "manifest.json": {"manifest"},
    "manifest-signature.json": {"manifest"},
    "receipt.json": {"manifest"},
    "receipt.pdf": {"manifest", "pdf seal"},
    "checkpoint.txt": {"manifest", "parts"},
    **{f"{part}.json": {"manifest", "parts"} for part in ("acceptance", "order", "presentation", "openings")},
    **{f"{part}.json": {"manifest", "parts"} for part in ("inclusion", "signature")},
}
"""Checks that fail when a byte of the member is another one; of the rest, the manifest's."""
PDF_PLACES = 8


async def test_a_flipped_byte_of_any_class_of_any_member_fails_and_is_named(step: Step, bundle: bytes) -> None:
    """In the member, with the zip file written anew around it, as somebody would who means to deceive."""
    members, trusted, chance = read_zip(bundle), key(step), random.Random(SEED)
    for name, content in members.items():
        for at in positions(content, chance):
            changed = {**members, name: flipped(content, at, chance.randrange(8))}

            checks = verify_bundle(canonical_zip(changed), trusted)

            assert exit_code(checks) == 1, (name, at)
            expected = NAMED.get(name, {"manifest"})
            failed = outcomes(checks, "failed")
            assert "manifest" in failed, (name, at)
            if name != "receipt.pdf":  # parts of a PDF outside its seal's two ranges: the placeholder's padding
                assert expected <= failed, (name, at, failed)
            if name not in {"manifest.json", "manifest-signature.json"}:
                (said,) = (check.detail for check in checks if check.name == "manifest")
                assert name in said, (name, at, said)


async def test_each_change_of_a_member_would_be_found_even_under_a_manifest_made_anew(
    step: Step, bundle: bytes
) -> None:
    """Whoever stole the ledger's key could sign a manifest; the ledger's head and the seal still tell."""
    members, trusted = read_zip(bundle), key(step)
    plain = {name: content for name, content in members.items() if not name.startswith("manifest")}
    for name, named in (
        ("receipt.pdf", "pdf seal"),
        ("order.json", "parts"),
        ("documents/master-terms-3.1-en.md", "parts"),
        ("checkpoint.txt", "parts"),
        ("receipt.json", "seal"),
    ):
        content = plain[name]
        at = content.index(b"Acme") if b"Acme" in content else len(content) // 2
        forged = bundles.signed({**plain, name: flipped(content, at, 0)}, step.agreements.keyring)

        checks = verify_bundle(canonical_zip(forged), trusted)

        assert outcomes(checks, "passed") >= {"zip", "manifest", "manifest key"}, name
        assert named in outcomes(checks, "failed") | {"parts" if name == "receipt.json" else named}, name
        assert exit_code(checks) == 1
    strange = bundles.signed({**plain, "more.txt": b"by the way"}, step.agreements.keyring)
    assert outcomes(verify_bundle(canonical_zip(strange), trusted), "failed") == {"parts"}
    for name in plain:
        less = bundles.signed({each: plain[each] for each in plain if each != name}, step.agreements.keyring)
        missing_is_fine = {"consistency.json", "page.html", "README.txt"}  # nothing refers to them
        assert (exit_code(verify_bundle(canonical_zip(less), trusted)) == 1) is (name not in missing_is_fine), name


async def test_a_flipped_byte_of_the_zip_file_itself_fails(step: Step, bundle: bytes) -> None:
    trusted, members = key(step), read_zip(bundle)
    structure: list[int] = []
    at = 0
    for name in sorted(members):
        header = 30 + len(name)
        structure += range(at, at + header)
        at += header + len(members[name])
    structure += range(at, len(bundle))

    for place in structure[:: max(1, len(structure) // 400)] + structure[-22:]:
        assert exit_code(verify_bundle(flipped(bundle, place, place % 8), trusted)) == 1, place


async def test_another_form_of_the_same_zip_file_fails(step: Step, bundle: bytes) -> None:
    trusted, members = key(step), read_zip(bundle)

    def rewritten(order: list[str], *, compressed: bool = False, comment: bytes = b"", extra: bytes = b"") -> bytes:
        stream = BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
            for name in order:
                entry = zipfile.ZipInfo(name)
                entry.compress_type = archive.compression
                entry.extra = extra
                archive.writestr(entry, members[name])
            archive.comment = comment
        return stream.getvalue()

    names = sorted(members)
    swapped = bytearray(bundle)
    for other in (
        bundle + b"\0",
        b"\0" + bundle,
        bundle + bundle,
        bundle[:-1],
        b"",
        b"PK\x03\x04",
        rewritten(names),
        rewritten(names, compressed=True),
        rewritten(names, comment=b"by the way"),
        rewritten(names, extra=b"\xfe\xca\x00\x00"),
        rewritten(names[::-1]),
        bytes(swapped[:4]) + b"\x14" + bytes(swapped[5:]),
    ):
        checks = verify_bundle(other, trusted)
        assert outcomes(checks, "failed") == {"zip"}
        assert exit_code(checks) == 1
    with pytest.warns(UserWarning, match="Duplicate name"):
        assert exit_code(verify_bundle(rewritten([*names, "order.json"]), trusted)) == 1


async def test_an_older_checkpoint_proves_that_the_ledger_only_grew(step: Step, clock: FixedClock) -> None:
    agreements = step.agreements
    polling = Checkpoints(step.database, clock, agreements.keyring, origin=agreements.origin)
    older = await bundle_of(step, (await accept_some(step, 3))[0])
    await polling.sign()
    async with step.database.begin(for_staff()) as session:
        polled = await polling.latest(session)
    newer = await bundle_of(step, (await accept_some(step, 2))[1])
    async with step.database.begin(for_staff()) as session:
        last = await polling.latest(session)

    for kept in (verify.kept_checkpoint(older), polled.note, last.note):
        checks = verify_bundle(newer, key(step), against=kept)
        assert "older checkpoint" in outcomes(checks, "passed")
        assert exit_code(checks) == 0
    await accept_some(step, 1)
    await polling.sign()
    async with step.database.begin(for_staff()) as session:
        unknown = await polling.latest(session)
        found = await polling.consistency(session, last.size, unknown.size)
    without = verify_bundle(newer, key(step), against=unknown.note)
    assert outcomes(without, "skipped") >= {"older checkpoint"}
    assert exit_code(without) == 2
    proof = json.dumps({"first": found.first, "second": found.second, "proof": found.proof}).encode()
    assert exit_code(verify_bundle(newer, key(step), against=unknown.note, proof=proof)) == 0
    broken = json.dumps({"first": found.first, "second": found.second, "proof": [*found.proof, "0" * 64]}).encode()
    assert exit_code(verify_bundle(newer, key(step), against=unknown.note, proof=broken)) == 1


async def test_a_checkpoint_of_somebody_else_or_changed_is_refused(
    step: Step, bundle: bytes, clock: FixedClock
) -> None:
    note = verify.kept_checkpoint(bundle)
    origin, size, root, *_ = note.split("\n")
    from agreements.ledger import signed_note

    foreign = signed_note(Keyring.generate(now=clock.now()), origin, int(size), base64.b64decode(root))
    other_ledger = signed_note(step.agreements.keyring, "other.example/agreements", int(size), base64.b64decode(root))
    same_size_other_root = signed_note(step.agreements.keyring, origin, int(size), bytes(32))
    for kept in (foreign, other_ledger, same_size_other_root, note.replace("=\n", "\n"), "nonsense", ""):
        checks = verify_bundle(bundle, key(step), against=kept)
        assert outcomes(checks, "failed") == {"older checkpoint"}, kept


async def test_a_rewritten_ledger_is_found_through_a_checkpoint_kept_from_before(step: Step, owner_url: str) -> None:
    """Rows changed and every hash made anew by a superuser: later bundles are consistent in themselves."""
    kept = await bundle_of(step, (await accept_some(step, 3))[1])
    receipt = json.loads(read_zip(kept)["receipt.json"])
    with psycopg.connect(owner_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        for table in ("acceptance_ledger", "acceptance_ledger_node", "acceptance_ledger_checkpoint"):
            connection.execute(f"alter table {table} disable trigger user")
        content = dict(receipt["acceptance"], order_digest="sha256:" + "0" * 64)
        connection.execute(
            "update acceptance_ledger set content = %s, leaf_digest = %s where seq = %s",
            (json.dumps(content), leaf_hash(canonical_json(content)), receipt["inclusion"]["index"]),
        )
        connection.execute("delete from acceptance_ledger_checkpoint")
        rebuild(connection)

    later = await bundle_of(step, (await accept_some(step, 2))[1])

    assert exit_code(verify_bundle(later, key(step))) == 0, "in itself it holds"
    first, second = receipt["inclusion"]["size"], json.loads(read_zip(later)["inclusion.json"])["size"]
    async with step.database.begin(for_staff()) as session:
        from agreements.checkpoints import between

        served = await between(session, first, second)
    proof = json.dumps({"first": first, "second": second, "proof": served.proof}).encode()
    checks = verify_bundle(later, key(step), against=verify.kept_checkpoint(kept), proof=proof)
    assert outcomes(checks, "failed") == {"older checkpoint"}
    assert "rewritten" in next(check.detail for check in checks if check.name == "older checkpoint")


async def test_the_verifier_is_one_file_that_runs_alone(step: Step, bundle: bytes, tmp_path: Path) -> None:
    script, good, bad = tmp_path / "verify.py", tmp_path / "bundle.zip", tmp_path / "changed.zip"
    script.write_bytes(Path(verify.__file__).read_bytes())
    good.write_bytes(bundle)
    bad.write_bytes(bundle.replace(b"Acme GmbH", b"Acme GmbX"))
    text = base64.b64encode(key(step)).decode()
    keys, listed, note = tmp_path / "ours.pub", tmp_path / "tarifa-keys.json", tmp_path / "older.txt"
    keys.write_text(f"{text}\n")
    listed.write_text(json.dumps({"keys": json.loads(read_zip(bundle)["keys.json"])}))
    note.write_text(verify.kept_checkpoint(bundle))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(script), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for named in (text, keys, listed):
        done = run(good, "--key", named, "--against", note)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "passed   older checkpoint: the same tree" in done.stdout
    assert run(good).returncode == 2
    changed = run(bad, "--key", text)
    assert (changed.returncode, "failed   zip" in changed.stdout) == (1, True)
    for wrong in ((good, "--key", "nonsense"), (tmp_path / "absent.zip",), (good, "--against", script)):
        assert run(*wrong).returncode == 1


async def test_a_mangled_member_fails_and_never_crashes_the_verifier(step: Step, bundle: bytes) -> None:
    members, trusted = read_zip(bundle), key(step)
    plain = {name: content for name, content in members.items() if not name.startswith("manifest")}
    nonsense: tuple[Any, ...] = (b"", b"[]", b"{}", b"null", b"\xff", b'{"a":1.5}', b"[" * 100_000)
    for number, name in enumerate(plain):
        for content in (nonsense[number % 7], nonsense[(number + 3) % 7]):
            forged = bundles.signed({**plain, name: content}, step.agreements.keyring)
            checks: tuple[Check, ...] = verify_bundle(
                canonical_zip(forged), trusted, against=verify.kept_checkpoint(bundle)
            )
            assert name in {"page.html", "README.txt", "consistency.json"} or exit_code(checks) == 1, (name, content)
