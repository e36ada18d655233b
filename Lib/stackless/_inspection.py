"""What tasklets show of themselves that is easier said in Python."""

from traceback import StackSummary, walk_stack
from types import FrameType


def stack_of(frame: FrameType | None) -> StackSummary:
    """The frames up to `frame`, the innermost last."""
    if frame is None:
        return StackSummary()
    stack = StackSummary.extract(walk_stack(frame))
    stack.reverse()
    return stack
