"""What test cases that make tasklets have in common."""

from stackless import getcurrent, getruncount


class LeavesNoTasklets:
    """A test that leaves runnable tasklets behind fails, and the next one does not meet them."""

    def tearDown(self):
        left = getruncount() - 1
        while getruncount() > 1:
            getcurrent().next.remove()
        self.assertEqual(left, 0, "the test left runnable tasklets behind")
