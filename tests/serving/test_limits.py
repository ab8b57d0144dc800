"""What clients may take."""

from tenfold.serving.limits import Limits


def test_a_body_may_hold_the_largest_picture_and_a_form_around_it():
    assert Limits(image_bytes=100).body_bytes == 100 + 16 * 1024
