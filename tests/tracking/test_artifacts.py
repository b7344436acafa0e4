"""What a run leaves in its folder."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from mtl.tracking import artifacts


def table(n: int) -> pd.DataFrame:
    """A frame table of n frames."""
    return pd.DataFrame(
        {
            "path": pd.Series([f"Train/Fighting/Fighting{i // 500:04d}_x264_{10 * i}.png" for i in range(n)]).astype(
                "string[pyarrow]"
            ),
            "class_name": pd.Categorical.from_codes(np.arange(n) % 2, ["Fighting", "Normal"]),
            "split": pd.Categorical.from_codes(np.arange(n) % 3, ["train", "val", "test"]),
        }
    )


def test_the_digest_of_a_table_is_that_of_its_hashed_columns_whatever_the_block(monkeypatch):
    frames = table(100)
    whole = hashlib.blake2b(digest_size=18)
    for column in ("path", "class_name", "split"):
        whole.update(pd.util.hash_array(frames[column].to_numpy(dtype=object)).tobytes())
    for rows in (7, 100, 1000):
        monkeypatch.setattr(artifacts, "ROWS_AT_ONCE", rows)
        assert artifacts.table_digest(frames) == whole.hexdigest()
        assert len(artifacts.table_digest(frames)) == 36


@pytest.mark.parametrize("column", ["path", "class_name", "split"])
def test_the_digest_of_a_table_tells_whatever_differs_in_it(column):
    frames, other = table(40), table(40)
    other[column] = other[column].iloc[::-1].to_numpy()
    assert artifacts.table_digest(frames) != artifacts.table_digest(other)
    assert artifacts.table_digest(frames) != artifacts.table_digest(frames.iloc[:-1])


def test_digest_and_annotations_take_memory_of_a_block_not_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "ROWS_AT_ONCE", 1000)
    frames = table(20_000)  # as python strings and their hashes, 8 MiB
    tracemalloc.start()
    artifacts.table_digest(frames)
    digested = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.reset_peak()
    artifacts.write_annotations(tmp_path / "val.txt", frames, "val")
    written = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    lines = (tmp_path / "val.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [f"{frames['path'][i]} {frames['class_name'][i]}" for i in (1, 4)]
    assert len(lines) == (frames["split"] == "val").sum()
    assert digested < 2
    assert written < 2
