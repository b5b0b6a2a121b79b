"""What the receipt of a program's order says to people: the framework agreement it rests on, and the order."""

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


def about_program_order(receipt: Mapping[str, Any], *, number: str | None = None, locale: str | None = None) -> Said:
    """The receipt as a document: parties, the agreement and who accepted it, documents, order, evidence."""
    framework, citation = receipt["framework"], receipt["citation"]
    content, acceptance = framework["presentation"]["content"], framework["acceptance"]
    said = Words(locale or content["locale"])
    limit = framework["agreement"]["limit"]
    parties = (
        ("seller", receipt["issuer"]),
        ("buyer", content["company_name"]),
        ("channel", said(f"channel_{citation['channel']}")),
        ("placed", citation["recorded_at"]),
    )
    agreed = (
        ("by", named_person(framework["openings"], ACTOR, said)),
        ("authority", said("appointed" if content["authority"] == "appointed" else "self_declared")),
        ("framework_accepted", acceptance["recorded_at"]),
        ("limit", said("no_limit") if limit is None else f"{limit['amount']} {limit['currency']}"),
        ("button", content["button_label"]),
        ("level", said("level_is")),
    )
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
                points=tuple(each["text"] for each in content["statements"] if each["id"] in acceptance["ticked"]),
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
    framework = receipt["framework"]
    said = Words(framework["presentation"]["content"]["locale"])
    return Said(
        language=said.language,
        title=said("page_title"),
        issuer=receipt["issuer"],
        recorded_at=framework["acceptance"]["recorded_at"],
        sections=shown_sections(framework, said),
    )
