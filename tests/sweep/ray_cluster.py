"""A Ray cluster of two nodes on this machine, until its standard input ends: `python ray_cluster.py FOLDER`.

It is Ray's own cluster for tests. A process by itself, so that a test's process is no part of it, and so that no
`ray stop` is needed, which would end every Ray process of the machine.
"""

import os
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

SMALL = {"num_cpus": 1, "object_store_memory": 78_643_200}  # the least that Ray takes: 75 MiB

# Ray notes the address of the cluster there, wherever `temp_dir` is, and does not make the folder
Path(os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR", "/tmp")), "ray").mkdir(parents=True, exist_ok=True)
cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "temp_dir": sys.argv[1], "include_dashboard": False})
try:
    cluster.add_node(**SMALL)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)  # noqa: T201
    sys.stdin.read()
finally:
    cluster.shutdown()
