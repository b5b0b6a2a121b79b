"""Verify a signed quote, and of its package every price: offline, from the file alone.

    python -m pricing.replay_quote quote.json|package.json --keys jwks.json

`pricing/verify_quote.py` checks the signature and that a package's answer is what was signed; then
`pricing/engine/replay.py` works the answer out again, step by step, from the leaves of the price book in the package.
Exit code: 0 when all holds, 1 when something does not, 2 when keys are missing or a file cannot be read.
"""

import sys
from pathlib import Path

from kernel.canonical import NotCanonical, canonical_json, strict_json
from pricing import verify_quote
from pricing.engine.replay import Checked, replay


def replay_package(content: bytes) -> Checked | None:
    """What the replay of a package's answer finds; None for anything but a package."""
    try:
        document = strict_json(content)
    except NotCanonical:
        return None
    if not isinstance(document, dict) or document.get("type") != verify_quote.PACKAGE_TYPE:
        return None
    return replay(canonical_json(document.get("answer")), canonical_json(document.get("leaves")))


def main(arguments: list[str]) -> int:
    code = verify_quote.main(arguments)
    file = Path(arguments[0]) if arguments else None
    found = replay_package(file.read_bytes()) if file is not None and file.is_file() else None
    if found is None:
        return code
    for title, said in (("checked", found.checked), ("unchecked", found.unchecked), ("WRONG", found.findings)):
        for sentence in said:
            sys.stdout.write(f"{title:9} {sentence}\n")
    return 1 if found.findings else code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
