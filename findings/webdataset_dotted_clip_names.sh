#!/usr/bin/env bash
# WebDataset glues clips of XD-Violence together, or drops them, because their names hold dots.
#
# webdataset 1.0.2 ends the key of a sample at the first dot of a file's name and takes all that follows for the
# name of the field. Clips of XD-Violence are named after films,
# `Title.With.Dots.1995__#00-26-51_00-27-53_label_B2-0-0`: the writer takes such a key without a word, and on
# reading, all neighbours that share the first word become one sample, whose key has lost the clip, its times and
# its label, and whose fields are called `with.dots.1995__#...npy`, in small letters. Four clips become two
# samples below. `to_tuple("npy", "cls")` raises; with the handler that is meant for a damaged file it drops the
# clips in silence: those named after films go, those named after the id of a video platform stay, and the set is
# another one. Instead: replace the dots in the key before writing, keep the whole name in a field of its own, and
# compare the number of samples with the number of clips.
#
# Seen on Python 3.11:
#   webdataset 1.0.2
#   expected          4 samples, keys as written, fields npy and cls
#   seen              2 samples, keys ['A', 'v=8cTqh9tMz_I__#1_label_A']
#   seen              6 fields in the first, one of them 'film.1995__#00-26-51_00-27-53_label_b2-0-0.cls'
#   seen              numbers of the clips left by to_tuple with ignore_and_continue: [3]
#   seen              raised by to_tuple without it: "didn't find ['npy'] in"
#   without dots      numbers of the clips left: [0, 1, 2, 3]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check webdataset==1.0.2 numpy==2.4.0
cat > "$work/check.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import webdataset

clips = [  # names of the kind, label after the last `_label_`: A is normal
    "A.Film.1995__#00-26-51_00-27-53_label_B2-0-0",
    "A.Film.1995__#01-11-04_01-12-00_label_G-B2-B6",
    "A.Film.II.2003__#00-06-42_00-10-00_label_B1-0-0",
    "v=8cTqh9tMz_I__#1_label_A",
]


def write(path, key_of):
    with webdataset.TarWriter(path) as writer:
        for number, clip in enumerate(clips):
            features = np.full((8, 4), number, np.float32)
            writer.write({"__key__": key_of(clip), "npy": features, "cls": number})
    return lambda: webdataset.WebDataset(path, shardshuffle=False).decode()


dotted = write(f"{sys.argv[1]}/dotted.tar", lambda clip: clip)
keys = [sample["__key__"] for sample in dotted()]
fields = [name for name in next(iter(dotted())) if not name.startswith("__")]
kept = [label for _, label in dotted().to_tuple("npy", "cls", handler=webdataset.ignore_and_continue)]
try:
    list(dotted().to_tuple("npy", "cls"))
    raised = "nothing"
except ValueError as error:
    raised = str(error)[:22]

print(f"webdataset {version('webdataset')}")
print("expected          4 samples, keys as written, fields npy and cls")
print(f"seen              {len(keys)} samples, keys {keys}")
print(f"seen              {len(fields)} fields in the first, one of them {fields[0]!r}")
print(f"seen              numbers of the clips left by to_tuple with ignore_and_continue: {kept}")
print(f"seen              raised by to_tuple without it: {raised!r}")
assert keys == ["A", clips[3]]
assert len(fields) == 6 and fields[0] == "film.1995__#00-26-51_00-27-53_label_b2-0-0.cls"
assert kept == [3] and raised == "didn't find ['npy'] in"

plain = write(f"{sys.argv[1]}/plain.tar", lambda clip: clip.replace(".", "_"))
kept = [label for _, label in plain().to_tuple("npy", "cls")]
print(f"without dots      numbers of the clips left: {kept}")
assert kept == [0, 1, 2, 3]
PY
"$work/venv/bin/python" "$work/check.py" "$work"
