"""The verbs of a trained model at work: what they refuse before any work."""

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "RUN"), "no pictures were named"),
        (("predict", "RUN", "gone.png"), "gone.png"),
        (("predict", "RUN", "--format", "jsno", "a.png"), "--format jsno: there is no such format"),
        (("export", "RUN", "--format", "onnx, torhc"), "--format torhc: there is no such format"),
        (("push", "RUN", "me/mine"), "export"),
        (("serve", "gone"), "gone: is neither a run folder nor an exported one"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_the_reason(words, said, command, finished, tmp_path):
    words = [str(finished[0]) if word == "RUN" else word for word in words]
    answer = command(*words, folder=tmp_path)
    assert answer.status == 2
    assert answer.err.startswith("tenfold: ")
    assert said in answer.err
    assert list(tmp_path.iterdir()) == []
