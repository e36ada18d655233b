"""What test cases that make tasklets have in common."""

import os
import pickle
import unittest

from stackless import channel, getcurrent, getruncount, run, tasklet

# The torture switches that are compiled in.
TORTURE = set(os.environ.get("SLP_TORTURE", "").split(","))

# The protocols that images can have.
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)

# For tests of what only tasklets without C frames can do: be freed silently, or be bound anew while paused.
needs_soft_switches = unittest.skipIf(TORTURE & {"hard", "refuse-soft"},
                                      "in this build every tasklet is suspended with its C frames")


def crowd(number):
    """So many; far fewer with a collection at every switch, where the time grows with the square of the number."""
    return min(number // 20, 1000) if "gc-at-switch" in TORTURE else number


class LeavesNoTasklets:
    """A test that leaves runnable tasklets behind fails, and the next one does not meet them."""

    def tearDown(self):
        left = getruncount() - 1
        while getruncount() > 1:
            getcurrent().next.remove()
        self.assertEqual(left, 0, "the test left runnable tasklets behind")


class Pickled(unittest.TestCase):
    """Tests of what a loaded object is like."""

    def each(self, obj):
        """The object after a round trip by each pickler and protocol."""
        for protocol in PROTOCOLS:
            for dumps in pickle.dumps, pickle._dumps:
                for loads in pickle.loads, pickle._loads:
                    with self.subTest(protocol=protocol, dumps=dumps.__module__, loads=loads.__module__):
                        yield loads(dumps(obj, protocol))


class BlocksSoftly(LeavesNoTasklets):
    """Tests that a tasklet which blocks inside of a construct has no C frames."""

    def blocked_in(self, start, function, *values):
        """The result of start(function(channel.receive)), where each value has to be waited for."""
        ch = channel()
        results = []
        t = tasklet(lambda: results.append(start(function(ch.receive))))()
        run()
        for value in values:
            self.assertTrue(t.blocked)
            self.assertIsNone(t.pinned)
            self.assertTrue(t.restorable)
            self.assertEqual(t.nesting_level, 0)
            ch.send(value)
            run()
        return results[0]
