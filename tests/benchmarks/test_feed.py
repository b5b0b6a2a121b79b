"""What the benchmark of the feed measures is what it says."""

import csv
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types

from benchmarks import feed
from benchmarks.book import bare_entries, benchmark_entries
from pricing.compiled import write_entries

ROOT = "sha256:" + "ab" * 32


def test_a_file_of_either_form_has_every_row_and_memory_is_looked_at(tmp_path: Path) -> None:
    path = write_entries(*benchmark_entries(300), ROOT, tmp_path)
    made = {form: feed._made(tmp_path / f"feed.{form}", path, ROOT)[0] for form in ("csv", "parquet")}
    with (tmp_path / "feed.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]

    assert made["csv"].rows == made["parquet"].rows == len(rows) > 30
    assert pq.read_metadata(tmp_path / "feed.parquet").num_rows == len(rows)
    assert 0 < made["csv"].early <= made["csv"].peak
    for form in ("csv", "parquet"):
        assert feed._bare(tmp_path / "feed.parquet", tmp_path / f"bare.{form}")[0] > 0
    assert len((tmp_path / "bare.csv").read_text().splitlines()) == len(rows)


def test_one_sku_in_a_hundred_differs(tmp_path: Path) -> None:
    frame, entries = bare_entries(1_000)
    same = write_entries(frame, entries, ROOT, tmp_path / "same")
    frame, entries = bare_entries(1_000)
    dearer = (feed._dearer(entry) if number % feed.ONE_IN == 0 else entry for number, entry in enumerate(entries))
    other = write_entries(frame, dearer, ROOT, tmp_path / "other")

    seconds, changed, skus = feed.delta((same, ROOT), (other, ROOT))

    assert (changed, skus) == (10, 1_000)
    assert seconds > 0
