"""The frames of other threads are made at a moment when nothing else runs."""

from __future__ import annotations

import gc
import threading

from harness.probe.hooks.state import thread_state

DEEP = 300


def test_a_stack_is_made_whole_where_a_collection_may_begin_meanwhile() -> None:
    """Going from frame to frame makes none any more, so no finalizer can run between them."""
    reached, ended = threading.Event(), threading.Event()

    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            reached.set()
            ended.wait()

    thread = threading.Thread(target=deeper, args=(DEEP,))
    thread.start()
    reached.wait()
    before, threshold = thread_state._COLLECTS, gc.get_threshold()
    thread_state._COLLECTS = True  # as on Python 3.11
    gc.collect()
    gc.set_threshold(1_000_000)
    try:
        frame = thread_state.current_frames()[thread.ident or 0]
        made, depth = gc.get_count()[0], 0
        while frame.f_back is not None:
            frame, depth = frame.f_back, depth + 1
        made = gc.get_count()[0] - made
    finally:
        gc.set_threshold(*threshold)
        thread_state._COLLECTS = before
        ended.set()
        thread.join()

    assert depth >= DEEP
    assert made < DEEP / 10
    assert gc.isenabled()
