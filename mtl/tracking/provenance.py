"""Where a run comes from: the commit of the code, the versions of packages."""

from __future__ import annotations

import functools
import getpass
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@functools.cache
def git_state() -> tuple[str, bool]:
    """Commit of this code, empty outside a checkout, and whether files differ from it."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str:
        command = ["git", "-C", str(here.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "", False


def source_tags() -> dict[str, str]:
    """What MLflow's own start would have set, and whether the checkout was clean."""
    tags = {"mlflow.source.name": "run.py", "mlflow.source.type": "LOCAL"}  # a launcher's worker has another name
    with suppress(KeyError, OSError, ImportError):  # a user id without a name, as in many containers
        tags["mlflow.user"] = getpass.getuser()
    commit, dirty = git_state()
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(dirty).lower()}
    return tags


RECORDED_PACKAGES = (
    "tensorflow",
    "keras",
    "hydra-core",
    "omegaconf",
    "opencv-python-headless",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "mlflow",
)


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine the numbers."""
    return {"python": sys.version.split()[0]} | versions_of(RECORDED_PACKAGES)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Installed version by the name of the distribution; `absent` where there is none."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
