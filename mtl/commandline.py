"""The command line's manners: a user's mistake is one line, not a traceback."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mtl.mistakes import Mistake, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).resolve().parents[1] / "conf"
INTERRUPTED = 130
TERMINATED = 143

# what is to be done before the process ends, while everything still works; told whether it was interrupted
closing: list[Callable[[bool], None]] = []


def hydra_options() -> dict[str, Any]:
    """What `hydra.main` is to be told: its defaults of 1.3, and from 1.4 on the targets a config may name."""
    import hydra

    if hydra.__version__.startswith("1.3"):
        return {"version_base": "1.3"}
    return {"execution_whitelist": ["mtl.*", "keras.*", "hydra.*", "hydra_plugins.*", "logging.*"]}


def launch(main: Callable[[], object]) -> None:
    """Call Hydra's entry point; say a mistake in one line and leave with status 1.

    Parameters
    ----------
    main : callable
        A function decorated by `hydra.main`. With ``hydra.verbose=true`` on the
        command line its exceptions pass through as they are.
    """
    if any(re.fullmatch(r"hydra\.verbose=(true|\[.*|\w+\..*)", word, re.IGNORECASE) for word in sys.argv[1:]):
        os.environ["HYDRA_FULL_ERROR"] = "1"
        main()
        return
    leave_on_sigterm()
    expect_presets()
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints the traceback itself and exits
    try:
        main()
    except KeyboardInterrupt:
        _close(interrupted=True)
        _say("interrupted")
        sys.exit(INTERRUPTED)
    except SystemExit as leaving:
        _close(interrupted=leaving.code == TERMINATED)
        raise
    except Exception as error:
        line = explained(error)
        if closing:  # a sweep: its summary lists every failure, tracebacks are in the jobs' folders
            line = line or " ".join(f"{type(error).__name__}: {error}".split())
            _close(interrupted=False)
        if line is None:
            raise
        _say(line)
        sys.exit(1)
    finally:
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def explained(error: BaseException) -> str | None:
    """The one line that tells a user what to change; None where the fault is not the user's."""
    if isinstance(error, Mistake):
        return str(error)
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _bad_override(error)
    return None


def _missing_choice(error: Exception) -> str:
    """A group has no such choice."""
    wanted = str(getattr(error, "missing_cfg_file", "") or "")
    options = getattr(error, "options", None)
    group, _, choice = wanted.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group else _groups()
    if not choice:
        return _flat(str(error))
    return f"{group}={choice}: there is no conf/{wanted}.yaml. {nearest(choice, options)}"


def _bad_override(error: BaseException) -> str:
    """An override that does not fit the config; the nearest key where a key was wrong."""
    text = _flat(str(error))
    cause = _flat(str(error.__cause__ or ""))
    key = re.search(r"full_key: (\S+)", cause)
    if key and ("not in struct" in cause or "is not in" in cause):
        parent, _, name = key[1].rpartition(".")
        return f"{key[1]}: there is no such key. {nearest(name, _keys(parent))}"
    group = re.search(r"Could not override '([^']+)'\. No match in the defaults list", text)
    if group:
        return f"{group[1]}: there is no such group. {nearest(group[1].split('@')[0], _groups())}"
    key = re.search(r"Could not override '([^']+)'", text)
    if key and not cause:
        return f"{key[1]}: there is no such key. {nearest(key[1], [*_groups(), *_keys('')])}"
    return f"{text} {cause}".strip()


def _groups() -> list[str]:
    """Names of the config groups."""
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())


def _keys(parent: str) -> list[str]:
    """Keys below a dotted path, as this command line's own choices compose them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    groups = set(_groups())
    chosen = [word for word in sys.argv[1:] if "," not in word and word.split("=")[0] in groups]
    base = {key: value for key, value in hydra_options().items() if key == "version_base"}
    with initialize_config_dir(str(CONF), **base):
        for words in (chosen, []):
            try:
                config = compose("config", words)
            except Exception:  # the choices themselves may be what is wrong
                continue
            node = OmegaConf.select(config, parent) if parent else config
            return [str(key) for key in node if not str(key).startswith("_")] if OmegaConf.is_dict(node) else []
    return []


def _flat(text: str) -> str:
    return " ".join(text.split())


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


def _close(interrupted: bool) -> None:
    """Do what is left to do; signals that come now do not cut it short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while closing:
        closing.pop()(interrupted)


def expect_presets() -> None:
    """Keep Hydra from warning, at every composition, that our launcher presets have the names of the plugins' own."""
    warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")


def leave_on_sigterm() -> None:
    """Let SIGTERM end this process the way out of every `with` and `finally`."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM the way out of every `with` and `finally`, so that runs are closed truthfully."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(TERMINATED)


def check_choices(words: Sequence[str]) -> None:
    """Raise `Mistake` where an override of a sweep names a choice that no group has.

    Hydra itself would say so too, but after the sweep has been opened.

    Parameters
    ----------
    words : sequence of str
        Overrides, such as ``tasks=anomaly,all``.
    """
    for word in words:
        group, _, values = word.partition("=")
        if group not in _groups():
            continue
        for choice in re.findall(r"[\w./-]+", values) if re.fullmatch(r"[\w./,-]+", values) else []:
            if choice != "null" and not (CONF / group / f"{choice}.yaml").is_file():
                known = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
                raise Mistake(f"{group}={choice}: there is no conf/{group}/{choice}.yaml. {nearest(choice, known)}")


def said(job: Callable[[DictConfig], float], config: DictConfig) -> float:
    """Do a job; as a run of its own say a mistake and leave, in a sweep leave it to the launcher.

    Parameters
    ----------
    job : callable
    config : DictConfig
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        return job(config)
    except Mistake as mistake:
        if HydraConfig.get().mode == RunMode.MULTIRUN or HydraConfig.get().verbose:
            raise
        _say(str(mistake))
        sys.exit(1)
