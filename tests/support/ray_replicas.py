"""Two replicas of a served model by Ray Serve on this machine, for tests: a process that ends when its input does.

python tests/support/ray_replicas.py EXPORTED PORT
"""

import sys

import ray
from ray import serve

from tenfold.serving.ray_serve import serve_app


def main() -> None:
    folder, port = sys.argv[1], int(sys.argv[2])
    own = {"address": "local", "_node_ip_address": "127.0.0.1"}  # beside the clusters of other tests
    ray.init(num_cpus=3, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False, **own)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(serve_app(folder, replicas=2, cpus=1))
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "status":
                replicas = serve.status().applications["default"].deployments["tenfold"].replica_states
                print(replicas.get("RUNNING", 0), flush=True)
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
