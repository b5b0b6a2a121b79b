import base64
import json
import multiprocessing
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kernel.signing import (
    HANDOVER,
    LIFE,
    SYMMETRIC,
    CannotDecrypt,
    Keyring,
    KeyringRefused,
    Purpose,
    Signature,
    activate,
    announce,
    complete,
    verify_ed25519,
    verify_es256,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SIGNING_PURPOSES = [purpose for purpose in Purpose if purpose not in SYMMETRIC]
ES256 = {Purpose.QUOTES, Purpose.SEAL}


@dataclass(frozen=True)
class KeyringPlace:
    signing_keyring: Path
    production: bool = False


def test_a_demo_makes_its_keyring_on_the_first_start_and_finds_it_again(tmp_path: Path) -> None:
    place = KeyringPlace(tmp_path / "var" / "keyring.json")

    first = Keyring.from_settings(place, now=NOW)
    again = Keyring.from_settings(place, now=NOW + timedelta(days=1))

    assert again.public_keys() == first.public_keys()
    assert again.house_key == first.house_key
    assert stat.S_IMODE((tmp_path / "var" / "keyring.json").stat().st_mode) == 0o600


def test_production_without_a_keyring_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyringRefused, match=r"python -m kernel\.signing new"):
        Keyring.from_settings(KeyringPlace(tmp_path / "absent.json", production=True), now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_processes_starting_at_once_share_one_keyring(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        seen = pool.map(_start, [path] * 6)

    assert len(set(seen)) == 1


def _start(path: Path) -> bytes:
    complete(path, now=NOW)
    return Keyring.read(path).house_key


def test_a_keyring_that_lacks_a_newer_purpose_is_completed_and_keeps_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    keyring = Keyring.read(path)
    before = {purpose: keyring.public_keys(purpose) for purpose in ("ledger", "quotes")}
    document = json.loads(path.read_bytes())
    document["keys"] = [key for key in document["keys"] if key["purpose"] != "quotes"]
    path.write_text(json.dumps(document))
    with pytest.raises(KeyringRefused, match="0 active keys for 'quotes'"):
        Keyring.read(path)

    complete(path, now=NOW)

    after = Keyring.read(path)
    assert after.public_keys("ledger") == before["ledger"]
    assert after.public_keys("quotes") != before["quotes"]


@pytest.mark.parametrize("purpose", SIGNING_PURPOSES)
def test_a_signature_verifies_for_its_message_and_purpose_only(purpose: Purpose) -> None:
    keyring = Keyring.generate(now=NOW)

    signature = keyring.sign(purpose, b"an order")

    assert keyring.verify(purpose, signature, b"an order")
    assert not keyring.verify(purpose, signature, b"an Order")
    assert not any(keyring.verify(other, signature, b"an order") for other in SIGNING_PURPOSES if other is not purpose)
    assert not keyring.verify(purpose, Signature("nobody", signature.signature), b"an order")
    assert not keyring.verify(purpose, Signature(signature.key_id, b"short"), b"an order")
    assert not Keyring.generate(now=NOW).verify(purpose, signature, b"an order")
    (public,) = keyring.public_keys(purpose)
    verify = verify_es256 if purpose in ES256 else verify_ed25519
    assert verify(public.public_key, signature.signature, b"an order")
    assert not verify(public.public_key, signature.signature, b"an Order")
    assert not verify(b"no key", signature.signature, b"an order")
    assert not verify(b"\xff" * len(public.public_key), signature.signature, b"an order")


def test_a_retired_key_still_verifies_and_the_new_one_signs() -> None:
    keyring = Keyring.generate(now=NOW)
    old = keyring.sign("ledger", b"an order")

    rotated = keyring.rotated(Purpose.LEDGER, now=NOW + timedelta(days=90))

    assert rotated.verify("ledger", old, b"an order")
    assert rotated.sign("ledger", b"an order").key_id != old.key_id
    retired, active = rotated.public_keys("ledger")
    assert (retired.id, retired.retired) == (old.key_id, NOW + timedelta(days=90))
    assert active.retired is None


def test_the_house_secret_signs_nothing() -> None:
    keyring = Keyring.generate(now=NOW)
    house = next(key for key in keyring._keys.values() if key.purpose is Purpose.HOUSE)

    assert not keyring.verify("house", Signature(house.id, b"\0" * 64), b"")
    assert all(key.purpose not in SYMMETRIC for key in keyring.public_keys())
    assert {key.public_key for key in keyring.all_keys() if key.purpose in SYMMETRIC} == {b""}


def test_macs_differ_by_purpose_message_and_keyring() -> None:
    keyring, other = Keyring.generate(now=NOW), Keyring.generate(now=NOW)

    macs = {
        keyring.hmac("salt", b"a"),
        keyring.hmac("salt", b"b"),
        keyring.hmac("proof", b"a"),
        other.hmac("salt", b"a"),
        keyring.house_key,
    }

    assert len(macs) == 5
    assert keyring.hmac("salt", b"a") == keyring.hmac("salt", b"a")


def test_encrypted_bytes_open_with_their_key_purpose_and_context_only() -> None:
    keyring = Keyring.generate(now=NOW)
    sealed = keyring.encrypt("annex", b"192.0.2.7", context=b"row 1")

    assert b"192.0.2.7" not in sealed
    assert keyring.decrypt("annex", sealed, context=b"row 1") == b"192.0.2.7"
    rotated = keyring.rotated(Purpose.HOUSE, now=NOW)
    assert rotated.decrypt("annex", sealed, context=b"row 1") == b"192.0.2.7"
    for ring, purpose, content, context in (
        (keyring, "annex", sealed, b"row 2"),
        (keyring, "other", sealed, b"row 1"),
        (keyring, "annex", sealed[:-1] + bytes([sealed[-1] ^ 1]), b"row 1"),
        (keyring, "annex", sealed[:30], b"row 1"),
        (keyring, "annex", b"", b"row 1"),
        (Keyring.generate(now=NOW), "annex", sealed, b"row 1"),
    ):
        with pytest.raises(CannotDecrypt):
            ring.decrypt(purpose, content, context=context)


def test_a_keyring_other_users_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    path.chmod(0o604)

    with pytest.raises(KeyringRefused, match="chmod 600"):
        Keyring.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a keyring"),
        (b"\xff\xfe", "not a keyring"),
        (b'{"version": 2, "keys": []}', "version 2"),
        (b'{"version": 1, "keys": [], "note": ""}', "not a keyring"),
        (b'{"version": 1, "keys": []}', "0 active keys"),
    ],
)
def test_a_broken_keyring_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "keyring.json"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(KeyringRefused, match=message):
        Keyring.read(path)


