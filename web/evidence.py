"""Digests of what a page was made of, so that evidence can name the very template and style a buyer saw."""

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Final

from jinja2 import Environment, meta

from web.assets import assets
from web.pages import TEMPLATES

STYLESHEETS: Final = ("vendor/pico.min.css", "tarifa.css")
"""As base.html links them, in order."""


@cache
def template_digest(name: str) -> str:
    """`sha256:<hex>` over a template and all it extends, includes or imports, by name, as the files are."""
    files = {each: (TEMPLATES / each).read_bytes() for each in _with_referenced(name)}
    return _digest((each.encode(), files[each]) for each in sorted(files))


@cache
def stylesheet_digest() -> str:
    """`sha256:<hex>` over the style sheets of every page."""
    return _digest((name.encode(), assets()[name].body) for name in STYLESHEETS)


def _with_referenced(name: str) -> set[str]:
    parser = Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
    found, waiting = {name}, [name]
    while waiting:
        tree = parser.parse((TEMPLATES / waiting.pop()).read_text())
        for referenced in meta.find_referenced_templates(tree):
            if referenced is None:
                raise ValueError(f"{name} names a template by an expression; its digest would not cover it")
            if referenced not in found:
                found.add(referenced)
                waiting.append(referenced)
    return found


def _digest(parts: Iterable[tuple[bytes, bytes]]) -> str:
    whole = hashlib.sha256()
    for name, content in parts:
        whole.update(b"%d:%s%d:" % (len(name), name, len(content)))
        whole.update(content)
    return "sha256:" + whole.hexdigest()
