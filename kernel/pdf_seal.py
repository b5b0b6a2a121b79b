"""Sealing PDFs: PAdES (ETSI EN 319 142-1, baseline B-B) with the keyring's P-256 seal, and looking at a seal.

The seal certifies the whole file and allows no change after it. pyHanko takes half a second to load, so it is loaded
with the first seal, and a seal takes some tens of milliseconds: call both functions in a thread.
"""

import asyncio
import base64
import io
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from kernel.signing import Keyring, Purpose

FIELD: Final = "Seal"
_RESERVED: Final = 8192
"""Hexadecimal digits kept free for the signature with its certificate: more than twice what both take."""


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What looking at a sealed PDF found."""

    intact: bool
    """The seal is over these very bytes, all of them, and the certificate's key made it."""
    certificate: bytes
    """X.509 in DER, of who made it: compare it with one that you trust."""
    sealed_at: datetime | None
    """By the sealer's clock."""


def seal_pdf(pdf: bytes, keyring: Keyring, *, reason: str, at: datetime) -> bytes:
    """*pdf* with our seal over all of it, as an update at its end.

    :param reason: shown by readers of PDF beside the seal
    :param at: by our clock; the seal says so
    """
    from pyhanko.keys import load_certs_from_pemder_data
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers
    from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

    class FromKeyring(signers.Signer):
        """The secret stays in the keyring."""

        async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
            assert digest_algorithm == "sha256"
            if dry_run:
                return bytes(72)
            made = keyring.sign(Purpose.SEAL, data)
            if made.key_id != key.id:
                raise SealExchanged("The seal's key was exchanged this very moment; seal again.")
            r, s = int.from_bytes(made.signature[:32]), int.from_bytes(made.signature[32:])
            return encode_dss_signature(r, s)

    key = keyring.active_key(Purpose.SEAL)
    assert key.certificate is not None, "the keyring makes no seal without one"
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=fields.SigSeedSubFilter.PADES,
        reason=reason,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )
    (certificate,) = load_certs_from_pemder_data(key.certificate)
    signer = FromKeyring(signing_cert=certificate)

    async def sealed() -> bytes:
        session = signers.PdfSigner(metadata, signer=signer).init_signing_session(
            IncrementalPdfFileWriter(io.BytesIO(pdf))
        )
        session.system_time = at
        document = session.prepare_tbs_document(
            validation_info=await session.perform_presign_validation(), bytes_reserved=_RESERVED
        )
        written = io.BytesIO()
        prepared, _ = document.digest_tbs_document(output=written)
        await document.perform_signature(
            document_digest=prepared.document_digest, pdf_cms_signed_attrs=PdfCMSSignedAttributes(signing_time=at)
        )
        return written.getvalue()

    return asyncio.run(sealed())


class SealExchanged(Exception):
    """The key changed between certificate and signature."""


def look_at_seal(pdf: bytes) -> Seal | None:
    """What is known of the seal of *pdf*; None when there is none, or the file is none we could read."""
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    try:
        (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
        covered = signature.evaluate_signature_coverage() is SignatureCoverageLevel.ENTIRE_FILE
        intact, valid = validate_sig_integrity(
            signature.signer_info, signature.signer_cert, "data", signature.compute_digest("sha256")
        )
    except (PdfError, SignatureValidationError, ValueError, KeyError, IndexError, TypeError):
        return None
    return Seal(
        intact=covered and intact and valid,
        certificate=signature.signer_cert.dump(),
        sealed_at=signature.self_reported_timestamp,
    )


def pem(certificate: bytes) -> str:
    """*certificate* as programs take it."""
    body = base64.encodebytes(certificate).decode().replace("\n", "")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
