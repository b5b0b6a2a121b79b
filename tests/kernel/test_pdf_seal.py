from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typst
from cryptography import x509

from kernel.pdf_seal import look_at_seal, pem, seal_pdf
from kernel.signing import Keyring, Purpose, activate, announce, complete

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def letter() -> bytes:
    source = b'#set document(title: "Letter", date: datetime(year: 2026, month: 11, day: 21))\n= Letter\nAccepted.'
    made: bytes = typst.compile(source, pdf_standards=["a-2a", "ua-1"], ignore_system_fonts=True)
    return made


def test_a_sealed_pdf_begins_with_the_file_and_names_key_and_instant(letter: bytes) -> None:
    keyring = Keyring.generate(now=NOW)

    sealed = seal_pdf(letter, keyring, reason="Receipt", at=NOW + timedelta(hours=1))

    assert sealed.startswith(letter)
    seal = look_at_seal(sealed)
    assert seal is not None
    assert (seal.intact, seal.sealed_at) == (True, NOW + timedelta(hours=1))
    assert seal.certificate == keyring.active_key(Purpose.SEAL).certificate
    assert b"/SubFilter /ETSI.CAdES.detached" in sealed.replace(b"/SubFilter/", b"/SubFilter /")


def test_a_flipped_or_added_byte_breaks_the_seal(letter: bytes) -> None:
    sealed = seal_pdf(letter, Keyring.generate(now=NOW), reason="Receipt", at=NOW)
    signature = sealed.index(b"/Contents")

    for at in (10, len(letter) // 2, len(letter) - 40, len(letter) + 60, signature + 400):
        seal = look_at_seal(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        assert seal is None or not seal.intact, at
    for other in (sealed + b"\n% added", letter, b"", b"%PDF-1.7"):
        seal = look_at_seal(other)
        assert seal is None or not seal.intact


def test_an_older_seal_holds_after_its_key_was_exchanged(letter: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    keyring = Keyring.read(path)
    old = seal_pdf(letter, keyring, reason="Receipt", at=NOW)
    later = NOW + timedelta(days=1)
    activate(path, announce(path, Purpose.SEAL, now=later, owner="Meridian").id, now=later)

    new = seal_pdf(letter, keyring, reason="Receipt", at=later)

    first, second = look_at_seal(old), look_at_seal(new)
    assert first is not None
    assert second is not None
    assert (first.intact, second.intact) == (True, True)
    assert [first.certificate, second.certificate] == [key.certificate for key in keyring.public_keys(Purpose.SEAL)]
    assert (
        x509.load_pem_x509_certificate(pem(second.certificate).encode()).subject.rfc4514_string().endswith("Meridian")
    )
