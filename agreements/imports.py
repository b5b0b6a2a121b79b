"""Documents from a folder: `documents.json` names them and their versions, each text is a Markdown file beside it."""

from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import legal_store
from agreements.legal_model import CountryProfile, DocumentRule
from agreements.model import DocumentKind, DocumentVersion
from agreements.service import Agreements
from kernel.errors import Malformed
from kernel.ids import new_id

MANIFEST = "documents.json"


class UnusableFolder(Malformed):
    problem = "documents-folder-unusable"
    title = "These documents cannot be loaded"


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    kind: DocumentKind
    prevailing_locale: str | None = None


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `DocumentRule`; what is left out is any. It holds from the day it is loaded."""

    code: str
    name: str
    countries: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    companies: tuple[str, ...] | None = None
    currency: str | None = None
    from_minor: int | None = None
    to_minor: int | None = None


class _Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    country: str
    onerous_reference: dict[str, str] = {}
    business_reference: dict[str, str] = {}


class _Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    label: str
    locale: str
    title: str
    material: bool
    file: str
    onerous_clauses: tuple[str, ...] = ()


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    documents: tuple[_Document, ...]
    versions: tuple[_Version, ...]
    rules: tuple[_Rule, ...] = ()
    profiles: tuple[_Profile, ...] = ()


async def load_documents(session: AsyncSession, agreements: Agreements, folder: Path) -> tuple[DocumentVersion, ...]:
    """Publish what *folder* holds, all or nothing; what is there already, by its name, is left as it is.

    :raises UnusableFolder: when the manifest or a text cannot be read
    :raises LabelTaken: when a label stands for another text
    """
    manifest = _read_manifest(folder)
    for position, document in enumerate(manifest.documents, start=1):
        await agreements.define_document(
            session,
            code=document.code,
            kind=document.kind,
            position=position,
            prevailing_locale=document.prevailing_locale,
        )
    await _add_rules(session, manifest, agreements.clock.now())
    return tuple(
        [
            await agreements.publish_version(
                session,
                code=version.code,
                label=version.label,
                locale=version.locale,
                title=version.title,
                source=_read_text(folder, version.file),
                material=version.material,
                onerous_clauses=version.onerous_clauses,
            )
            for version in manifest.versions
        ]
    )


async def _add_rules(session: AsyncSession, manifest: _Manifest, now: datetime) -> None:
    there = {(row.document.code, row.name) for row in await legal_store.list_rule_rows(session)}
    documents = {document.code: document for document in await legal_store.list_documents(session)}
    for rule in manifest.rules:
        if rule.code not in documents:
            raise UnusableFolder(f"{MANIFEST}: the rule {rule.name!r} names no document of it: {rule.code}.")
        if (rule.code, rule.name) not in there:
            session.add(
                DocumentRule(
                    id=new_id(),
                    document_id=documents[rule.code].id,
                    name=rule.name,
                    countries=_listed(rule.countries),
                    categories=_listed(rule.categories),
                    companies=_listed(rule.companies),
                    currency=rule.currency,
                    from_minor=rule.from_minor,
                    to_minor=rule.to_minor,
                    starts_at=now,
                    version=1,
                )
            )
    for profile in manifest.profiles:
        if await legal_store.find_profile(session, profile.country) is None:
            session.add(CountryProfile(**msgspec.structs.asdict(profile), version=1))
    await session.flush()


def _listed(codes: tuple[str, ...] | None) -> list[str] | None:
    return None if codes is None else sorted(codes)


def _read_manifest(folder: Path) -> _Manifest:
    try:
        return msgspec.json.decode(_read_text(folder, MANIFEST), type=_Manifest)
    except msgspec.DecodeError as error:
        raise UnusableFolder(f"{MANIFEST}: {error}") from error


def _read_text(folder: Path, name: str) -> str:
    if Path(name).name != name:
        raise UnusableFolder(f"{name!r} must be the name of a file in the folder itself.")
    try:
        return (folder / name).read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableFolder(f"{name} cannot be read as UTF-8 text: {error}") from error
