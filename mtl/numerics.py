"""What does the arithmetic: device, instruction set, oneDNN, threads; said without importing TensorFlow.

The same seed on another CPU is another run: sums are made in another order, and training carries the last digit of
the first epoch to the second digit of the AUC. So what made them is part of a run's fingerprint, which is needed
before TensorFlow is loaded.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from mtl.errors import UserError

CPU, GPUS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
DEVICES, L1 = Path("/dev"), Path("/sys/devices/system/cpu/cpu0/cache/index0/size")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
THREADS = "TF_NUM_INTRAOP_THREADS"
# What TensorFlow reads once, when it is loaded. The operations of oneDNN are not all of it: TensorFlow calls its matrix
# products in gradients of convolutions and in Eigen's contractions even where the operations are off, and those are
# made for the instruction set that is found, unless it is held at one that every x86 CPU of the last ten years has.
PORTABLE = {ONEDNN: "0", "ONEDNN_MAX_CPU_ISA": "AVX2", THREADS: "1", "CUDA_VISIBLE_DEVICES": "-1"}
OWN = {name: os.environ.get(name) for name in PORTABLE}  # of this process, before anything here sets them
# what oneDNN has code for, in the order of a CPU's age
INSTRUCTIONS = (
    *("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
)
# TensorFlow 2.21, tensorflow/core/util/port.cc, DefaultOneDnnPolicy: on where the CPU has one of these
NEURAL = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}

_prepared: bool | None = None  # whether TensorFlow was made portable before it was loaded; None: nobody prepared it


class Numerics:
    """How a run computes: as this machine does best, or as unlike machines do alike.

    Parameters
    ----------
    portable : bool
        On the CPU, without oneDNN's operations, by one instruction set, in one thread and by
        deterministic operations. Eigen cuts long sums by the size of the L1 cache, so CPUs
        with unlike ones are still told apart.
    """

    def __init__(self, portable: bool) -> None:
        self.portable = portable

    def prepare(self) -> None:
        """Set what TensorFlow reads when it is loaded; without effect where it is loaded already."""
        global _prepared
        if "tensorflow" in sys.modules:
            return
        _prepared = self.portable
        for name in PORTABLE:
            os.environ.pop(name, None)
        os.environ.update(PORTABLE if self.portable else {ONEDNN: "1"} | own_environment())

    def require(self) -> None:
        """Raise `UserError` where TensorFlow was loaded in this process to compute otherwise."""
        if "tensorflow" in sys.modules and bool(_prepared) != self.portable:
            wanted, found = ("portable", "native") if self.portable else ("native", "portable")
            raise UserError(
                f"numerics={wanted}: TensorFlow was loaded with numerics={found} in this process, and keeps it. Right "
                "would be hydra/launcher=processes, which gives every job a process, or a command for each."
            )

    @property
    def text(self) -> str:
        """What does the arithmetic, as tracked; two runs are compared and reused only where it is equal."""
        if self.portable:
            isa = "avx2" if "avx2" in instructions() else " ".join(instructions())
            return f"portable: cpu {isa} without oneDNN in 1 thread, L1 {_l1()}, deterministic"
        names = gpus()
        if names:
            return f"gpu {' and '.join(names)}"
        known = " ".join(instructions())
        # with oneDNN's operations a run is the same for any number of threads, without them it is not
        return f"cpu {known} with oneDNN" if onednn() else f"cpu {known} without oneDNN in {_threads()}"


def own_environment() -> dict[str, str]:
    """What this process itself was told, of all that `Numerics.prepare` sets: what a process that it starts is due."""
    return {name: value for name, value in OWN.items() if value is not None}


def of_config(node: Mapping[str, object]) -> Numerics:
    """The numerics of plain values of `conf/numerics/`."""
    return Numerics(bool(node["portable"]))


def is_portable() -> bool:
    """Whether TensorFlow computes portably in this process."""
    return bool(_prepared)


def instructions() -> tuple[str, ...]:
    """Of `INSTRUCTIONS` what the CPU has; the name of the architecture where that is not x86, or not told."""
    found = set(re.findall(r"\w+", _read(CPU)))
    return tuple(name for name in INSTRUCTIONS if name in found) or (platform.machine() or "unknown",)


def onednn() -> bool:
    """Whether TensorFlow runs operations by oneDNN; as it decides itself, but on where nothing is said.

    Words that TensorFlow does not know leave it to its own default. Builds for macOS have no oneDNN.
    """
    if sys.platform == "darwin":
        return False
    said = OWN[ONEDNN]
    word = "1" if said is None else said.lower()  # `mtl.terminal.quiet` and `prepare` say 1 where nothing is said
    if word in ("0", "false"):
        return False
    return word in ("1", "true") or bool(NEURAL & set(instructions()))


def gpus() -> tuple[str, ...]:
    """Models of the GPUs that TensorFlow may see, sorted, each once; `of unknown model` where the driver tells none."""
    visible = OWN["CUDA_VISIBLE_DEVICES"]
    if (visible is not None and visible.strip() in ("", "-1")) or not any(DEVICES.glob("nvidia[0-9]*")):
        return ()
    told = (re.search(r"^Model:\s*(.+?)\s*$", _read(path), re.MULTILINE) for path in GPUS.glob("*/information"))
    return tuple(sorted({found[1] for found in told if found})) or ("of unknown model",)


def _threads() -> str:
    """Of an operation: what TensorFlow is told, else as many as cores may be used."""
    said = OWN[THREADS] or ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = int(said) if said.isdecimal() and int(said) else cores
    return f"{number} thread{'' if number == 1 else 's'}"


def _l1() -> str:
    """Size of the first core's L1 cache for data."""
    return " KiB".join(_read(L1).strip().split("K")).strip() or "unknown"


def _read(path: Path) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="ignore")
    except OSError:
        return ""
