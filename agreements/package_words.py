"""What the receipt of a package says to people: who signed what, the order, the evidence."""

from collections.abc import Mapping
from typing import Any, Final

from agreements.receipt_words import (
    Said,
    Section,
    Words,
    closing_sections,
    documents_section,
    head_of,
    opened,
    order_section,
)
from agreements.verify import SIGNATURE

_KNOWN: Final = ("signer_name", "signer_email")


def about_package(receipt: Mapping[str, Any], *, number: str | None = None, locale: str | None = None) -> Said:
    """The receipt as a document: parties, each signature with its sentences, documents, order, evidence."""
    content, execution = receipt["package"]["content"], receipt["leaves"][-1]
    said = Words(locale or content["locale"])
    parties = (
        ("seller", receipt["issuer"]),
        ("buyer", content["company_name"]),
        ("executed", execution["content"]["recorded_at"]),
        ("level", content["level"]),
    )
    evidence = (
        ("package_digest", execution["content"]["package_digest"]),
        ("order_digest", execution["content"]["order_digest"]),
        ("price_book", str(receipt["order"].get("price_root", ""))),
        ("rows", ", ".join(str(leaf["content"]["seq"]) for leaf in receipt["leaves"])),
        ("checkpoint", head_of(receipt)),
        ("key", receipt["seal"]["key_id"]),
    )
    return Said(
        language=said.language,
        title=said("signed_title") if number is None else said("numbered", number=number),
        issuer=receipt["issuer"],
        recorded_at=execution["content"]["recorded_at"],
        sections=(
            Section(heading="", facts=tuple((said(name), value, False) for name, value in parties)),
            _signatures(receipt, said),
            Section(heading=said("accepted"), points=_sentences(receipt)),
            documents_section(content["documents"], said),
            order_section(receipt["order"], execution["openings"], said),
            Section(heading=said("evidence"), facts=tuple((said(name), value, True) for name, value in evidence)),
            *closing_sections(receipt, said),
        ),
    )


def about_signing(receipt: Mapping[str, Any]) -> Said:
    """What each signer's page said: order, documents, the sentences beside the boxes they ticked, the button."""
    content, execution = receipt["package"]["content"], receipt["leaves"][-1]
    said = Words(content["locale"])
    signed = [leaf["content"] for leaf in receipt["leaves"] if leaf["kind"] == SIGNATURE]
    pages = tuple(
        Section(
            heading=said(each["role"]),
            points=tuple(f"{said('ticked')} {each[name]}" for name in ("intent", "authority")),
            facts=(
                (said("button"), each["button_label"], False),
                (said("recorded"), each["recorded_at"], False),
                (said("template"), f"{each['template_digest']} {each['stylesheet_digest']}", True),
            ),
        )
        for each in signed
    )
    return Said(
        language=said.language,
        title=said("page_title"),
        issuer=receipt["issuer"],
        recorded_at=execution["content"]["recorded_at"],
        sections=(
            order_section(receipt["order"], execution["openings"], said),
            documents_section(content["documents"], said),
            *pages,
        ),
    )


def _signatures(receipt: Mapping[str, Any], said: Words) -> Section:
    signed = [leaf for leaf in receipt["leaves"] if leaf["kind"] == SIGNATURE]
    return Section(
        heading=said("signatures"),
        columns=(said("as"), said("typed"), said("known"), said("signed_at")),
        rows=tuple(
            (
                said(leaf["content"]["role"]),
                _joined(leaf["openings"], ("typed_name", "title"), said),
                _joined(leaf["openings"], _KNOWN, said),
                f"{leaf['content']['recorded_at']}, {leaf['content']['seq']}",
            )
            for leaf in signed
        ),
    )


def _joined(openings: Mapping[str, Any], fields: tuple[str, ...], said: Words) -> str:
    return ", ".join(dict.fromkeys(opened(openings, field, said) for field in fields))


def _sentences(receipt: Mapping[str, Any]) -> tuple[str, ...]:
    """Each sentence once: two signatories of one language say the same."""
    signed = [leaf["content"] for leaf in receipt["leaves"] if leaf["kind"] == SIGNATURE]
    return tuple(dict.fromkeys(each[name] for each in signed for name in ("intent", "authority")))
