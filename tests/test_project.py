"""Guards over the whole tree: what one file alone can't promise."""

import base64
import hashlib
import importlib.metadata
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kernel.settings import Settings
from web.access import ROUTES
from web.app import create_app
from web.services import build

ROOT = Path(__file__).parents[1]
OURS = {
    *("kernel", "accounts", "catalog", "pricing", "agreements", "checkout", "insights", "web"),
    *("sandbox", "migrations", "benchmarks", "examples", "tests"),
}
REQUIREMENTS = ("requirements/run.txt", "requirements/dev.txt")
HASHED = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+)? \\$")
FLOORS = {
    "litestar": (2, 25, 0),  # every advisory up to November 2026: static traversal, multipart size, forwarded headers
    "stripe": (16, 1, 0),  # speaks 2026-10-28.endive
    "cryptography": (50,),
    "jinja2": (3, 1, 6),  # sandbox escapes before
    "sqlalchemy": (2, 1, 9),
    "psycopg": (3, 3, 9),
    "uvicorn": (0, 54, 0),
    "msgspec": (0, 22, 0),
    "argon2-cffi": (25, 1, 0),
    "h11": (0, 16, 0),  # chunked bodies read two ways before
}
MACHINE_PATH = re.compile(r"(?<![\w./}-])/(?:work|tmp|home|root|Users|opt)/\w")
DOWNLOAD_HOST = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|deb\.debian\.org|/simple/?(?:\s|$)", re.IGNORECASE
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def tracked(*patterns: str) -> tuple[Path, ...]:
    """The tracked files that match; the guards say nothing of a copy without git."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns], capture_output=True, check=True, text=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this copy of the project is no git repository")
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def text_lines(paths: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Place and text of every line of the files that are text."""
    for path in paths:
        data = path.read_bytes()
        if b"\0" not in data:
            for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
                yield f"{path.relative_to(ROOT)}:{number}", line


def test_no_installed_distribution_claims_one_of_our_names() -> None:
    claims = {
        f"{distribution.name}: {name}"
        for distribution in importlib.metadata.distributions()
        for file in distribution.files or ()
        if (name := file.parts[0].removesuffix(".py")) in OURS
    }

    assert claims == set()


def test_every_package_of_ours_is_one_with_an_init_file() -> None:
    """import-linter doesn't see namespace packages."""
    folders = {path.parent for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in OURS - {"migrations"}}

    assert {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()} == set()


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_pinned_with_hashes_and_name_no_download_host(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    odd = [
        line for line in lines if line and not line.startswith(("    --hash=sha256:", "#")) and not HASHED.match(line)
    ]
    assert odd == []
    assert [first for first, second in pairwise(lines) if HASHED.match(first) and "--hash=" not in second] == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_no_requirement_is_older_than_its_last_known_hole(name: str) -> None:
    pins = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([0-9.]+)", (ROOT / name).read_text(), re.MULTILINE))
    versions = {package: tuple(int(part) for part in version.split(".")) for package, version in pins.items()}

    assert {package: versions[package] for package, floor in FLOORS.items() if versions[package] < floor} == {}


def test_what_runs_is_pinned_the_same_for_running_and_for_developing() -> None:
    run, dev = (
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in REQUIREMENTS
    )

    assert {
        package: (version, dev.get(package)) for package, version in run.items() if dev.get(package) != version
    } == {}


def test_files_of_others_are_as_published() -> None:
    folder = ROOT / "web" / "static" / "vendor"
    table = re.findall(r"^\| (\S+) \|.*\| ([A-Za-z0-9+/=]{64}) \|$", (folder / "README.md").read_text(), re.MULTILINE)

    assert table
    for name, digest in table:
        assert base64.b64encode(hashlib.sha384((folder / name).read_bytes()).digest()).decode() == digest, name
    assert {name for name, _ in table} == {path.name for path in folder.iterdir() if path.suffix in {".js", ".css"}}


def test_no_tracked_file_names_a_place_of_one_machine() -> None:
    found = [f"{place}: {line.strip()[:120]}" for place, line in text_lines(tracked()) if MACHINE_PATH.search(line)]

    assert [place for place in found if not place.startswith("tests/test_project.py")] == []


def test_no_tracked_file_names_a_host_to_download_from() -> None:
    found = [f"{place}: {line.strip()[:120]}" for place, line in text_lines(tracked()) if DOWNLOAD_HOST.search(line)]

    assert [place for place in found if not place.startswith("tests/test_project.py")] == []


def test_every_relative_link_in_the_documentation_leads_somewhere() -> None:
    broken = []
    for path in tracked("*.md"):
        text = FENCED.sub("", path.read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            file, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            reached = (path.parent / file) if file else path
            if not reached.exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
            elif anchor and reached.suffix == ".md" and anchor not in anchors(reached):
                broken.append(f"{path.relative_to(ROOT)}: {target} (no such heading)")

    assert broken == []


def anchors(path: Path) -> set[str]:
    """What headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_decision_has_a_number_a_title_and_a_status() -> None:
    records = tracked("docs/adr/*.md")

    assert [path.name[:4] for path in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# {int(path.name[:4])}\. \S", text) or re.match(rf"# {path.name[:4]}[.:]? \S", text), (
            path.name
        )
        assert re.search(r"^(?:\*\*)?Status(?:\*\*)?: ?\S|^## Status$", text, re.MULTILINE), path.name
        assert len(text.splitlines()) <= 80, f"{path.name} is longer than a page"


def test_every_template_is_shown_by_a_handler_or_part_of_one_that_is() -> None:
    folder = ROOT / "web" / "templates"
    templates = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "web").rglob("*.py"))
    shown = {name for name in templates if f'"{name}"' in sources}
    while True:
        parts = {
            part
            for name in shown
            for part in re.findall(
                r'{%-? *(?:extends|include|import|from) "([^"]+)"', (folder / name).read_text(encoding="utf-8")
            )
        }
        if parts <= shown:
            break
        shown |= parts

    assert shown - templates == set()
    assert templates - shown == set()


def test_the_role_table_is_sorted_and_has_no_line_without_a_route(tmp_path: Path) -> None:
    """That no route is without a line is held at start-up."""
    environment = {"DATABASE_URL": "postgresql://nobody@localhost/none", "VAR": str(tmp_path)}
    app = create_app(build(Settings.from_environment(environment)))
    routes = {(method, route.path_format) for route in app.routes for method in getattr(route, "methods", ())}

    assert [(method, path) for method, path, _ in ROUTES if (method, path) not in routes] == []
    assert [path for _, path, _ in ROUTES] == sorted(path for _, path, _ in ROUTES)
    assert len({(method, path) for method, path, _ in ROUTES}) == len(ROUTES)
