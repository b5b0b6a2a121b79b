import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from agreements import legal_store
from agreements.documents import UnusableSource, render, summary_html, text_sha256
from agreements.imports import UnusableFolder, load_documents
from agreements.model import DocumentKind
from agreements.service import Agreements, DocumentNotFound, LabelTaken
from kernel.clock import FixedClock
from kernel.db import Database, for_staff, for_visitor
from tests.agreements.conftest import DEMO_DOCUMENTS

TEXT = "# Terms\n\n## In short\n\n- **Price**: fixed.\n\n## 1. Scope\n\nAll orders.\n"


def test_html_in_a_source_stays_text_and_a_script_link_is_no_link() -> None:
    html = render(TEXT + '<script>alert(1)</script> <b onclick="x">b</b> [go](javascript:alert(1))\n')

    assert "<script" not in html
    assert "<b " not in html
    assert "&lt;script&gt;" in html
    assert 'href="javascript' not in html


def test_the_summary_is_the_first_section() -> None:
    assert summary_html(TEXT) == "<ul>\n<li><strong>Price</strong>: fixed.</li>\n</ul>\n"


@pytest.mark.parametrize(
    "source", ["", "no title", "# Only a title\n", TEXT + "\x00", TEXT + "\r", TEXT + "x" * 500_001]
)
def test_a_text_that_is_no_document_is_refused(source: str) -> None:
    with pytest.raises(UnusableSource):
        render(source)


async def test_the_demo_documents_are_published_in_both_languages_with_true_digests(
    published: Database, agreements: Agreements
) -> None:
    async with published.begin(for_visitor()) as session:
        for locale in ("en", "es"):
            versions = await agreements.required(session, "DE", locale)
            assert [(v.document.code, v.label, v.locale) for v in versions] == [
                ("master-terms", "3.1", locale),
                ("data-processing", "2.0", locale),
                ("privacy-notice", "1.4", locale),
            ]
            for named in versions:
                version = await agreements.version(session, named.document.code, named.label, named.locale)
                assert (named.source_sha256, named.html_sha256) == (version.source_sha256, version.html_sha256)
                assert version.source_sha256 == text_sha256(version.source_markdown)
                assert version.html_sha256 == text_sha256(version.rendered_html)
                assert version.rendered_html == render(version.source_markdown)
                assert "<li>" in version.summary_html
                assert "Meridian Industrial Supply S.L." in version.rendered_html


async def test_loading_a_folder_again_changes_nothing_and_another_text_under_a_label_is_refused(
    published: Database, agreements: Agreements, tmp_path: Path
) -> None:
    async with published.begin(for_staff()) as session:
        before = await load_documents(session, agreements, DEMO_DOCUMENTS)
        again = await load_documents(session, agreements, DEMO_DOCUMENTS)
    assert [version.id for version in again] == [version.id for version in before]
    folder = tmp_path / "documents"
    shutil.copytree(DEMO_DOCUMENTS, folder)
    text = folder / "privacy-notice-1.4.es.md"
    text.write_text(text.read_text(encoding="utf-8") + "\nUna frase más.\n", encoding="utf-8")

    with pytest.raises(LabelTaken, match=r"privacy-notice v1\.4 \(es\)"):
        async with published.begin(for_staff()) as session:
            await load_documents(session, agreements, folder)


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", '{"documents": [], "versions": [], "more": 1}'],
)
async def test_a_folder_with_a_broken_manifest_is_refused(
    published: Database, agreements: Agreements, tmp_path: Path, manifest: str
) -> None:
    (tmp_path / "documents.json").write_text(manifest)
    with pytest.raises(UnusableFolder):
        async with published.begin(for_staff()) as session:
            await load_documents(session, agreements, tmp_path)


async def test_a_manifest_cannot_name_a_file_outside_its_folder(
    published: Database, agreements: Agreements, tmp_path: Path
) -> None:
    manifest = json.loads((DEMO_DOCUMENTS / "documents.json").read_text())
    manifest["versions"][0]["file"] = "../secret.md"
    (tmp_path / "documents.json").write_text(json.dumps(manifest))

    with pytest.raises(UnusableFolder, match="in the folder itself"):
        async with published.begin(for_staff()) as session:
            await load_documents(session, agreements, tmp_path)


async def test_a_withdrawn_label_stays_taken_and_readable_and_is_asked_for_no_more(
    published: Database, agreements: Agreements, clock: FixedClock
) -> None:
    async with published.begin(for_staff()) as session:
        await agreements.withdraw_version(session, code="data-processing", label="2.0", locale="en")
        await agreements.withdraw_version(session, code="data-processing", label="2.0", locale="es")
    clock.advance(seconds=1)

    async with published.begin(for_staff()) as session:
        codes = [version.document.code for version in await agreements.required(session, "ES", "en")]
        assert codes == ["master-terms", "privacy-notice"]
        assert (await agreements.version(session, "data-processing", "2.0", "en")).withdrawn_at is not None
        with pytest.raises(LabelTaken):
            await agreements.publish_version(
                session, code="data-processing", label="2.0", locale="en", title="DPA", source=TEXT, material=True
            )


async def test_a_version_is_asked_for_from_its_effective_date_on(
    published: Database, agreements: Agreements, clock: FixedClock
) -> None:
    async with published.begin(for_staff()) as session:
        await agreements.publish_version(
            session,
            code="master-terms",
            label="4.0",
            locale="en",
            title="Master Terms of Sale",
            source=TEXT,
            material=True,
            effective_at=clock.now() + timedelta(days=30),
        )

    async with published.begin(for_visitor()) as session:
        assert (await agreements.required(session, "DE", "en"))[0].label == "3.1"
        clock.advance(days=30)
        assert (await agreements.required(session, "DE", "en"))[0].label == "4.0"
        spanish = (await agreements.required(session, "DE", "es"))[0]
        assert (spanish.label, spanish.locale) == ("4.0", "en")


async def test_a_document_can_be_asked_for_in_some_countries_only(published: Database, agreements: Agreements) -> None:
    async with published.begin(for_staff()) as session:
        (rule,) = [row for row in await legal_store.list_rule_rows(session) if row.document.code == "data-processing"]
        rule.countries = ["DE", "FR"]
    async with published.begin(for_visitor()) as session:
        assert len(await agreements.required(session, "DE", "en")) == 3
        assert len(await agreements.required(session, "ES", "en")) == 2


async def test_kinds_never_change_and_unknown_documents_have_no_versions(
    published: Database, agreements: Agreements
) -> None:
    async with published.begin(for_staff()) as session:
        with pytest.raises(LabelTaken, match="is a document to agree"):
            await agreements.define_document(session, code="master-terms", kind=DocumentKind.ACKNOWLEDGE, position=1)
        with pytest.raises(DocumentNotFound):
            await agreements.publish_version(
                session, code="absent", label="1", locale="en", title="Absent", source=TEXT, material=False
            )
        with pytest.raises(DocumentNotFound):
            await agreements.version(session, "master-terms", "9.9", "en")
