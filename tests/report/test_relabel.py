"""The page of suspected labels: names of files and classes are hostile input."""

import json

from images import scene

from tenfold.report.relabel import Suspect, write_relabel


def test_names_are_no_code(tmp_path):
    name = '"><script>alert(1)</script>.png'
    suspects = [Suspect(name, "train", "<b>", "c&d", 0.9, 0)]
    page = write_relabel(suspects, scene(0)[None], "run", ["<b>", "c&d"], tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert json.dumps(name) not in page
    assert write_relabel([], scene(0)[None], "run", ["a"], tmp_path / "none.html").is_file()
