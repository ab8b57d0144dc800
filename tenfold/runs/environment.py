"""What a run ran on: hardware, versions and the command, for `environment.json`."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tenfold import kernels
from tenfold.core.devices import choose_precision, device_name
from tenfold.core.world import launch_name, processes_meant

_PACKAGES = ("tenfold", "torch", "numpy", "pillow", "scikit-learn", "pyarrow", "matplotlib")


def describe_environment(
    device: torch.device, command: str | None, precision: str = "float32"
) -> dict[str, Any]:
    """What `environment.json` holds; `precision` is the recipe's, for the kernels that will train."""
    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "kernels": kernels.describe(bfloat16=choose_precision(precision, device) == "bfloat16"),
        "device": device_name(device),
        **({"processes": processes_meant(), "launch": launch_name()} if processes_meant() > 1 else {}),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def command_line() -> str:
    """The command that started this process, as it can be typed again."""
    return shlex.join(["tenfold", *sys.argv[1:]])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
