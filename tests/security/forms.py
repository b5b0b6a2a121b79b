"""Forms as the pages hold them, so that each field of each page is tried with everything else filled in well."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

import msgspec

FILLING: Final = {
    "email": "somebody@hooli.example",
    "password": "a sentence that is long",
    "name": "Somebody",
    "company_name": "Hooli Tools",
    "job_title": "Head of purchasing",
    "quantity": "2",
    "sku": "CRUNCHY-ARMCHAIR",
    "list": "CRUNCHY-ARMCHAIR 2",
    "code": "123456",
    "q": "armchair",
    "po_number": "PO-1",
    "ship_to.name": "Goods-in",
    "ship_to.line1": "Calle del Río 1",
    "ship_to.postal_code": "28013",
    "ship_to.city": "Madrid",
    "title": "A draft",
    "note": "Why",
    "comment": "Because",
}
"""What a person would type into an empty field."""


class PageForm(msgspec.Struct, frozen=True):
    """One form: where it goes and what it sends when nothing is changed but empty fields filled in."""

    method: str
    action: str
    fields: tuple[tuple[str, str], ...]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...]]:
        """Equal for forms that differ in their values alone."""
        names = tuple(dict.fromkeys(name for name, _ in self.fields))
        path = "/".join("*" if any(c.isdigit() for c in part) else part for part in self.action.split("/"))
        return self.method, path.partition("?")[0], names

    def with_field(self, name: str, value: str) -> list[tuple[str, str]]:
        return [(key, value if key == name else old) for key, old in self.fields]


def forms_of(html: str, address: str) -> list[PageForm]:
    parser = _Forms(address)
    parser.feed(html)
    return [PageForm(method, action, tuple(fields)) for method, action, fields in parser.found]


def links_of(html: str) -> Iterator[str]:
    """Addresses of ours that the page leads to."""
    parser = _Forms("/")
    parser.feed(html)
    for link in parser.links:
        if link.startswith("/") and not link.startswith(("//", "/static/")):
            yield link.partition("#")[0]


class _Forms(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.found: list[tuple[str, str, list[tuple[str, str]]]] = []
        self.links: list[str] = []
        self._open: list[tuple[str, str]] | None = None
        self._select = ""
        self._area = ""
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self._open = []
            action = given.get("action") or self.address
            self.found.append((given.get("method", "get").upper(), urlsplit(action).geturl(), self._open))
        if self._open is None:
            return
        name = given.get("name", "")
        if tag == "input" and name and name != "form_token":
            kind = given.get("type", "text")
            if kind in {"checkbox", "radio"}:
                if not any(key == name for key, _ in self._open):
                    self._open.append((name, given.get("value", "on")))
            elif kind != "submit":
                self._open.append((name, given.get("value") or FILLING.get(name, "")))
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select:
            chosen = [key for key, _ in self._open if key == self._select]
            if not chosen:
                self._open.append((self._select, given.get("value", "")))
            elif "selected" in given:
                self._open[:] = [
                    (key, given.get("value", "") if key == self._select else old) for key, old in self._open
                ]
        elif tag == "textarea" and name:
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area and self._open is not None:
            self._open.append((self._area, self._text.strip() or FILLING.get(self._area, "")))
            self._area = ""
