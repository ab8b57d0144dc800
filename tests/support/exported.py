"""An exported folder's own program at work."""

import json
import subprocess
import sys
from pathlib import Path


def run_script(folder: Path, *pictures: Path, python: str = sys.executable) -> list[dict]:
    """The answers of an exported folder's own `predict.py`."""
    done = subprocess.run(
        [python, folder / "predict.py", *pictures], capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