def test_two_active_keys_of_a_purpose_or_a_short_secret_are_refused(tmp_path: Path) -> None:
    keys = tuple(Keyring.generate(now=NOW)._keys.values())
    with pytest.raises(KeyringRefused, match="2 active keys for 'ledger'"):
        Keyring((*keys, *(key for key in Keyring.generate(now=NOW)._keys.values() if key.purpose == "ledger")))
    with pytest.raises(KeyringRefused, match="same id"):
        Keyring((*keys, keys[0]))

    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    document = json.loads(path.read_bytes())
    document["keys"][0]["secret"] = base64.b64encode(b"short").decode()
    path.write_text(json.dumps(document))
    with pytest.raises(KeyringRefused, match="not base64 of 32 bytes") as refused:
        Keyring.read(path)
    assert document["keys"][0]["secret"] not in str(refused.value)


def test_no_secret_shows_in_any_representation(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    keyring = Keyring.read(path)

    shown = repr(keyring) + str(keyring) + repr(list(keyring._keys.values())) + repr(keyring.public_keys())

    for key in json.loads(path.read_bytes())["keys"]:
        assert key["secret"] not in shown
        assert base64.b64decode(key["secret"]).hex() not in shown


def test_production_refuses_the_keys_that_a_demo_made_and_keys_that_have_ended(tmp_path: Path) -> None:
    demo, own = tmp_path / "demo.json", tmp_path / "own.json"
    Keyring.from_settings(KeyringPlace(demo), now=NOW)
    complete(own, now=NOW)

    with pytest.raises(KeyringRefused, match="made by a demo"):
        Keyring.from_settings(KeyringPlace(demo, production=True), now=NOW)
    Keyring.from_settings(KeyringPlace(own, production=True), now=NOW + LIFE - timedelta(seconds=1))
    with pytest.raises(KeyringRefused, match=r"bin/tarifa keys rotate"):
        Keyring.from_settings(KeyringPlace(own, production=True), now=NOW + LIFE)


def test_a_key_is_announced_then_signs_and_its_forerunner_verifies_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    open_elsewhere = Keyring.read(path)
    old = open_elsewhere.sign(Purpose.LEDGER, b"a head")

    announced = announce(path, Purpose.LEDGER, now=NOW + timedelta(days=30))
    assert announce(path, Purpose.LEDGER, now=NOW + timedelta(days=31)) == announced
    assert open_elsewhere.sign(Purpose.LEDGER, b"a head").key_id == old.key_id
    assert [key.announced for key in open_elsewhere.public_keys(Purpose.LEDGER)] == [False, True]

    at = NOW + timedelta(days=32)
    activate(path, announced.id, now=at)
    activate(path, announced.id, now=at + timedelta(days=1))

    new = open_elsewhere.sign(Purpose.LEDGER, b"a head")
    assert new.key_id == announced.id == open_elsewhere.active_key(Purpose.LEDGER).id
    assert open_elsewhere.verify(Purpose.LEDGER, old, b"a head")
    assert [key.retired for key in open_elsewhere.public_keys(Purpose.LEDGER)] == [at + HANDOVER, None]
    with pytest.raises(KeyringRefused, match="has no key"):
        activate(path, "ledger-none", now=at)
    with pytest.raises(KeyringRefused, match="never exchanged"):
        announce(path, Purpose.HOUSE, now=at)


def test_a_file_that_is_broken_for_a_moment_does_not_stop_who_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    keyring = Keyring.read(path)
    signed = keyring.sign("ledger", b"a head")

    path.write_text("half of a keyring")
    assert keyring.sign("ledger", b"a head").key_id == signed.key_id
    path.unlink()
    assert keyring.verify("ledger", Signature("another", signed.signature), b"a head") is False
    assert keyring.sign("ledger", b"a head") == signed


def test_a_key_of_the_annex_wraps_and_a_later_one_opens_what_it_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    keyring = Keyring.read(path)
    wrapped = keyring.encrypt("data key", b"secret", context=b"row 1", under=Purpose.ANNEX)
    activate(path, announce(path, Purpose.ANNEX, now=NOW).id, now=NOW)

    again = keyring.encrypt("data key", b"secret", context=b"row 1", under=Purpose.ANNEX)

    assert again.partition(b"\0")[0] != wrapped.partition(b"\0")[0]
    assert keyring.decrypt("data key", wrapped, context=b"row 1") == b"secret"
    assert keyring.decrypt("data key", again, context=b"row 1") == b"secret"


def test_the_seal_has_a_certificate_of_its_own_key_dates_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=NOW)
    seal = announce(path, Purpose.SEAL, now=NOW, owner="Meridian Industrial Supply S.L.", life=timedelta(days=365))

    assert seal.certificate is not None
    certificate = x509.load_der_x509_certificate(seal.certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.public_numbers().x.to_bytes(32) + key.public_numbers().y.to_bytes(32) == seal.public_key
    assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == (NOW, NOW + timedelta(days=365))
    assert "O=Meridian Industrial Supply S.L." in certificate.subject.rfc4514_string()
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.content_commitment, usage.key_cert_sign) == (True, True, False)
    (plain,) = (key for key in Keyring.read(path).public_keys() if key.purpose is Purpose.SEAL and not key.announced)
    assert (plain.algorithm, plain.not_after) == ("ES256", NOW + LIFE)
