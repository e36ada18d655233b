"""Kernels about functions: calls of every shape that stay in Python or enter C."""

from functools import reduce, wraps


def add(a, b):
    return a + b


def add_three(a, b, c):
    return add(a, b) + c


def nothing():
    pass


def calls(loops):
    total = 0
    for _ in range(loops):
        for i in range(4000):
            nothing()
            total = add(total, i)
            total = add_three(i, total, 1)
    return total


def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def recursion(loops):
    total = 0
    for _ in range(loops):
        total += fibonacci(17)
    return total


def area(width, height=2, *, margin=1, scale=3):
    return (width + margin) * (height + margin) * scale


def keywords(loops):
    total = 0
    for _ in range(loops):
        for i in range(3000):
            total += area(i)
            total += area(i, height=4)
            total += area(width=3, height=i, scale=2)
            total += area(i, 5, margin=2, scale=1)
    return total


def counted(function):
    """Decorate as most wrappers do: any arguments in, the same arguments on."""

    @wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.count += 1
        return function(*args, **kwargs)

    wrapper.count = 0
    return wrapper


@counted
def scale(value, factor=2, *, offset=0):
    return value * factor + offset


def gather(*values, **options):
    return len(values) + len(options)


def star_args(loops):
    total = 0
    pair = (3, 4)
    named = {"offset": 1}
    for _ in range(loops):
        for i in range(1500):
            total += scale(i)
            total += scale(i, offset=3)
            total += scale(*pair, **named)
            total += gather(i, *pair)
            total += gather(*pair, **named)
    return total


def make_counter(step):
    count = 0

    def advance():
        nonlocal count
        count += step
        return count

    def peek():
        return count * step

    return advance, peek


def closures(loops):
    total = 0
    for _ in range(loops):
        for step in range(100):
            advance, peek = make_counter(step)
            for _ in range(20):
                advance()
                total += peek()
            total += (lambda x: x + step)(total & 7)
    return total


def builtins(loops):
    total = 0
    items = [3, 1, 2]
    text = "tasklet"
    for _ in range(loops):
        for i in range(2000):
            total += len(items)
            total += abs(-i)
            total += ord("x")
            if isinstance(i, int):
                total += max(i, 7)
            items.append(i)
            items.pop()
            if text.startswith("task"):
                total += int("12")
    return total


def square(x):
    return x * x


def odd(x):
    return x & 1


def distance(x):
    return abs(x - 50)


def higher_order(loops):
    total = 0
    numbers = range(100)
    for _ in range(loops):
        for _ in range(25):
            total += sum(map(square, numbers))
            total += len(list(filter(odd, numbers)))
            total += min(numbers, key=distance)
            total += reduce(add, numbers)
            for left, right in zip(map(odd, numbers), numbers):
                total += left * right
    return total
