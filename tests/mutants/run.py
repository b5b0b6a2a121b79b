"""Change the money's code in thousands of small ways and see whether its tests notice: `make mutants`.

    python -m tests.mutants.run [FILE ...] [--children 2] [--again] [--digits 37]

mutmut makes and tries the mutants, one file after the other, each in a folder of its own under VAR/mutants, where only
that file is mutated, so that the rest runs at its usual speed. What survives is compared with the survivors that
docs/mutants/ lists with their reasons. Results are kept until a function changes; `--again` tries those again that
survived, after tests were added. `--digits 37` tries a fifth: the mutants whose number ends in a 3 or a 7.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parent.parent.parent
LISTINGS = ROOT / "docs" / "mutants"
ENGINE = "tests/pricing/engine"
# every price is made by nearly all files together; the replay holds its trace to what was shown
PRICES = [
    *(f"{ENGINE}/test_{name}*.py" for name in (
        "adjust", "book", "checked", "docs", "evaluate", "hint", "laws", "memory", "more", "offer", "order", "quantity",
        "rules", "select", "tax", "trace",
    )),
    f"{ENGINE}/test_replay.py",
]  # fmt: skip
TESTS = (
    ("kernel/money.py", ["tests/kernel/test_money.py"]),
    ("checkout/states.py", ["tests/checkout/test_states.py"]),
    ("*/replay.py", [f"{ENGINE}/test_replay.py", f"{ENGINE}/test_replay_[!f]*.py"]),  # not the fuzzer
    ("*/check_content.py", [f"{ENGINE}/test_check.py", f"{ENGINE}/test_check_content.py"]),
    ("*/check_rules.py", [f"{ENGINE}/test_check_rules.py"]),
    *((f"*/check_{name}.py", [f"{ENGINE}/test_check_amounts.py", f"{ENGINE}/test_check_prices.py"]) for name in (
        "amounts", "prices"
    )),
    ("*/check_*.py", [f"{ENGINE}/test_check.py", f"{ENGINE}/test_check_[!l]*.py"]),  # not the law of falling totals
    ("*/check.py", [f"{ENGINE}/test_check*.py"]),
    ("*/derive.py", [f"{ENGINE}/test_derive*.py"]),
    ("*/sweep*.py", [f"{ENGINE}/test_sweep*.py"]),
    ("*/columns.py", [f"{ENGINE}/test_sweep*.py", f"{ENGINE}/test_columns*.py"]),
    ("*/explain.py", [f"{ENGINE}/test_trace*.py"]),
    *((f"*/{name}.py", [f"{ENGINE}/test_proofs*.py", f"{ENGINE}/test_replay.py"]) for name in (
        "disclose", "leaves", "proofs", "verify"
    )),
    ("*/rules.py", [*PRICES, f"{ENGINE}/test_proofs*.py"]),
    ("*", PRICES),
)  # fmt: skip
"""What is tried on a file's mutants: the first that fits. Tests of what is built on the file would only take longer."""
ENOUGH_PERCENT = 90
KILLED = {"killed", "timeout", "segfault", "suspicious"}
SPINNERS = tuple("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


class Tried(NamedTuple):
    """*survivors*: what each changed, as docs/mutants/ lists it, by mutmut's name."""

    file: str
    mutants: int
    killed: int
    survivors: dict[str, str]


class Listed(NamedTuple):
    """One line of docs/mutants/: a change, or after `~` a pattern of changes."""

    text: str
    reason: str

    def covers(self, change: str) -> bool:
        return re.fullmatch(self.text[2:], change) is not None if self.text.startswith("~ ") else self.text == change


def main(arguments: Sequence[str]) -> int:
    """0: enough was killed and every survivor is listed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", help="files to mutate; all of [tool.mutmut] if none")
    parser.add_argument("--children", type=int, default=2, help="mutants tried at once")
    parser.add_argument("--again", action="store_true", help="try again what survived")
    parser.add_argument("--digits", default="", help="try only mutants whose number ends in one of these")
    parser.add_argument("--report", action="store_true", help="try nothing, say what was found last")
    asked = parser.parse_args(arguments)
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    files = asked.files or _files(config["only_mutate"])
    tried = []
    for file in files:
        folder = Path(os.environ.get("VAR") or ROOT / "var").absolute() / "mutants" / file.replace("/", "-")
        if not asked.report:
            _prepare(folder, config, file)
            if asked.again:
                _forget_survivors(folder, file)
            _try(folder, file, children=asked.children, names=[f"*__mutmut_*{digit}" for digit in asked.digits])
        tried.append(_read(folder, file))
        _say_file(tried[-1])
    return _judge(tried, list(_listed(LISTINGS)), whole=not asked.files)


def _files(patterns: Sequence[str]) -> list[str]:
    return [str(path.relative_to(ROOT)) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def _prepare(folder: Path, config: dict[str, Any], file: str) -> None:
    """The rooms as they are now, and mutmut told to mutate *file* alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*config["source_paths"], *config["also_copy"], "tests"):
        for place in (folder, folder / "mutants"):
            _drop_what_went(ROOT / name, place / name)
        shutil.copytree(
            ROOT / name, folder / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.png")
        )
    said = {**config, "only_mutate": [file], "pytest_add_cli_args_test_selection": _tests(file)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in said.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, ""]))


