"""Documents from a folder: `documents.json` names them and their versions, each text is a Markdown file beside it."""

from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.model import DocumentKind, DocumentVersion
from agreements.service import Agreements
from kernel.errors import Malformed

MANIFEST = "documents.json"


class UnusableFolder(Malformed):
    problem = "documents-folder-unusable"
    title = "These documents cannot be loaded"


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    kind: DocumentKind
    countries: tuple[str, ...] | None


class _Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    label: str
    locale: str
    title: str
    material: bool
    file: str


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    documents: tuple[_Document, ...]
    versions: tuple[_Version, ...]


async def load_documents(session: AsyncSession, agreements: Agreements, folder: Path) -> tuple[DocumentVersion, ...]:
    """Publish what *folder* holds, all or nothing; what is published already is left as it is.

    :raises UnusableFolder: when the manifest or a text cannot be read
    :raises LabelTaken: when a label stands for another text
    """
    manifest = _read_manifest(folder)
    for position, document in enumerate(manifest.documents, start=1):
        await agreements.define_document(
            session, code=document.code, kind=document.kind, position=position, countries=document.countries
        )
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
            )
            for version in manifest.versions
        ]
    )


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
