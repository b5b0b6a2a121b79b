"""Markdown to the one HTML whose digest is kept. Pure: same source, same bytes.

Raw HTML is disabled: what a document says is what its source says, and it cannot bring a script.
"""

import hashlib
import re
from typing import Final

from markdown_it import MarkdownIt

from kernel.errors import Refused

SOURCE_MAXIMUM: Final = 500_000
MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_SECTION: Final = re.compile(r"^## ", re.MULTILINE)


class UnusableSource(Refused):
    problem = "document-source-unusable"
    title = "This text cannot be published"


def render(source: str) -> str:
    """The document's HTML.

    :raises UnusableSource: when it is empty, too long, holds a control character or has no heading and summary
    """
    if len(source) > SOURCE_MAXIMUM:
        raise UnusableSource(f"The text has {len(source)} characters; {SOURCE_MAXIMUM} are the most.")
    if any(character < " " and character not in "\n\t" for character in source):
        raise UnusableSource("The text holds a control character; write lines that end with a line feed.")
    if not source.startswith("# ") or len(_SECTION.split(source)) < 2:
        raise UnusableSource(
            "Begin with '# Title', then a first section '## ...' that sums up the material terms, then the terms."
        )
    return str(MARKDOWN.render(source))


def summary_html(source: str) -> str:
    """The first section, without its heading: the material terms in short, as the checkout shows them."""
    first = _SECTION.split(source)[1]
    _, _, body = first.partition("\n")
    return str(MARKDOWN.render(body))


def text_sha256(text: str) -> str:
    """`sha256:<hex>` of the UTF-8 bytes."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