def _tests(file: str) -> list[str]:
    patterns = next(patterns for name, patterns in TESTS if fnmatch.fnmatch(file, name))
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))


def _drop_what_went(source: Path, copy: Path) -> None:
    for path in copy.rglob("*.py"):
        if not (source / path.relative_to(copy)).exists():
            path.unlink()


def _forget_survivors(folder: Path, file: str) -> None:
    meta = folder / "mutants" / f"{file}.meta"
    if meta.exists():
        said = json.loads(meta.read_text())
        codes = said["exit_code_by_key"]
        said["exit_code_by_key"] = {
            name: code if status_by_exit_code[code] in KILLED else None for name, code in codes.items()
        }
        meta.write_text(json.dumps(said))


def _try(folder: Path, file: str, *, children: int, names: Sequence[str]) -> None:
    """:raises SystemExit: when mutmut cannot run, with what it said last"""
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the plugins of other tests cost more to load than these tests take
        "PY_IGNORE_IMPORTMISMATCH": "1",  # the runner comes from the folder, as do tests; what they test from `mutants`
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "tests.mutants.runner", "run", "--max-children", str(children), *names]
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if ran.returncode and _codes(folder, file) != {}:  # of a file without functions it says that no test reaches it
        lines = re.split(r"[\r\n]+", ran.stdout + ran.stderr)
        said = [line for line in lines if line and not line.startswith(SPINNERS)]
        raise SystemExit("\n".join([f"mutmut failed in {folder}:", *said[-60:]]))


def _codes(folder: Path, file: str) -> dict[str, int | None] | None:
    """What became of each mutant of the file, by mutmut's name; None where mutmut never got so far."""
    meta = folder / "mutants" / f"{file}.meta"
    found: dict[str, int | None] | None = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else None
    return found


def _read(folder: Path, file: str) -> Tried:
    found = _codes(folder, file)
    if found is None:
        raise SystemExit(f"{file} was not tried yet: run it without --report.")
    codes = {name: code for name, code in found.items() if status_by_exit_code[code] != "not checked"}
    with contextlib.chdir(folder):
        survivors = {
            name: f"{file} {_function(name)}: {_change(get_diff_for_mutant(name, path=file))}"
            for name, code in codes.items()
            if status_by_exit_code[code] not in KILLED
        }
    return Tried(file, len(codes), len(codes) - len(survivors), survivors)


def _function(mutant: str) -> str:
    """`kernel.money.xǁMoneyǁparse__mutmut_3` -> `Money.parse`, `kernel.money.x_divide__mutmut_1` -> `divide`."""
    mangled = mutant.rpartition("__mutmut_")[0].rpartition(".")[2]
    return mangled[2:].replace("ǁ", ".")


def _change(diff: str) -> str:
    """A diff on one line: `- return quotient + + return quotient -`."""
    lines = diff.splitlines()[2:]
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-")


def _listed(folder: Path) -> Iterator[Listed]:
    for page in sorted(folder.glob("*.md")):
        yield from _listed_on(page.read_text(encoding="utf-8"))


def _listed_on(page: str) -> Iterator[Listed]:
    """What stands in the fenced blocks under a heading of the third level, the heading being the reason."""
    reason, fenced = "", False
    for line in page.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif line.startswith("### ") and not fenced:
            reason = line[4:]
        elif line.startswith("## ") and not fenced:
            reason = ""
        elif fenced and reason and line:
            yield Listed(line, reason)


def _say_file(tried: Tried) -> None:
    percent = 100 * tried.killed / tried.mutants if tried.mutants else 100
    sys.stdout.write(
        f"{tried.file:32} {tried.mutants:5} mutants {tried.killed:5} killed {len(tried.survivors):4} survived "
        f"{percent:6.1f} %\n"
    )
    sys.stdout.flush()


def _judge(tried: Sequence[Tried], listed: Sequence[Listed], *, whole: bool) -> int:
    mutants, killed = sum(one.mutants for one in tried), sum(one.killed for one in tried)
    _say_file(Tried("together", mutants, killed, {name: text for one in tried for name, text in one.survivors.items()}))
    room = Counter(line.text for line in listed if not line.text.startswith("~ "))
    patterns = [line for line in listed if line.text.startswith("~ ")]
    unlisted = []
    for one in tried:
        for name, change in one.survivors.items():
            if room[change]:
                room[change] -= 1
            elif not any(pattern.covers(change) for pattern in patterns):
                unlisted.append((name, change))
    for name, change in unlisted:
        sys.stdout.write(f"NOT LISTED {name}\n  {change}\n")
    files = {one.file for one in tried}
    gone = [text for text, left in room.items() if left and (whole or text.split(" ", 1)[0] in files)]
    for text in gone:
        sys.stdout.write(f"LISTED, BUT KILLED OR GONE: {text}\n")
    if killed * 100 < ENOUGH_PERCENT * mutants:
        sys.stdout.write(f"Fewer than {ENOUGH_PERCENT} % were killed: add tests that notice the changes above.\n")
        return 1
    if unlisted:
        sys.stdout.write("Kill these by a test, or list them with a reason in docs/mutants/.\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
