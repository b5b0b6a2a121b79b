"""What receipts say to people of a framework agreement: that of its acceptance, and that of a program's order that
rests on it.
"""

from collections.abc import Mapping
from typing import Any

from agreements.receipt_words import (
    ACTOR,
    Said,
    Section,
    Words,
    closing_sections,
    documents_section,
    head_of,
    named_person,
    order_section,
    shown_sections,
)


def about_framework(receipt: Mapping[str, Any], *, locale: str | None = None) -> Said:
    """The receipt of the acceptance itself as a document: parties, what was accepted, documents, evidence."""
    content, acceptance, agreement = receipt["presentation"]["content"], receipt["acceptance"], receipt["order"]
    said = Words(locale or content["locale"])
    parties = (
        ("seller", receipt["issuer"]),
        ("buyer", content["company_name"]),
        *_accepted(receipt, agreement, said),
        ("covers", said("covers_programs")),
    )
    evidence = (
        ("framework_id", agreement["framework"]),
        ("framework_digest", acceptance["order_digest"]),
        ("presentation_digest", acceptance["presentation_digest"]),
        ("template", f"{content['template_digest']} {content['stylesheet_digest']}"),
        ("row", str(acceptance["seq"])),
        ("checkpoint", head_of(receipt)),
        ("key", receipt["seal"]["key_id"]),
    )
    return Said(
        language=said.language,
        title=said("framework_title"),
        issuer=receipt["issuer"],
        recorded_at=acceptance["recorded_at"],
        sections=(
            Section(heading="", facts=tuple((said(name), value, False) for name, value in parties)),
            Section(heading=said("accepted"), points=_ticked(receipt)),
            documents_section(content["documents"], said),
            Section(heading=said("evidence"), facts=tuple((said(name), value, True) for name, value in evidence)),
            *closing_sections(receipt, said),
        ),
    )


def about_framework_page(act: Mapping[str, Any], issuer: str) -> Said:
    """What the page of the framework agreement said."""
    said = Words(act["presentation"]["content"]["locale"])
    return Said(
        language=said.language,
        title=said("page_title"),
        issuer=issuer,
        recorded_at=act["acceptance"]["recorded_at"],
        sections=shown_sections(act, said),
    )


def about_program_order(receipt: Mapping[str, Any], *, number: str | None = None, locale: str | None = None) -> Said:
    """The receipt as a document: parties, the agreement and who accepted it, documents, order, evidence."""
    framework, citation = receipt["framework"], receipt["citation"]
    content, acceptance = framework["presentation"]["content"], framework["acceptance"]
    said = Words(locale or content["locale"])
    parties = (
        ("seller", receipt["issuer"]),
        ("buyer", content["company_name"]),
        ("channel", said(f"channel_{citation['channel']}")),
        ("placed", citation["recorded_at"]),
    )
    agreed = _accepted(framework, framework["agreement"], said)
    evidence = (
        ("order_digest", citation["order_digest"]),
        ("cites", citation.get("framework_digest", str(citation["framework_seq"]))),
        ("presentation_digest", acceptance["presentation_digest"]),
        ("price_book", str(receipt["order"].get("price_root", ""))),
        ("rows", f"{acceptance['seq']}, {citation['seq']}"),
        ("checkpoint", head_of(receipt)),
        ("key", receipt["seal"]["key_id"]),
    )
    return Said(
        language=said.language,
        title=said("title") if number is None else said("numbered", number=number),
        issuer=receipt["issuer"],
        recorded_at=citation["recorded_at"],
        sections=(
            Section(heading="", facts=tuple((said(name), value, False) for name, value in parties)),
            Section(
                heading=said("framework"),
                points=_ticked(framework),
                facts=tuple((said(name), value, False) for name, value in agreed),
            ),
            documents_section(content["documents"], said),
            order_section(receipt["order"], receipt["openings"], said),
            Section(heading=said("evidence"), facts=tuple((said(name), value, True) for name, value in evidence)),
            *closing_sections(receipt, said),
        ),
    )


def about_program_page(receipt: Mapping[str, Any]) -> Said:
    """What the page of the framework agreement said; nobody was shown the order."""
    return about_framework_page(receipt["framework"], receipt["issuer"])


def _accepted(act: Mapping[str, Any], agreement: Mapping[str, Any], said: Words) -> tuple[tuple[str, str], ...]:
    """Who accepted the *agreement*, when, how, and up to what."""
    content, limit = act["presentation"]["content"], agreement["limit"]
    return (
        ("by", named_person(act["openings"], ACTOR, said)),
        ("authority", said("appointed" if content["authority"] == "appointed" else "self_declared")),
        ("framework_accepted", act["acceptance"]["recorded_at"]),
        ("limit", said("no_limit") if limit is None else f"{limit['amount']} {limit['currency']}"),
        ("button", content["button_label"]),
        ("level", said("level_is")),
    )


def _ticked(act: Mapping[str, Any]) -> tuple[str, ...]:
    statements, ticked = act["presentation"]["content"]["statements"], act["acceptance"]["ticked"]
    return tuple(each["text"] for each in statements if each["id"] in ticked)
