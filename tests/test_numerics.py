"""What does the arithmetic is said right without TensorFlow, and portable runs are equal however they were started."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import BARE, TINY, call

from mtl import numerics
from mtl.errors import UserError
from mtl.job.record import read_job, read_jobs
from mtl.numerics import Numerics
from mtl.results import NUMERICS

OLD = "flags\t\t: fpu sse4_2 avx avx2 fma xsave\n"
NEW = "flags\t\t: fpu avx avx2 fma avx512f avx512_vnni avx512_bf16 amx_tile\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine made up: its CPU, its GPUs, what its shell says."""

    def describe(cpu: str, gpus: tuple[str, ...] = (), l1: str = "48K\n", **told: str) -> None:
        (tmp_path / "cpuinfo").write_text(cpu, encoding="utf-8")
        (tmp_path / "l1").write_text(l1, encoding="utf-8")
        for i, name in enumerate(gpus):
            (tmp_path / f"nvidia{i}").touch()
            (tmp_path / "gpus" / str(i)).mkdir(parents=True)
            (tmp_path / "gpus" / str(i) / "information").write_text(f"Model: \t\t {name}\nIRQ: 1\n", encoding="utf-8")
        places = {"CPU": "cpuinfo", "GPUS": "gpus", "DEVICES": "", "L1": "l1"}
        for name, place in places.items():
            monkeypatch.setattr(numerics, name, tmp_path / place)
        monkeypatch.setattr(numerics, "OWN", {name: told.get(name) for name in numerics.PORTABLE})
        monkeypatch.setattr(sys, "platform", "linux")

    return describe


def test_what_computes_natively_is_cpu_instructions_and_onednn(machine):
    machine(OLD)
    assert Numerics(False).text == "cpu avx avx2 fma with oneDNN"
    machine(NEW)
    assert Numerics(False).text == "cpu avx avx2 fma avx512f avx512_vnni avx512_bf16 amx_tile with oneDNN"
    machine(OLD, TF_ENABLE_ONEDNN_OPTS="0", TF_NUM_INTRAOP_THREADS="3")
    assert Numerics(False).text == "cpu avx avx2 fma without oneDNN in 3 threads"


def test_a_word_that_tensorflow_does_not_know_leaves_onednn_to_the_cpu(machine):
    for cpu, on in ((OLD, False), (NEW, True)):
        machine(cpu, TF_ENABLE_ONEDNN_OPTS="yes")
        assert numerics.onednn() is on
    machine(NEW, TF_ENABLE_ONEDNN_OPTS="False")
    assert not numerics.onednn()


def test_a_gpu_computes_where_it_may_be_seen(machine, tmp_path):
    machine(OLD, gpus=("NVIDIA B", "NVIDIA A"))
    assert Numerics(False).text == "gpu NVIDIA A and NVIDIA B"
    machine(OLD, CUDA_VISIBLE_DEVICES="-1")
    assert Numerics(False).text.startswith("cpu ")
    machine(OLD, CUDA_VISIBLE_DEVICES="0")
    (tmp_path / "gpus" / "0" / "information").unlink()
    (tmp_path / "gpus" / "1" / "information").unlink()
    assert Numerics(False).text == "gpu of unknown model"


def test_portable_is_the_same_on_unlike_machines_but_for_the_l1_cache(machine):
    texts = []
    for cpu, told, l1 in ((OLD, "0", "32K"), (NEW, "1", "32K"), (NEW, "1", "48K")):
        machine(cpu, l1=l1, TF_ENABLE_ONEDNN_OPTS=told, TF_NUM_INTRAOP_THREADS="7")
        texts.append(Numerics(True).text)
    assert texts[0] == texts[1] == "portable: cpu avx2 without oneDNN in 1 thread, L1 32 KiB, deterministic"
    assert texts[2] == texts[0].replace("32", "48")


def test_what_is_prepared_is_told_to_tensorflow_and_taken_back(machine, monkeypatch):
    machine(OLD, TF_NUM_INTRAOP_THREADS="2")
    monkeypatch.setattr(sys, "modules", {name: sys.modules[name] for name in sys.modules if name != "tensorflow"})
    monkeypatch.setattr(numerics, "_prepared", None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    Numerics(True).prepare()
    assert {name: os.environ[name] for name in numerics.PORTABLE} == numerics.PORTABLE
    Numerics(False).prepare()
    found = {name: os.environ[name] for name in numerics.PORTABLE if name in os.environ}
    assert found == {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTRAOP_THREADS": "2"}
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    Numerics(False).require()
    with pytest.raises(
        UserError, match="numerics=portable: .* numerics=native in this process.*hydra/launcher=processes"
    ):
        Numerics(True).require()


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("said", [None, "0", "1", "yes"])
def test_onednn_is_what_tensorflow_itself_says(said):
    code = (
        "from mtl import numerics; numerics.Numerics(False).prepare(); told = numerics.onednn();"
        "from tensorflow.python.util import _pywrap_util_port as port; print(told, port.IsMklEnabled())"
    )
    environment = {name: value for name, value in os.environ.items() if name != numerics.ONEDNN}
    environment |= {} if said is None else {numerics.ONEDNN: said}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    told, found = done.stdout.split()
    assert told == found


@pytest.mark.tensorflow
@pytest.mark.slow
def test_portable_runs_are_equal_to_the_bit_however_they_were_started(tmp_path):
    told = {
        "as it comes": {},
        "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_NUM_INTRAOP_THREADS": "1"},
        "an older CPU": {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX", "TF_NUM_INTRAOP_THREADS": "3"},
    }
    found, tags = [], set()
    for name, environment in told.items():
        done = call(tmp_path, *TINY, "numerics=portable", "tracking=none", f"hydra.run.dir={name}", **environment)
        assert done.returncode == 0, done.stderr
        found.append(pd.read_parquet(tmp_path / name / "artifacts" / "predictions.parquet"))
        job = read_job(tmp_path / name)
        assert job is not None
        tags.add(job.tags[NUMERICS])
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0], check_exact=True)
    assert tags == {Numerics(True).text}


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["processes", "basic"])
def test_both_numerics_in_one_sweep_need_a_process_each(tmp_path, launcher):
    words = ("-m", "tasks=anomaly", "numerics=native,portable", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep")
    done = call(tmp_path, *words, *BARE)
    jobs = read_jobs(tmp_path / "sweep")
    status = {job.number: job.status for job in jobs if job.number >= 0}
    if launcher == "processes":
        assert status == {0: "FINISHED", 1: "FINISHED"}, done.stdout + done.stderr
        assert "The runs were not computed alike" in done.stdout
        again = call(tmp_path, *words[:-1], "hydra.sweep.dir=again", *BARE)
        assert all(job.reused for job in read_jobs(tmp_path / "again") if job.number >= 0), again.stdout
    else:
        assert status == {0: "FINISHED", 1: "FAILED"}
        assert "hydra/launcher=processes" in next(job.failure for job in jobs if job.number == 1)
