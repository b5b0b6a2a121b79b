"""What is kept of how the step looked: by the template's digest, never changed, never served when it was."""

from pathlib import Path

import pytest

from agreements.renderings import Rendering, Renderings

DIGEST = "sha256:" + "a" * 64


def keep(kept: Renderings, content: bytes = b"a picture", **more: str | int) -> Rendering:
    given = {"channel": "web", "locale": "en", "width": 1280, "form": "png", **more}
    return kept.keep(
        DIGEST,
        content=content,
        stylesheet_digest="sha256:" + "b" * 64,
        captured_at="2026-11-22T12:00:00+00:00",
        **given,  # type: ignore[arg-type] # a mapping of their values
    )


def test_a_rendering_is_found_by_digest_and_language(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    keep(kept)
    keep(kept, locale="es", width=320)

    assert [each.name for each in kept.find(DIGEST)] == ["web-en-1280.png", "web-es-320.png"]
    assert [each.name for each in kept.find(DIGEST, "es")] == ["web-es-320.png"]
    assert kept.find("sha256:" + "c" * 64) == []
    found = kept.read(DIGEST, "web-en-1280.png")
    assert found is not None
    assert (found[0].media_type, found[1]) == ("image/png", b"a picture")


def test_what_is_kept_under_a_name_stays(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    first = keep(kept)

    assert keep(kept, b"another picture") == first
    assert (kept.read(DIGEST, first.name) or (None, b""))[1] == b"a picture"


def test_a_changed_file_is_not_served(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    name = keep(kept).name
    (tmp_path / ("a" * 64) / name).write_bytes(b"forged")

    assert kept.read(DIGEST, name) is None


@pytest.mark.parametrize("name", ["../manifest.json", "manifest.json", "web-en-1280.html", ""])
def test_only_listed_names_are_read(tmp_path: Path, name: str) -> None:
    kept = Renderings(tmp_path)
    keep(kept)

    assert kept.read(DIGEST, name) is None
    assert kept.find("sha256:../../etc") == []


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name"):
        keep(Renderings(tmp_path), channel="../web")


def test_what_a_step_should_have_and_has_not_is_named(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    for form in ("png", "html"):
        keep(kept, form=form)
    keep(kept, width=320)
    assert kept.missing(DIGEST, ["en"]) == ["web-en-320.html"]

    keep(kept, width=320, form="html")
    assert kept.missing(DIGEST, ["en"]) == []
    assert len(kept.missing(DIGEST, ["en", "es"])) == 4

    (tmp_path / ("a" * 64) / "web-en-320.png").write_bytes(b"forged")
    assert kept.missing(DIGEST, ["en"]) == ["web-en-320.png"]


def test_templates_are_listed_with_the_last_captured_first(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    assert kept.list_templates() == []
    keep(kept)
    newer = "sha256:" + "0" * 64
    kept.keep(
        newer,
        channel="web",
        locale="en",
        width=320,
        form="png",
        content=b"a picture",
        stylesheet_digest="sha256:" + "b" * 64,
        captured_at="2026-11-23T12:00:00+00:00",
    )
    (tmp_path / "notes").mkdir()

    assert kept.list_templates() == [newer, DIGEST]


def test_what_programs_are_shown_is_kept_beside_the_pictures_and_missed(tmp_path: Path) -> None:
    kept = Renderings(tmp_path)
    made = keep(kept, b"{}", channel="api", width=0, form="json")

    assert (made.name, made.media_type) == ("api-en.json", "application/json")
    assert (kept.read(DIGEST, "api-en.json") or (None, b""))[1] == b"{}"
    missed = kept.missing(DIGEST, ("en", "es"), programs=True)
    assert [name for name in missed if name.startswith("api")] == ["api-es.json"]
    assert len(missed) == len(kept.missing(DIGEST, ("en", "es"))) + 1
