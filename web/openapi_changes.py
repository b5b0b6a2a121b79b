"""What changed between two OpenAPI documents, and whether a program written for the older one would break.

`python -m web.openapi check` compares the code's document with the one last released (`openapi/versions`) and fails at
a break that `openapi/releases.toml` does not declare with its reason. openapi/CHANGELOG.md is made from the same
comparison, release by release, so it cannot say anything else than what was done.

No program is at hand that compares documents of OpenAPI 3.1; this reads what ours use of it, and refuses the rest.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from web.api.document import COMMITTED

FOLDER: Final = COMMITTED.parent
RELEASES: Final = FOLDER / "releases.toml"
CHANGELOG: Final = FOLDER / "CHANGELOG.md"
Json = dict[str, Any]
TEXTS: Final = {"title", "description", "summary", "examples", "example"}
LOWER_BOUNDS: Final = ("minimum", "minLength", "minItems")
UPPER_BOUNDS: Final = ("maximum", "maxLength", "maxItems")
COMPARED: Final = {
    "$ref", "type", "enum", "const", "format", "pattern", "multipleOf", "default", "properties", "required", "items",
    "anyOf", "oneOf", "discriminator", "additionalProperties", *LOWER_BOUNDS, *UPPER_BOUNDS,
}  # fmt: skip


class Change(NamedTuple):
    """One thing that differs. *text* begins with the operation, `POST /api/v1/quotes: ...`."""

    text: str
    breaks: bool


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that partners were given, and when; its bytes stand in `versions/VERSION.json`."""

    version: str
    date: date


