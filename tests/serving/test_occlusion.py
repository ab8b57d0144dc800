"""What the model looked at."""

import numpy as np
import pytest
from served import encoded


def test_the_explanation_finds_what_decides(client, digits):
    """Covering the whole of a digit's strokes costs more than covering the empty border."""
    picture = digits.test.images(slice(0, 1))[0, ..., 0]
    reply = client.predict(encoded(picture), path="/explain")
    assert reply.status == 200
    heat = np.array(reply.json["heat"])
    assert heat.shape[0] == heat.shape[1]
    assert heat.max() == pytest.approx(1, abs=1e-3)
    assert heat.min() >= 0
    assert reply.json["predicted"] == client.predict(encoded(picture)).json["predicted"]
    assert reply.json["picture"].startswith("data:image/png;base64,")
