# cython: language_level=3
"""What test_compiled has Cython compile: each of its constructs once, with Python code called from within."""

from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc, qsort

cdef extern from "stackless_api.h":
    object PyStackless_GetCurrent()
    object PyStackless_Schedule(object value, int remove)
    ctypedef struct PyChannelObject
    PyChannelObject *PyChannel_New(void *type) except NULL
    int PyChannel_Send(PyChannelObject *channel, object value) except -1
    object PyChannel_Receive(PyChannelObject *channel)


def call(f, *args, **kwargs):
    """A call from C, which keeps the C stack."""
    return f(*args, **kwargs)


def guarded(f, log):
    """The same in try and finally."""
    try:
        return f()
    except ValueError as error:
        log.append(repr(error))
        return None
    finally:
        log.append('finally')


def fibonacci(int n, f):
    """Typed C code with a call at the bottom of a recursion."""
    if n < 2:
        f()
        return n
    return fibonacci(n - 1, f) + fibonacci(n - 2, f)


def squares(numbers, f):
    """A generator that calls on each step."""
    cdef long n
    for n in numbers:
        yield f(n * n)


def delegating(numbers, f):
    result = yield from squares(numbers, f)
    return result


async def waiting(awaitable, f):
    """A coroutine."""
    value = await awaitable
    return f(value)


def closure(f):
    total = 0

    def add(n):
        nonlocal total
        total += f(n)
        return total
    return add


def with_block(manager):
    with manager as value:
        return value


def comprehension(numbers, f):
    return [f(n) for n in numbers], {n: f(n) for n in numbers}, sorted(numbers, key=f), tuple(map(f, numbers))


cdef class Vector:
    """An extension type with operators, a property and iteration, all of which call f."""
    cdef readonly list items
    cdef object f
    cdef int position

    def __cinit__(self, items, f):
        self.items = list(items)
        self.f = f

    def __add__(Vector self, Vector other):
        return Vector([self.f(a + b) for a, b in zip(self.items, other.items)], self.f)

    def __getitem__(self, index):
        return self.f(self.items[index])

    def __iter__(self):
        self.position = 0
        return self

    def __next__(self):
        if self.position == len(self.items):
            raise StopIteration
        self.position += 1
        return self.f(self.items[self.position - 1])

    def __richcmp__(Vector self, other, int op):
        return self.f(op)

    @property
    def length(self):
        return self.f(len(self.items))

    cpdef double norm(self):
        return sum([self.f(item) ** 2 for item in self.items])


def view_sum(unsigned char[:] view, f):
    """A memoryview held across calls."""
    cdef Py_ssize_t i
    total = 0
    for i in range(view.shape[0]):
        total += f(view[i])
    return total


def without_gil(long n):
    """Work that lets other threads run."""
    cdef long i, total = 0
    with nogil:
        for i in range(n):
            total = (total + i) % 1000003
    return total


cdef object compare_with


cdef int compare(const void *a, const void *b) noexcept with gil:
    return compare_with((<int *>a)[0], (<int *>b)[0])


def sort_by_c(numbers, f):
    """qsort() of the C library calls Python."""
    global compare_with
    cdef int count = len(numbers)
    cdef int *array = <int *>malloc(count * sizeof(int))
    try:
        for i in range(count):
            array[i] = numbers[i]
        compare_with = f
        with nogil:
            qsort(array, count, sizeof(int), compare)
        return [array[i] for i in range(count)]
    finally:
        free(array)


def current():
    """The C API from Cython."""
    return PyStackless_GetCurrent()


def schedule(value):
    return PyStackless_Schedule(value, 0)


def make_channel():
    return <object>PyChannel_New(NULL)


def send(channel, value):
    PyChannel_Send(<PyChannelObject *>channel, value)


def receive(channel):
    return PyChannel_Receive(<PyChannelObject *>channel)


def fail():
    raise ValueError('from Cython')