class Break(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A break on purpose: *change* as the comparison words it, in which release, and why partners must bear it."""

    release: str
    change: str
    reason: str


class Releases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """releases.toml, oldest release first."""

    release: list[Release]
    breaking: list[Break] = []


def read_releases(path: Path = RELEASES) -> Releases:
    """:raises msgspec.ValidationError: naming what is wrong in the file"""
    return msgspec.convert(tomllib.loads(path.read_text()), Releases)


def release(document: bytes, version: str, on: str, *, path: Path = RELEASES) -> list[str]:
    """Keep *document* as what partners are given from day *on*; what stands against it otherwise."""
    if version in {each.version for each in read_releases(path).release}:
        return [f"{version} was released before: set VERSION in web/openapi.py to a higher one"]
    (path.parent / "versions" / f"{version}.json").write_bytes(document)
    lines = path.read_text().splitlines()
    last = max(at for at, line in enumerate(lines) if line.startswith("date = "))
    added = ["", "[[release]]", f'version = "{version}"', f"date = {on}"]
    path.write_text("\n".join([*lines[: last + 1], *added, *lines[last + 1 :], ""]))
    return []


# --- Comparing ---


def compare(before: Json, after: Json) -> list[Change]:
    """Say what differs, breaks first, otherwise in the order of the addresses.

    :raises ValueError: when a schema uses a keyword that this does not know how to compare
    """
    found = list(dict.fromkeys([*_paths(before, after), *_hooks(before, after)]))
    return [each for each in found if each.breaks] + [each for each in found if not each.breaks]


def _paths(before: Json, after: Json) -> Iterator[Change]:
    for path in sorted({*before["paths"], *after["paths"]}):
        old, new = before["paths"].get(path, {}), after["paths"].get(path, {})
        for method in sorted({*old, *new}):
            name = f"{method.upper()} {path}"
            if method not in new:
                yield Change(f"{name}: is gone", breaks=True)
            elif method not in old:
                yield Change(f"{name}: is new", breaks=False)
            else:
                for change in _operation(old[method], new[method], _Schemas(before, after)):
                    yield Change(f"{name}: {change.text}", change.breaks)


def _hooks(before: Json, after: Json) -> Iterator[Change]:
    """A webhook's body is read by a client, as an answer is."""
    told, tells = before.get("webhooks", {}), after.get("webhooks", {})
    for hook in sorted({*told, *tells}):
        name = f"webhook {hook}"
        if hook not in tells:
            yield Change(f"{name}: is gone", breaks=True)
        elif hook not in told:
            yield Change(f"{name}: is new", breaks=False)
        else:
            old, new = (one[hook]["post"]["requestBody"]["content"] for one in (told, tells))
            for change in _contents(old, new, _Schemas(before, after), "the body", asked=False):
                yield Change(f"{name}: {change.text}", change.breaks)


def _operation(old: Json, new: Json, schemas: "_Schemas") -> Iterator[Change]:
    if bool(new.get("deprecated")) != bool(old.get("deprecated")):
        yield Change(f"is {'deprecated' if new.get('deprecated') else 'no longer deprecated'}", breaks=False)
    keys = [bool(each.get("security")) and {} not in each["security"] for each in (old, new)]
    if keys == [False, True]:
        yield Change("now needs an API key", breaks=True)
    if keys == [True, False]:
        yield Change("no longer needs an API key", breaks=False)
    yield from _parameters(old, new, schemas)
    taken, takes = old.get("requestBody"), new.get("requestBody")
    if takes and not taken:
        yield Change("takes a body", breaks=bool(takes.get("required")))
    elif taken and not takes:
        yield Change("takes no body any more", breaks=True)
    elif taken and takes:
        yield from _contents(taken["content"], takes["content"], schemas, "the body", asked=True)
    for status in sorted({*old["responses"], *new["responses"]}):
        answered, answers = old["responses"].get(status), new["responses"].get(status)
        if answers is None:
            yield Change(f"never answers {status} any more", breaks=status.startswith("2"))
        elif answered is None:
            yield Change(f"may answer {status}", breaks=status.startswith("2"))
        else:
            where = f"the answer {status}"
            yield from _headers(answered.get("headers", {}), answers.get("headers", {}), schemas, where)
            yield from _contents(answered.get("content", {}), answers.get("content", {}), schemas, where, asked=False)


def _parameters(old: Json, new: Json, schemas: "_Schemas") -> Iterator[Change]:
    before, after = ({(each["in"], each["name"]): each for each in one.get("parameters", [])} for one in (old, new))
    for kind, name in sorted({*before, *after}):
        was, now = before.get((kind, name)), after.get((kind, name))
        said = f"{kind} parameter {name}"
        if now is None:
            yield Change(f"{said}: is no longer taken", breaks=True)
        elif was is None:
            must = bool(now.get("required"))
            yield Change(f"{said}: {'must be sent' if must else 'may be sent'}", breaks=must)
        else:
            if bool(was.get("required")) != bool(now.get("required")):
                must = bool(now.get("required"))
                yield Change(f"{said}: {'must be sent' if must else 'may be left out'}", breaks=must)
            yield from schemas.compare(was["schema"], now["schema"], said, asked=True)


def _headers(old: Json, new: Json, schemas: "_Schemas", where: str) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        said = f"{where}, header {name}"
        if name not in new:
            yield Change(f"{said}: is gone", breaks=True)
        elif name not in old:
            yield Change(f"{said}: is new", breaks=False)
        else:
            yield from schemas.compare(old[name]["schema"], new[name]["schema"], said, asked=False)


def _contents(old: Json, new: Json, schemas: "_Schemas", where: str, *, asked: bool) -> Iterator[Change]:
    for media in sorted({*old, *new}):
        if media not in new:
            yield Change(f"{where}: is no longer {media}", breaks=True)
        elif media not in old:
            yield Change(f"{where}: may be {media}", breaks=False)
        else:
            yield from schemas.compare(old[media]["schema"], new[media]["schema"], where, asked=asked)


class _Schemas:
    """Compares schemas of the two documents, following references; a pair is looked at once a place."""

    def __init__(self, before: Json, after: Json) -> None:
        self._before, self._after = (one.get("components", {}).get("schemas", {}) for one in (before, after))
        self._open: set[tuple[str, str]] = set()

    def compare(self, old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
        """*asked*: a client sends it, so what is narrower breaks; else a client reads it, so what is wider breaks."""
        pair = old.get("$ref", ""), new.get("$ref", "")
        if all(pair):
            if pair in self._open:
                return
            self._open.add(pair)
        try:
            yield from self._resolved(_resolve(old, self._before), _resolve(new, self._after), where, asked=asked)
        finally:
            self._open.discard(pair)

    def _resolved(self, old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
        for schema in (old, new):
            unknown = schema.keys() - COMPARED - TEXTS
            if unknown:
                raise ValueError(f"{where}: web/openapi_changes.py cannot compare {sorted(unknown)}")
        if old == new and "$ref" not in json.dumps(old):
            return
        before, after = _branches(old, self._before), _branches(new, self._after)
        if len(before) > 1 or len(after) > 1:
            yield from self._either(before, after, where, asked=asked)
            return
        if old.get("type") != new.get("type"):
            yield Change(f"{where}: is {_kind(new)} instead of {_kind(old)}", breaks=True)
            return
        yield from _values(old, new, where, asked=asked)
        yield from _forms(old, new, where, asked=asked)
        yield from _bounds(old, new, where, asked=asked)
        if "items" in old and "items" in new:
            yield from self.compare(old["items"], new["items"], f"{where}[]", asked=asked)
        yield from self._members(old, new, where, asked=asked)

    def _either(self, old: Mapping[str, Json], new: Mapping[str, Json], where: str, *, asked: bool) -> Iterator[Change]:
        for kind in sorted({*old, *new}):
            if kind not in new:
                yield Change(f"{where}: is never {kind} any more", breaks=asked)
            elif kind not in old:
                yield Change(f"{where}: may be {kind}", breaks=not asked)
            else:
                yield from self._resolved(old[kind], new[kind], where, asked=asked)

    def _members(self, old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        had, has = set(old.get("required", [])), set(new.get("required", []))
        for name in sorted({*before, *after}):
            said = f"{where}.{name}"
            if name not in after:
                yield Change(f"{said}: is gone", breaks=True)
            elif name not in before:
                must = asked and name in has
                yield Change(f"{said}: {'must be sent' if must else 'is new'}", breaks=must)
            else:
                if name in has - had:
                    yield Change(f"{said}: {'must be sent' if asked else 'is always there'}", breaks=asked)
                if name in had - has:
                    yield Change(f"{said}: {'may be left out' if asked else 'may be missing'}", breaks=not asked)
                yield from self.compare(before[name], after[name], said, asked=asked)


def _values(old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
    had, has = _enumerated(old), _enumerated(new)
    if had is not None and has is not None:
        for value in sorted({*had, *has}):
            if value not in has:
                yield Change(f"{where}: is never {value} any more", breaks=asked)
            elif value not in had:
                yield Change(f"{where}: may be {value}", breaks=not asked)
    elif had is not None:
        yield Change(f"{where}: may be any {_kind(new)}", breaks=not asked)
    elif has is not None:
        yield Change(f"{where}: must be one of {', '.join(has)}", breaks=asked)


def _enumerated(schema: Json) -> list[str] | None:
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return None if values is None else [json.dumps(each) for each in values]


def _forms(old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
    """Of two patterns nobody can say which takes more, so another one breaks."""
    for keyword in ("pattern", "format", "multipleOf"):
        was, now = old.get(keyword), new.get(keyword)
        if was == now:
            continue
        if was is None:
            yield Change(f"{where}: keeps to the {keyword} {now}", breaks=asked)
        elif now is None:
            yield Change(f"{where}: keeps to no {keyword} any more", breaks=not asked)
        else:
            yield Change(f"{where}: keeps to the {keyword} {now} instead of {was}", breaks=True)


def _bounds(old: Json, new: Json, where: str, *, asked: bool) -> Iterator[Change]:
    for keyword in (*LOWER_BOUNDS, *UPPER_BOUNDS):
        was, now = old.get(keyword), new.get(keyword)
        if was == now:
            continue
        wider = now is None or (was is not None and (now < was if keyword in LOWER_BOUNDS else now > was))
        said = "none" if now is None else now
        yield Change(f"{where}: {keyword} is {said} instead of {'none' if was is None else was}", wider != asked)
    if old.get("additionalProperties", True) is not new.get("additionalProperties", True):
        closed = new.get("additionalProperties", True) is False
        text = "takes no unknown members" if closed else "may have unknown members"
        yield Change(f"{where}: {text}", closed == asked)


def _resolve(schema: Json, schemas: Json) -> Json:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _branches(schema: Json, schemas: Json) -> dict[str, Json]:
    """What the schema allows, each under a name that holds from document to document."""
    found = {}
    for part in schema.get("anyOf") or schema.get("oneOf") or [schema]:
        branch = _resolve(part, schemas)
        if "anyOf" in branch or "oneOf" in branch:
            found.update(_branches(branch, schemas) if branch is not schema else {})
        else:
            found[_branch_name(branch, schema.get("discriminator"))] = branch
    return found


def _branch_name(branch: Json, discriminator: Json | None) -> str:
    if discriminator is not None:
        values = branch["properties"][discriminator["propertyName"]].get("enum", ["?"])
        return f"{discriminator['propertyName']} {values[0]}"
    return _kind(branch)


def _kind(schema: Json) -> str:
    if "type" in schema:
        return str(schema["type"])
    return "value" if "enum" not in schema else "one of a list"


# --- The changelog ---


def changelog(current: Json, releases: Releases, *, folder: Path = FOLDER) -> str:
    """Return openapi/CHANGELOG.md: what each release changed, and what *current* will."""
    said = [
        "# What changed in the API",
        "",
        "Made by `python -m web.openapi write` from the documents in [versions](versions) and the one of today; the",
        "check fails when it is not what they say. A change marked as breaking asks partners to change their programs:",
        "it is declared with its reason in [releases.toml](releases.toml), or the build fails.",
        "",
    ]
    steps = list(_steps(current, releases, folder))
    for version, on, changes in reversed(steps):
        said += [f"## {version}, {on}", ""]
        if changes is None:
            said += ["The first release.", ""]
            continue
        reasons = {each.change: each.reason for each in releases.breaking if each.release == version}
        for heading, breaks in (("### Breaking", True), ("### Compatible", False)):
            lines = list(_lines([each for each in changes if each.breaks is breaks], reasons))
            if lines:
                said += [heading, "", *lines, ""]
        if not changes:
            said += ["Nothing that a program would notice.", ""]
    return "\n".join(said)


def _lines(changes: Sequence[Change], reasons: Mapping[str, str]) -> Iterator[str]:
    """What was done to several operations alike is said once, with their names."""
    alike: dict[tuple[str, str | None], list[str]] = {}
    for change in changes:
        name, _, what = change.text.partition(": ")
        alike.setdefault((what, reasons.get(change.text)), []).append(name)
    for (what, reason), names in alike.items():
        if len(names) == 1:
            yield f"- `{names[0]}`: {what}"
        else:
            yield f"- {what}:"
            yield from (f"  - `{name}`" for name in names)
        if reason is not None:
            yield f"  Why: {reason}"


def _steps(current: Json, releases: Releases, folder: Path) -> Iterator[tuple[str, str, list[Change] | None]]:
    before: Json | None = None
    for release in releases.release:
        after = _version(release.version, folder)
        yield release.version, f"{release.date:%-d %B %Y}", None if before is None else compare(before, after)
        before = after
    if before is None or json.dumps(before, sort_keys=True) != json.dumps(current, sort_keys=True):
        version = current["info"]["version"]
        yield version, "not yet released", None if before is None else compare(before, current)


def _version(version: str, folder: Path) -> Json:
    found: Json = json.loads((folder / "versions" / f"{version}.json").read_bytes())
    return found


def faults(current: Json, releases: Releases, *, folder: Path = FOLDER) -> Iterator[str]:
    """Say which breaks are not declared, which declarations name no break, and whether the version must move on."""
    breaks = {
        (version, change.text)
        for version, _, changes in _steps(current, releases, folder)
        for change in changes or ()
        if change.breaks
    }
    declared = {(each.release, each.change) for each in releases.breaking}
    for version, text in sorted(breaks - declared):
        yield (
            f"this would break partners' programs: {text}. Undo it, or declare it in openapi/releases.toml under "
            f"[[breaking]] with release = {version!r}, this text as change, and a reason"
        )
    for version, text in sorted(declared - breaks):
        yield f"openapi/releases.toml declares for {version} what is no break, or not there: {text}"
    version, released = current["info"]["version"], [each.version for each in releases.release]
    last = _version(released[-1], folder) if released else None
    if last is not None and last != current and _number(version) <= _number(released[-1]):
        yield f"the API has changed since {released[-1]}: set VERSION in web/openapi.py to a higher one"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
