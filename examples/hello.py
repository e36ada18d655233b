"""Two tasklets take turns: the smallest program on tasklets.

A tasklet is a function call that can stop in the middle and let others run.  `tasklet(function)`
makes one, calling it with arguments puts it at the end of the run queue, and `stackless.run()` runs
everything in the queue until nothing is left to do.  `stackless.schedule()` is how a tasklet says:
my turn is over, who is next?

    python examples/hello.py
"""

import stackless


def greet(name: str, times: int) -> None:
    """Say hello `times` times, giving the others a turn after each."""
    for turn in range(1, times + 1):
        print(f"{name} says hello, {turn} of {times}")
        stackless.schedule()


def main() -> None:
    stackless.tasklet(greet)("Ada", 3)
    stackless.tasklet(greet)("Grace", 2)
    print(f"{stackless.getruncount()} tasklets are runnable, this one included")
    stackless.run()
    print("all done")


if __name__ == "__main__":
    main()
