"""Kernels about control: loops, comprehensions, generators, coroutines, exceptions, matching."""


def branches(loops):
    total = 0
    for _ in range(loops):
        i = 0
        while i < 3000:
            i += 1
            if i % 3 == 0:
                continue
            if i == 2999:
                break
            total += i
        for j in range(60):
            for k in range(60):
                if k > j:
                    break
                total += 1 if k != j and j > 5 else 2
            else:
                total += 3
    return total


def comprehensions(loops):
    total = 0
    numbers = range(100)
    for _ in range(loops):
        for _ in range(20):
            squares = [x * x for x in numbers]
            odd = [x for x in squares if x & 1]
            table = {x: x + 1 for x in odd}
            digits = {x % 10 for x in squares}
            grid = [[x * y for x in range(5)] for y in range(5)]
            total += len(odd) + len(table) + len(digits) + grid[4][4]
    return total


def count_up(limit):
    value = 0
    while value < limit:
        yield value
        value += 1


def endless():
    received = 0
    while True:
        received = yield received + 1


def generators(loops):
    total = 0
    echo = endless()
    next(echo)
    for _ in range(loops):
        for _ in range(20):
            for value in count_up(100):
                total += value
            for value in count_up(3):
                total += value
            for i in range(20):
                total += echo.send(i)
            total += sum(count_up(20))
    return total


def doubled(source):
    for value in source:
        yield value * 2


def keep_every(source, step):
    for index, value in enumerate(source):
        if index % step == 0:
            yield value


def pipelines(loops):
    total = 0
    for _ in range(loops):
        for _ in range(8):
            source = count_up(200)
            stage = (value + 1 for value in doubled(source))
            for value in keep_every(doubled(stage), 2):
                total += value
            total += sum(value for value in range(100) if value & 3)
            if any(value > 90 for value in count_up(100)):
                total += 1
    return total


class Branch:
    def __init__(self, left, value, right):
        self.left = left
        self.value = value
        self.right = right

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.value
        if self.right:
            yield from self.right


def build(low, high):
    if low >= high:
        return None
    middle = (low + high) // 2
    return Branch(build(low, middle), middle, build(middle + 1, high))


def flatten(items):
    for item in items:
        if isinstance(item, list):
            yield from flatten(item)
        else:
            yield item


def yield_from(loops):
    total = 0
    tree = build(0, 127)
    nested = [1, [2, [3, [4, [5] * 10] * 2], 6], 7] * 4
    for _ in range(loops):
        for value in tree:
            total += value
        for value in flatten(nested):
            total += value
    return total


class Step:
    """An awaitable that suspends once and returns what it is sent."""

    def __await__(self):
        return (yield self)


async def leaf(value):
    return value + 1


async def middle(value):
    value = await leaf(value)
    return await leaf(value)


async def root(count):
    total = 0
    for i in range(count):
        total += await middle(i)
        if not i & 3:
            total += await Step()
    return total


def coroutines(loops):
    total = 0
    for _ in range(loops):
        coroutine = root(400)
        try:
            coroutine.send(None)
            while True:
                coroutine.send(1)
        except StopIteration as stop:
            total += stop.value
    return total


class Refused(Exception):
    pass


def check(value):
    if value & 1:
        raise Refused(value)
    return value


def pass_on(value):
    try:
        return check(value)
    finally:
        value += 1


def exceptions(loops):
    total = 0
    table = {}
    for _ in range(loops):
        for i in range(700):
            try:
                total += pass_on(i)
            except Refused as error:
                total += error.args[0]
            try:
                table[i]
            except (IndexError, KeyError):
                total += 1
            try:
                try:
                    raise ValueError("x")
                except ValueError as error:
                    raise LookupError from error
            except LookupError:
                total += 2
            try:
                total += i
            except OSError:
                total += 3
    return total


class Shape:
    __match_args__ = ("width", "height")

    def __init__(self, width, height):
        self.width = width
        self.height = height


def describe(value):
    match value:
        case 0:
            return 1
        case "stop" | "go":
            return 2
        case [x, y]:
            return x + y
        case [first, *rest]:
            return first + len(rest)
        case {"kind": kind, "size": int(size)} if size > 2:
            return len(kind) + size
        case Shape(width, height=7):
            return width
        case Shape(width=width, height=height):
            return width * height
        case _:
            return 3


def matching(loops):
    total = 0
    values = [0, "go", (1, 2), [1, 2, 3], {"kind": "box", "size": 3}, Shape(2, 7), Shape(2, 3), 4.5]
    for _ in range(loops):
        for _ in range(150):
            for value in values:
                total += describe(value)
    return total
