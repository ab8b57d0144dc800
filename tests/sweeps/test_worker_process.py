"""A worker keeps its data open, and speaks in lines."""

import io
import json

from tenfold.data import Source
from tenfold.recipe import Data
from tenfold.sweeps.worker_process import OpenData, _send


def test_a_source_is_opened_once_for_each_way_of_decoding_it():
    opened = OpenData()
    plain = opened(Data(), Source("digits"))
    assert opened(Data(), Source("digits")) is plain
    large = opened(Data(image_size=12), Source("digits"))
    assert large.image_shape == (1, 12, 12)
    assert len(opened.opened) == 2


def test_a_report_is_a_line():
    stream = io.StringIO()
    _send(stream, {"event": "ended", "error": "two\nlines"})
    _send(stream, {"event": "ready"})
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["ended", "ready"]
