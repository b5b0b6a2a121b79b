"""What orders may be asked for at an instant: the published versions without their texts, and the rules.

Each is asked while a buyer waits, to show the step and again to accept it. So one statement finds both, as JSON: rows
that are mapped one by one take five times as long, and there are more of them with each version.
"""

import uuid
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.model import DocumentKind
from agreements.rules import Rule

FOUND: Final = """
    cast(json_build_object(
        'versions', (
            SELECT coalesce(json_agg(json_build_object(
                'id', v.id, 'label', v.label, 'locale', v.locale, 'title', v.title,
                'source_sha256', v.source_sha256, 'html_sha256', v.html_sha256, 'material', v.material,
                'effective_at', v.effective_at, 'onerous_clauses', v.onerous_clauses,
                'document', json_build_object(
                    'code', d.code, 'kind', d.kind, 'prevailing_locale', d.prevailing_locale
                )
            ) ORDER BY d.position, d.code, v.effective_at DESC, v.published_at DESC, v.id DESC), '[]')
            FROM document_version v JOIN document d ON d.id = v.document_id
            WHERE v.effective_at <= :at AND v.published_at <= :at AND (v.withdrawn_at IS NULL OR v.withdrawn_at > :at)
        ),
        'rules', (
            SELECT coalesce(json_agg(json_build_object(
                'id', r.id, 'document', d.code, 'name', r.name, 'starts_at', r.starts_at, 'ends_at', r.ends_at,
                'countries', r.countries, 'categories', r.categories, 'companies', r.companies,
                'currency', r.currency, 'from_minor', r.from_minor, 'to_minor', r.to_minor
            ) ORDER BY d.position, d.code, r.name, r.id), '[]')
            FROM document_rule r JOIN document d ON d.id = r.document_id
        )
    ) AS text)
"""
"""What is in force at `:at`, for a statement that finds more; `read` takes it."""
_FIND: Final = text(f"SELECT {FOUND}")


class NamedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """As `agreements.model.Document`."""

    code: str
    kind: DocumentKind
    prevailing_locale: str | None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A published version without its text; as `agreements.model.DocumentVersion`."""

    id: uuid.UUID
    label: str
    locale: str
    title: str
    source_sha256: str
    html_sha256: str
    material: bool
    effective_at: datetime
    onerous_clauses: tuple[str, ...]
    document: NamedDocument


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """*versions*: all that may be presented, by document, the latest first. *rules*: by document, then by name, those
    of other times too.
    """

    versions: tuple[Version, ...]
    rules: tuple[Rule, ...]


_decoder: Final = msgspec.json.Decoder(InForce)


def read(found: str) -> InForce:
    return _decoder.decode(found)


async def find_in_force(session: AsyncSession, at: datetime) -> InForce:
    return read(await session.scalar(_FIND, {"at": at}))
