"""`--processes N`: the same command in several processes of this machine, which learn together (torch.distributed).

PyTorch's own launcher (`torchrun`) starts them and watches over them: where one is lost, it ends the others.
"""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.world import RankError, processes_meant

# What a rank ends with that has said itself what went wrong, or was told to stop.
_SAID = (1, 2, 130)


def launch(processes: int, words: Sequence[str]) -> None:
    """Run `tenfold WORDS` in `processes` processes, each with its share of the cores.

    Raises TenfoldError, which names the first rank that was lost, and SystemExit with the status of one that said
    itself why it ended.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if processes_meant() > 1:
        raise InputError("--processes: these are several processes already (torchrun); leave it out.")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    logging.disable()  # the ranks say themselves what goes on; this process only watches
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(settings, sys.executable)("-m", "tenfold", *words)
    except SignalException as error:
        if error.sigval == signal.SIGINT:  # the first rank has said how to go on
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == RankError.exit_status:
            raise SystemExit(1) from None
        if failure.exitcode in _SAID:
            raise SystemExit(failure.exitcode) from None
        how = f"by {failure.signal_name()}" if failure.exitcode < 0 else f"with status {failure.exitcode}"
        raise TenfoldError(
            f"rank {rank} of {processes} ended {how}, and with it the run. `tenfold resume RUN --processes "
            f"{processes}` goes on from its last checkpoint; `tenfold runs` lists the runs."
        ) from None
