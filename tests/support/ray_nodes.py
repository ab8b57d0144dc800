"""A Ray cluster of several nodes on this machine's loopback interface, for tests: a process told by its input.

    python tests/ray_nodes.py

It prints the cluster's address, then obeys "kill" (one node dies) and "add" (one joins) until its input ends.
"""

import sys

from ray.cluster_utils import Cluster

NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


def main() -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False}
    )
    nodes = [cluster.add_node(num_cpus=1, wait=False, **NODE) for _ in range(2)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    try:
        for line in sys.stdin:
            if line.strip() == "kill":
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            else:
                nodes.append(cluster.add_node(num_cpus=1, **NODE))
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
