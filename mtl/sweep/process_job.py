"""A job in a process of its own: what it is told through one pipe, and what it answers through another.

All of it is JSON, and none of it lies in a file: whoever may write to a sweep's folder gets nothing run by it.
The process imports from where the sweep's own process does, never from the working folder.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra.conf import HydraConf
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from mtl.config import commandline
from mtl.config.explain import explain
from mtl.errors import UserError
from mtl.job.failure import one_line
from mtl.sweep.launchers import ROOT

# the first import of all is of what is part of the interpreter, so no file of the working folder is looked at
CODE = (
    "import sys; sys.path[:] = sys.argv[2:]; from mtl.sweep import process_job as job; sys.exit(job.main(sys.argv[1]))"
)
MOST_CHARACTERS = 16_000  # of an answer's words: the whole of it waits in a pipe, which takes 64 KiB


def command(answer: int) -> list[str]:
    """The command of a job's process, which is told its job through standard input.

    Parameters
    ----------
    answer : int
        The file that it writes its answer to, open for it already.
    """
    own = [str(Path(path).absolute()) for path in sys.path if path]
    return [sys.executable, "-c", CODE, str(answer), *dict.fromkeys([*own, str(ROOT)])]


def told(task: TaskFunction, config: DictConfig) -> bytes:
    """What a job's process is told: the function to call, and the job's config as it was composed.

    Moments that the config has named already (``${now:...}``) go with it, else a job of the
    next second would have another folder.
    """
    now = OmegaConf.get_cache(config).get("now", {})
    said = {"task": _place(task), "config": OmegaConf.to_yaml(config), "now": [[list(key), now[key]] for key in now]}
    return json.dumps(said).encode()


def answered(content: bytes, config: DictConfig) -> JobReturn | None:
    """What came of a job by its answer; None where that is not whole.

    Parameters
    ----------
    content : bytes
    config : DictConfig
        The job's.
    """
    try:
        said = json.loads(content)
        status, value, error, is_mistake = said["status"], said["value"], said["error"], said["mistake"]
        result = JobReturn(overrides=list(config.hydra.overrides.task), cfg=config, status=JobStatus[status])
        result.return_value = float(value) if value is not None else None
    except (ValueError, KeyError, TypeError):
        return None
    if result.status != JobStatus.COMPLETED:
        result.return_value = (UserError if is_mistake else RuntimeError)(str(error))
    return result


def _place(task: TaskFunction) -> dict[str, str]:
    """Where another process finds a function."""
    module = inspect.getmodule(task)
    spec = getattr(module, "__spec__", None)
    file = inspect.getsourcefile(task)
    if spec is None and file is None:
        raise UserError(
            "hydra/launcher=processes: a job's process cannot find the function to call, because it stands in no "
            "file; right would be a file such as run.py."
        )
    return {"name": task.__qualname__, "module": spec.name if spec else "", "file": str(Path(file or "").absolute())}


# --- the job's side ---------------------------------------------------------------------------------------------------


def main(answer: str) -> int:
    """Do the job that standard input tells of, and answer what came of it."""
    commandline.leave_on_sigterm()
    commandline.expect_presets()
    with os.fdopen(int(answer), "wb") as file:
        try:
            result = _result(json.loads(sys.stdin.buffer.read()))
        except Exception as error:  # before its run was opened
            traceback.print_exc()
            result = JobReturn(status=JobStatus.FAILED)
            result.return_value = error
        file.write(_answer(result))
    return 0 if result.status == JobStatus.COMPLETED else 1


def _result(said: dict[str, Any]) -> JobReturn:
    """What comes of the job."""
    config = _config(said)
    sys.argv[:] = [said["task"]["file"], *config.hydra.overrides.task]
    return run_job(
        hydra_context=HydraContext(_hydra(config).config_loader, Callbacks(config)),
        task_function=_task(said["task"]),
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _config(said: dict[str, Any]) -> DictConfig:
    """The job's config, with Hydra's own part typed as Hydra wants it."""
    setup_globals()
    config = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
    with open_dict(config), open_dict(config.hydra):
        config.merge_with(OmegaConf.create(said["config"]))
        config.hydra.pop("defaults", None)  # is used up when a config is composed
    OmegaConf.get_cache(config)["now"] = {tuple(key): value for key, value in said["now"]}
    OmegaConf.set_struct(config, True)
    return config


def _hydra(config: DictConfig) -> Hydra:
    """Hydra as the sweep's own process has it, so that a fault is explained with the choices of its search path."""
    Plugins.instance()  # they read what a path is made of
    path = ConfigSearchPathImpl()
    for source in config.hydra.runtime.config_sources:
        path.append(source.provider, f"{source.schema}://{source.path}")
    return Hydra.create_main_hydra2(config.hydra.job.name, path)


def _task(place: dict[str, str]) -> Callable[[DictConfig], Any]:
    """The function as it was before `hydra.main` took it."""
    if place["module"]:
        found: Any = importlib.import_module(place["module"])
    else:
        found = ModuleType("job")
        found.__dict__.update(runpy.run_path(place["file"], run_name="job"))
    for name in place["name"].split("."):
        found = getattr(found, name)
    return inspect.unwrap(found)


def _answer(result: JobReturn) -> bytes:
    """A job's end as JSON."""
    value, error = result._return_value, ""
    said: str | None = None
    if isinstance(value, BaseException):
        said = explain(value)
        error, value = said or one_line(value), None
    with suppress(TypeError, ValueError):
        value = None if value is None else float(value)
    if not isinstance(value, float):
        value = None  # whatever a function returns beside a number, no sweeper can use it
    error = error[:MOST_CHARACTERS]
    text = {"status": result.status.name, "value": value, "error": error, "mistake": said is not None}
    return json.dumps(text).encode()
