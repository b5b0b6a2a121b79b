"""Evidence that was given out in an earlier form verifies for ever: files as they were made, with the key of then."""

import gzip
from pathlib import Path
from typing import Final

from agreements.verify import exit_code, verify_bundle, verify_receipt
from tests.agreements.test_receipt import outcomes

KEPT: Final = Path(__file__).with_name("kept")
BUNDLE_KEY: Final = "qcQQzHg1IY+VZ+pg+bgDaeKP2dc12EvCYTSNiSvF0dg="
PACKAGE_KEY: Final = "pOcxGBwgRyBgebltFiiLICW4/NSQBFYTlfwmvOnWVUE="


def test_a_bundle_from_before_receipts_of_packages_verifies() -> None:
    content = gzip.decompress((KEPT / "bundle-v1.zip.gz").read_bytes())

    checks = verify_bundle(content, BUNDLE_KEY)

    assert outcomes(checks, "skipped") == {"opening annex"}
    assert outcomes(checks, "passed") >= {"manifest", "parts", "seal", "statements", "inclusion", "pdf seal"}
    assert exit_code(checks) == 0
    assert exit_code(verify_bundle(content, PACKAGE_KEY)) == 1


def test_the_evidence_of_a_package_as_it_was_first_given_out_verifies() -> None:
    content = gzip.decompress((KEPT / "package-evidence-v1.json.gz").read_bytes())

    checks = verify_receipt(content, PACKAGE_KEY)

    assert {check.outcome for check in checks} == {"passed"}
    assert next(check.detail for check in checks if check.name == "format") == "tarifa.package-evidence.v1"
    changed = content.replace(b'"typed_name":{"salt"', b'"typed_nama":{"salt"', 1)
    assert outcomes(verify_receipt(changed, PACKAGE_KEY), "failed") >= {"seal", "signature 1 opening typed_nama"}
