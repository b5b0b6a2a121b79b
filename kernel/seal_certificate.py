"""The certificate of the seal: who vouches for a sealed PDF, for how long, and for what alone."""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

SEAL_NAME: Final = "Tarifa seal"
_ORGANISATION_LONGEST: Final = 64  # RFC 5280, ub-organization-name


def self_signed(key: ec.EllipticCurvePrivateKey, *, owner: str, not_before: datetime, not_after: datetime) -> bytes:
    """X.509 v3 in DER, signed by *key* itself: trust comes from where the reader got the seller's keys."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, SEAL_NAME)]
    if owner:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner[:_ORGANISATION_LONGEST]))
    name = x509.Name(parts)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.DER)
