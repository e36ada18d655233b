"""Kernels about classes: methods, attributes, instances and the special methods behind syntax."""


class Account:
    bonus = 1

    def __init__(self, amount):
        self.amount = amount

    def deposit(self, amount):
        self.amount += amount

    def balance(self):
        return self.amount

    def both(self, amount):
        self.deposit(amount)
        return self.balance()

    @classmethod
    def extra(cls):
        return cls.bonus

    @staticmethod
    def fee(amount):
        return amount >> 4


class Savings(Account):
    bonus = 2

    def deposit(self, amount):
        super().deposit(amount + 1)


def methods(loops):
    total = 0
    for _ in range(loops):
        plain = Account(0)
        savings = Savings(0)
        for i in range(1000):
            plain.deposit(i)
            total += plain.balance()
            total += plain.both(1)
            savings.deposit(1)
            total += savings.extra() + savings.fee(i)
            bound = savings.balance
            total += bound()
    return total


class Body:
    kind = 1

    def __init__(self):
        self.x = 1
        self.y = 2
        self.mass = 3


class SlottedBody:
    __slots__ = ("x", "y", "mass")

    def __init__(self):
        self.x = 1
        self.y = 2
        self.mass = 3


def attributes(loops):
    body = Body()
    slotted = SlottedBody()
    total = 0
    for _ in range(loops):
        for i in range(2500):
            body.x = i
            body.y = body.x + body.mass
            slotted.x = body.y
            slotted.y = slotted.x + slotted.mass
            body.mass = slotted.y & 7
            total += body.kind + slotted.y + Body.kind
    return total


class Empty:
    pass


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y


class Segment:
    __slots__ = ("start", "end")

    def __init__(self, start, end=None):
        self.start = start
        self.end = end


class NamedPoint(Point):
    def __init__(self, x, y, name):
        super().__init__(x, y)
        self.name = name


def instances(loops):
    total = 0
    for _ in range(loops):
        for i in range(1000):
            start = Point(i, 1)
            end = NamedPoint(1, i, "end")
            segment = Segment(start, end)
            Empty()
            Segment(start)
            total += segment.start.x + segment.end.y
    return total


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor)

    def __rmul__(self, factor):
        return Vector(self.x * factor, self.y * factor)

    def __iadd__(self, other):
        self.x += other.x
        self.y += other.y
        return self

    def __neg__(self):
        return Vector(-self.x, -self.y)

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __lt__(self, other):
        return self.x < other.x

    def __bool__(self):
        return self.x != 0


def dunder(loops):
    total = 0
    one = Vector(1, 1)
    for _ in range(loops):
        position = Vector(0, 0)
        for i in range(400):
            position = position + one
            position += one
            moved = 2 * position - one * 3
            if moved == position:
                total += 1
            if position < -moved:
                total += 2
            if moved:
                total += moved.y
    return total


class Window:
    """A view on a list, with every container method in Python."""

    def __init__(self, items):
        self.items = items
        self.index = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.items[index]

    def __setitem__(self, index, value):
        self.items[index] = value

    def __contains__(self, value):
        return value < 4

    def __iter__(self):
        self.index = 0
        return self

    def __next__(self):
        index = self.index
        if index >= 8:
            raise StopIteration
        self.index = index + 1
        return self.items[index]


def containers(loops):
    total = 0
    window = Window(list(range(8)))
    for _ in range(loops):
        for i in range(400):
            window[i & 7] = i & 3
            total += window[3] + window[i & 7]
            total += len(window)
            if i & 7 in window:
                total += 1
            for item in window:
                total += item
    return total


class Default:
    """A descriptor that stores under a name of its own."""

    def __set_name__(self, owner, name):
        self.key = "_" + name

    def __get__(self, instance, owner):
        return instance.__dict__[self.key]

    def __set__(self, instance, value):
        instance.__dict__[self.key] = value


class Circle:
    level = Default()

    def __init__(self, radius):
        self._radius = radius
        self.level = 1

    @property
    def diameter(self):
        return self._radius * 2

    @diameter.setter
    def diameter(self, value):
        self._radius = value // 2

    def __getattr__(self, name):
        return len(name)

    def __call__(self, factor):
        return self._radius * factor


def properties(loops):
    total = 0
    circle = Circle(3)
    for _ in range(loops):
        for i in range(800):
            circle.diameter = i
            total += circle.diameter
            circle.level = i
            total += circle.level
            total += circle.missing
            total += circle(2)
    return total


class Guard:
    def __init__(self):
        self.depth = 0

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, kind, value, traceback):
        self.depth -= 1
        return kind is KeyError


def with_statement(loops):
    total = 0
    outer = Guard()
    inner = Guard()
    for _ in range(loops):
        for i in range(1500):
            with outer as guard:
                total += guard.depth
            with outer, inner:
                total += outer.depth + inner.depth
            if not i & 15:
                with inner:
                    raise KeyError(i)
    return total
