"""What tasklets show of themselves that is easier said in Python."""

import traceback


def stack_of(tasklet) -> traceback.StackSummary:
    """The frames of a tasklet, the innermost last."""
    stack = traceback.StackSummary.extract(traceback.walk_stack(tasklet.frame)) if tasklet.frame else []
    stack = traceback.StackSummary.from_list(stack)
    stack.reverse()
    return stack
