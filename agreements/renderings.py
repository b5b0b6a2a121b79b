"""How the step looked: pictures and pages of it, kept by the digest of the template that made them.

The browser tests capture them (`make renderings`), for each channel, language and width of screen. A presentation names
its template's digest and its language, so that its renderings are found from any receipt, years later. What is kept
under a name never changes: a template that looks different has another digest.
"""

import hashlib
import itertools
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from kernel.canonical import canonical_json

MANIFEST: Final = "manifest.json"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
NAME: Final = re.compile(r"[a-z]+-[a-z]{2}(-\d{2,4}\.(png|html)|\.json)")
MEDIA_TYPES: Final = {"png": "image/png", "html": "text/html"}
DATA_TYPES: Final = {"json": "application/json"}
CHANNEL: Final = "web"
PROGRAMS: Final = "api"
"""The channel of what programs are shown: data, without a width."""
WIDTHS: Final = (1280, 320)
"""Of the screens on which every step is captured, in CSS pixels."""


class Rendering(msgspec.Struct, frozen=True, kw_only=True):
    """One picture or page, as the manifest lists it."""

    name: str
    """`web-en-1280.png`: channel, language, width in CSS pixels; `api-en.json`: what programs are shown."""
    channel: str
    locale: str
    width: int
    """0 of what has none."""
    sha256: str
    stylesheet_digest: str
    captured_at: str

    @property
    def media_type(self) -> str:
        return (MEDIA_TYPES | DATA_TYPES)[self.name.rpartition(".")[2]]


class Renderings:
    """Kept below *folder*, a directory for each template's digest with a manifest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        template_digest: str,
        *,
        channel: str,
        locale: str,
        width: int = 0,
        form: str,
        content: bytes,
        stylesheet_digest: str,
        captured_at: str,
    ) -> Rendering:
        """Keep *content* unless a rendering of this name is there already, which then stays."""
        name = f"{channel}-{locale}-{width}.{form}" if width else f"{channel}-{locale}.{form}"
        place = self._place(template_digest)
        listed = {each.name: each for each in self._listed(place)}
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name} is no name of a rendering")
        if name not in listed:
            place.mkdir(parents=True, exist_ok=True)
            _write(place / name, content)
            listed[name] = Rendering(
                name=name,
                channel=channel,
                locale=locale,
                width=width,
                sha256="sha256:" + hashlib.sha256(content).hexdigest(),
                stylesheet_digest=stylesheet_digest,
                captured_at=captured_at,
            )
            _write(place / MANIFEST, canonical_json([msgspec.to_builtins(listed[each]) for each in sorted(listed)]))
        return listed[name]

    def find(self, template_digest: str, locale: str | None = None) -> list[Rendering]:
        """Those of a template, or of it in one language; none where nobody captured any."""
        if DIGEST.fullmatch(template_digest) is None:
            return []
        found = self._listed(self._place(template_digest))
        return [each for each in found if locale in {None, each.locale}]

    def missing(self, template_digest: str, locales: Sequence[str], *, programs: bool = False) -> list[str]:
        """Which of the pictures and pages that each step has, in every language and width, were not captured.

        :param programs: programs are shown something of this step too
        """
        kept = {each.name for each in self.find(template_digest) if self.read(template_digest, each.name) is not None}
        wanted = itertools.product(locales, WIDTHS, sorted(MEDIA_TYPES))
        names = [f"{CHANNEL}-{locale}-{width}.{form}" for locale, width, form in wanted]
        names += [f"{PROGRAMS}-{locale}.{form}" for locale in locales for form in DATA_TYPES if programs]
        return [name for name in names if name not in kept]

    def list_templates(self) -> list[str]:
        """Digests of all templates of which something was captured; the last captured first."""
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        digests = sorted(f"sha256:{place.name}" for place in places)
        newest = {each: max((kept.captured_at for kept in self.find(each)), default="") for each in digests}
        return sorted((each for each in digests if newest[each]), key=lambda each: newest[each], reverse=True)

    def read(self, template_digest: str, name: str) -> tuple[Rendering, bytes] | None:
        """A rendering with its bytes, if they are still those that were captured."""
        found = next((each for each in self.find(template_digest) if each.name == name), None)
        if found is None:
            return None
        content = (self._place(template_digest) / found.name).read_bytes()
        if "sha256:" + hashlib.sha256(content).hexdigest() != found.sha256:
            return None
        return found, content

    def _place(self, template_digest: str) -> Path:
        if DIGEST.fullmatch(template_digest) is None:
            raise ValueError(f"{template_digest} is no digest of a template")
        return self._folder / template_digest.removeprefix("sha256:")

    def _listed(self, place: Path) -> list[Rendering]:
        try:
            return msgspec.json.decode((place / MANIFEST).read_bytes(), type=list[Rendering])
        except FileNotFoundError:
            return []


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
