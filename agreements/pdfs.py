"""The PDF of a version: PDF/A-2b and PDF/UA-1, the same bytes each time, made from the source that the HTML is made of.

Fonts are those that typst brings.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import typst
from markdown_it.token import Token
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import legal_store
from agreements.documents import MARKDOWN
from agreements.legal_model import VersionPdf
from agreements.model import DocumentVersion

TEMPLATE: Final = Path(__file__).with_name("document.typ").read_bytes()
STANDARDS: Final = ("a-2b", "ua-1")
_FOOTER: Final = {"en": "{title} v{label}, source {digest}", "es": "{title} v{label}, fuente {digest}"}
_MARKS: Final = {"strong_open": "strong", "em_open": "em", "link_open": "link"}


async def keep_pdf(session: AsyncSession, version: DocumentVersion, *, now: datetime) -> VersionPdf:
    """The version's PDF, made and kept now where there is none yet."""
    found = await legal_store.find_pdf(session, version.id)
    if found is None:
        content = await asyncio.to_thread(pdf_of, version)
        sha256 = "sha256:" + hashlib.sha256(content).hexdigest()
        found = VersionPdf(version_id=version.id, content=content, sha256=sha256, made_at=now)
        session.add(found)
        await session.flush()
    return found


def pdf_of(version: DocumentVersion) -> bytes:
    return pdf(
        version.title,
        version.label,
        version.locale,
        version.source_markdown,
        version.source_sha256,
        version.published_at.astimezone(UTC),
    )


@lru_cache(maxsize=32)
def pdf(title: str, label: str, locale: str, source: str, source_sha256: str, dated: datetime) -> bytes:
    """Some tens of milliseconds a page. *source*: Markdown that `documents.render` takes; *dated*: in UTC."""
    given = {
        "title": title,
        "label": label,
        "language": locale,
        "author": title,
        "date": {name: getattr(dated, name) for name in ("year", "month", "day")},
        "footer": _FOOTER.get(locale, _FOOTER["en"]).format(title=title, label=label, digest=source_sha256[:23]),
        "blocks": blocks(MARKDOWN.parse(source)),
    }
    made: bytes = typst.compile(
        TEMPLATE,
        sys_inputs={"document": json.dumps(given)},
        pdf_standards=list(STANDARDS),
        ignore_system_fonts=True,
        timestamp=int(dated.timestamp()),
    )
    return made


def blocks(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """The document as a tree of plain values, for the template."""
    found, place, level = list[dict[str, Any]](), 0, 0
    while place < len(tokens):
        token = tokens[place]
        end = _end_of(tokens, place)
        inside = tokens[place + 1 : end]
        match token.type:
            case "heading_open":
                # no level may be left out, or readers of the tagged PDF lose their way
                level = min(int(token.tag[1:]), level + 1)
                found.append({"kind": "heading", "level": level, "inner": _words(inside[0])})
            case "paragraph_open":
                found.append({"kind": "paragraph", "inner": _words(inside[0])})
            case "bullet_list_open":
                found.append({"kind": "bullets", "items": _items(inside)})
            case "ordered_list_open":
                found.append({"kind": "numbers", "start": int(token.attrGet("start") or 1), "items": _items(inside)})
            case "blockquote_open":
                found.append({"kind": "quote", "inner": blocks(inside)})
            case "table_open":
                head, *rows = _rows(inside)
                found.append(
                    {"kind": "table", "head": head, "rows": [[{"inner": cell} for cell in row] for row in rows]}
                )
            case "hr":
                found.append({"kind": "rule"})
            case _:
                found.append({"kind": "code", "text": token.content})
        place = end + 1
    return found


def _items(tokens: Sequence[Token]) -> list[list[dict[str, Any]]]:
    items, place = [], 0
    while place < len(tokens):
        end = _end_of(tokens, place)
        items.append(blocks(tokens[place + 1 : end]))
        place = end + 1
    return items


def _rows(tokens: Sequence[Token]) -> list[list[list[dict[str, Any]]]]:
    rows: list[list[list[dict[str, Any]]]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_words(token))
    return rows


def _words(inline: Token) -> list[dict[str, Any]]:
    """The pieces of a line. A picture leaves its description: a document is words."""
    stack: list[list[dict[str, Any]]] = [[]]
    for token in inline.children or ():
        if token.type in _MARKS:
            inner: list[dict[str, Any]] = []
            stack[-1].append({"kind": _MARKS[token.type], "inner": inner, "address": token.attrGet("href") or ""})
            stack.append(inner)
        elif token.type.endswith("_close"):
            stack.pop()
        elif token.type == "hardbreak":
            stack[-1].append({"kind": "break"})
        elif token.type == "code_inline":
            stack[-1].append({"kind": "code", "text": token.content})
        else:
            stack[-1].append({"kind": "text", "text": " " if token.type == "softbreak" else token.content})
    return stack[0]


def _end_of(tokens: Sequence[Token], place: int) -> int:
    """Where the block that begins at *place* ends: there itself, when it holds none."""
    depth = 0
    for end in range(place, len(tokens)):
        depth += tokens[end].nesting
        if depth == 0:
            return end
    raise ValueError("a block that never ends")
