"""Results of other threads and processes come in order, and only what is waited for is begun."""

import time
from concurrent.futures import ThreadPoolExecutor

from tenfold.inference.decoding import in_order


def test_results_come_in_order_and_what_nobody_waits_for_is_not_begun():
    begun = []

    def slow_first(number: int) -> int:
        begun.append(number)
        time.sleep(0.05 if number == 0 else 0)
        return -number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(lambda number: pool.submit(slow_first, number), iter(range(1000)), 3)
        assert [next(results) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
        results.close()
    assert len(begun) <= 7
