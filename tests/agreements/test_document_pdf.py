"""What a document's PDF shows: the text, and nothing of the template."""

import json

import typst

from agreements import package_pdf, pdfs
from agreements.documents import MARKDOWN

SOURCE = """# Master terms

Words in *emphasis*, **strong**, `code` and [a link](https://shop.example/).

## Prices

- one
- two

1. first

> quoted

| a | b |
| - | - |
| 1 | 2 |

---

    block
"""


def shown(template: bytes, given: str, what: str) -> list[str]:
    """Texts of the elements *what* that the template sets."""
    found = json.loads(typst.query(template, what, sys_inputs={given: json.dumps(SAID[given])}))
    return [str(each.get("text") or each["body"]["text"]).strip() for each in found]


BLOCKS = pdfs.blocks(MARKDOWN.parse(SOURCE))
DATE = {"year": 2026, "month": 11, "day": 21}
SAID = {
    "document": {
        "title": "Master terms",
        "label": "3.1",
        "language": "en",
        "author": "Meridian",
        "date": DATE,
        "footer": "",
        "blocks": BLOCKS,
    },
    "package": {
        "title": "Signed by all parties",
        "seller": "Meridian",
        "language": "en",
        "date": DATE,
        "footer": "",
        "level": "",
        "facts_head": ["What", "Value"],
        "facts": [["Package", "4711", True]],
        "signatures_heading": "Signatures",
        "signatures": [{"heading": "Signatory", "intent": "", "authority": "", "facts": []}],
        "order_heading": "The order",
        "lines_head": ["SKU", "Quantity", "Unit price", "Amount"],
        "lines": [["HOSE", "1 metre", "3.33", "3.33"]],
        "sums_head": ["Total", "EUR"],
        "sums": [["Goods", "3.33"]],
        "documents": [{"digest": "sha256:00", "blocks": BLOCKS}],
    },
}


def test_a_version_is_set_as_text_and_not_as_what_it_is_made_of() -> None:
    assert shown(pdfs.TEMPLATE, "document", "heading") == ["Master terms", "Prices"]
    assert shown(pdfs.TEMPLATE, "document", "raw") == ["code", "block"]


def test_a_signed_package_shows_certificate_order_and_texts() -> None:
    template = package_pdf.DEFINITIONS + package_pdf.BODY

    assert shown(template, "package", "heading") == [
        *("Signed by all parties", "Signatures", "Signatory", "The order"),
        *("Master terms", "Prices"),
    ]
    assert shown(template, "package", "raw") == ["4711", "sha256:00", "code", "block"]
