"""What tasklets show of themselves that is easier said in Python."""

from traceback import StackSummary, walk_stack

from . import tasklet


def stack_of(t: tasklet) -> StackSummary:
    """The frames of a tasklet, the innermost last."""
    frame = t.frame
    if frame is None:
        return StackSummary()
    stack = StackSummary.extract(walk_stack(frame))
    stack.reverse()
    return stack
