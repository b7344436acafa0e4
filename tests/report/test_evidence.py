"""What checks look at is read from artifacts of runs: once for the same frames, nothing where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

from mtl.report.evidence import kept_packages, kept_videos
from mtl.results import DATA, TrackedRun


def run(folder: Path, number: int, digest: str, videos: str = "", packages: object = None) -> TrackedRun:
    artifacts = folder / str(number) / "artifacts"
    artifacts.mkdir(parents=True)
    if videos:
        (artifacts / "videos.csv").write_text(f"split,video,frames\n{videos}\n", encoding="utf-8")
    if packages is not None:
        (artifacts / "packages.json").write_text(json.dumps(packages), encoding="utf-8")
    return TrackedRun(str(number), "a run", "FINISHED", tags={DATA: digest}, artifact_uri=artifacts.as_uri())


def test_videos_are_read_once_for_the_same_frames_from_a_run_that_keeps_them(tmp_path):
    runs = [
        run(tmp_path, 0, "aa"),
        run(tmp_path, 1, "aa", "train,NA,12"),
        run(tmp_path, 2, "aa", "train,never read,1"),
        run(tmp_path, 3, "bb", "val,0012,7"),
        run(tmp_path, 4, "cc"),
    ]
    first, second = kept_videos(runs, None)
    assert first.to_dict("records") == [{"split": "train", "video": "NA", "frames": 12}]
    assert second.to_dict("records") == [{"split": "val", "video": "0012", "frames": 7}]


def test_a_file_without_the_columns_is_no_list_of_videos(tmp_path):
    damaged = run(tmp_path, 0, "aa", "train,v,1")
    (tmp_path / "0" / "artifacts" / "videos.csv").write_text("frame\n1\n", encoding="utf-8")
    assert kept_videos([damaged], None) == ()


def test_every_run_has_its_versions_of_packages_or_none(tmp_path):
    runs = [run(tmp_path, 0, "aa", packages={"numpy": "2.0"}), run(tmp_path, 1, "aa"), run(tmp_path, 2, "aa", "", [1])]
    (tmp_path / "1" / "artifacts" / "packages.json").write_text("{", encoding="utf-8")
    assert kept_packages(runs, None) == ({"numpy": "2.0"}, {}, {})
