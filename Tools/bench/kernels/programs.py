"""Kernels that are small programs, where many concepts meet as they do in real code."""

import re


# A scheduler of tasks that pass packets along, by priority, until their work is done.

IDLE, READY, HELD = range(3)


class Packet:
    def __init__(self, kind, target):
        self.kind = kind
        self.target = target
        self.data = [0] * 4
        self.next = None


class Task:
    def __init__(self, system, name, priority):
        self.system = system
        self.name = name
        self.priority = priority
        self.state = IDLE
        self.first = None
        self.last = None
        self.handled = 0
        system.tasks[name] = self
        system.order.append(self)
        system.order.sort(key=lambda task: -task.priority)

    def put(self, packet):
        packet.next = None
        if self.first is None:
            self.first = packet
        else:
            self.last.next = packet
        self.last = packet
        if self.state == IDLE:
            self.state = READY

    def take(self):
        packet = self.first
        self.first = packet.next
        if self.first is None:
            self.last = None
            self.state = IDLE
        return packet

    def step(self):
        packet = self.take()
        self.handled += 1
        self.handle(packet)

    def handle(self, packet):
        raise NotImplementedError


class Producer(Task):
    def __init__(self, system, name, priority, count):
        Task.__init__(self, system, name, priority)
        self.left = count

    def handle(self, packet):
        if self.left == 0:
            self.system.hold(self.name)
            return
        self.left -= 1
        packet.kind = "odd" if self.left & 1 else "even"
        for i in range(4):
            packet.data[i] = (self.left + i) & 15
        self.system.send("router", packet)


class Router(Task):
    def handle(self, packet):
        target = packet.target if packet.kind == "odd" else "device"
        self.system.send(target, packet)


class Worker(Task):
    def __init__(self, system, name, priority, answer):
        Task.__init__(self, system, name, priority)
        self.answer = answer
        self.sum = 0

    def handle(self, packet):
        for value in packet.data:
            self.sum = (self.sum * 3 + value) & 0xFFFF
        self.system.send(self.answer, packet)


class Device(Task):
    """Answers every second packet late, from a store of its own."""

    def __init__(self, system, name, priority, answer):
        Task.__init__(self, system, name, priority)
        self.answer = answer
        self.stored = None

    def handle(self, packet):
        if self.stored is None and self.handled % 2:
            self.stored = packet
            self.put(Packet("tick", self.name))
            return
        if packet.kind != "tick":
            self.system.send(self.answer, packet)
        if self.stored is not None:
            late, self.stored = self.stored, None
            self.system.send(self.answer, late)


class System:
    def __init__(self):
        self.tasks = {}
        self.order = []
        self.sent = 0

    def send(self, name, packet):
        self.sent += 1
        self.tasks[name].put(packet)

    def hold(self, name):
        self.tasks[name].state = HELD

    def find(self):
        for task in self.order:
            if task.state == READY:
                return task
        return None

    def run(self):
        while (task := self.find()) is not None:
            task.step()


def scheduler(loops):
    total = 0
    for _ in range(loops):
        system = System()
        producer = Producer(system, "producer", 1, 120)
        Router(system, "router", 3)
        workers = [Worker(system, "adder", 2, "producer"), Worker(system, "mixer", 4, "producer")]
        Device(system, "device", 5, "producer")
        for target in ("adder", "mixer", "adder"):
            producer.put(Packet("new", target))
        system.run()
        total += system.sent + sum(worker.sum for worker in workers)
    return total


# Bodies that attract each other, in plain lists of floats.


def make_bodies():
    bodies = []
    for i in range(5):
        distance = 1.0 + i * 1.7
        bodies.append([distance, 0.3 * i, -0.1 * i, 0.1 * i, 1.0 / distance, 0.05, 0.001 + 0.002 * i])
    bodies[0][6] = 4.0
    return bodies


def advance(bodies, pairs, step):
    for one, two in pairs:
        dx = one[0] - two[0]
        dy = one[1] - two[1]
        dz = one[2] - two[2]
        squared = dx * dx + dy * dy + dz * dz + 0.01
        pull = step / (squared * squared ** 0.5)
        push = two[6] * pull
        one[3] -= dx * push
        one[4] -= dy * push
        one[5] -= dz * push
        push = one[6] * pull
        two[3] += dx * push
        two[4] += dy * push
        two[5] += dz * push
    for body in bodies:
        body[0] += step * body[3]
        body[1] += step * body[4]
        body[2] += step * body[5]


def energy(bodies):
    total = 0.0
    for index, one in enumerate(bodies):
        total += 0.5 * one[6] * (one[3] ** 2 + one[4] ** 2 + one[5] ** 2)
        for two in bodies[index + 1:]:
            squares = ((one[axis] - two[axis]) ** 2 for axis in range(3))
            total -= one[6] * two[6] / (sum(squares) + 0.01) ** 0.5
    return total


def gravity(loops):
    bodies = make_bodies()
    pairs = [(one, two) for i, one in enumerate(bodies) for two in bodies[i + 1:]]
    total = 0.0
    for _ in range(loops):
        for _ in range(50):
            advance(bodies, pairs, 0.001)
        total += energy(bodies)
    return round(total, 6)


# For every permutation, reverse the prefix its first item names until that item is 0.


def arrangements(size):
    """Yield every permutation of range(size) as one list, changed in place."""
    items = list(range(size))
    turns = [0] * size
    yield items
    index = 1
    while index < size:
        if turns[index] < index:
            other = turns[index] if index & 1 else 0
            items[index], items[other] = items[other], items[index]
            turns[index] += 1
            index = 1
            yield items
        else:
            turns[index] = 0
            index += 1


def flips(loops):
    most = total = 0
    for _ in range(loops):
        for items in arrangements(6):
            count = 0
            row = items[:]
            while head := row[0]:
                row[:head + 1] = row[head::-1]
                count += 1
            if count > most:
                most = count
            total += count
    return most * 1000000 + total


# Variables tied by one-way constraints, of which the strongest that can hold do.


class Variable:
    def __init__(self, value=0):
        self.value = value
        self.source = None
        self.users = []
        self.mark = 0


class Constraint:
    def __init__(self, strength, inputs, output):
        self.strength = strength
        self.inputs = inputs
        self.output = output
        for variable in inputs:
            variable.users.append(self)

    def stronger(self, other):
        return other is None or self.strength > other.strength

    def compute(self):
        raise NotImplementedError


class Stay(Constraint):
    def compute(self):
        return self.output.value


class Edit(Constraint):
    value = 0

    def compute(self):
        return self.value


class Equal(Constraint):
    def compute(self):
        return self.inputs[0].value


class Linear(Constraint):
    def __init__(self, strength, inputs, output, factor, offset):
        super().__init__(strength, inputs, output)
        self.factor = factor
        self.offset = offset

    def compute(self):
        return (self.inputs[0].value * self.factor + self.offset) & 0xFFFFF


class Solver:
    def __init__(self):
        self.mark = 0

    def add(self, constraint):
        output = constraint.output
        if constraint.stronger(output.source):
            loser, output.source = output.source, constraint
            self.propagate(output)
            return loser
        return constraint

    def remove(self, constraint, fallback):
        output = constraint.output
        if output.source is constraint:
            output.source = fallback
            self.propagate(output)

    def plan(self, start):
        """The constraints to compute, in order, when `start` changes."""
        self.mark += 1
        steps = []
        pending = [start]
        while pending:
            variable = pending.pop()
            if variable.mark == self.mark:
                continue
            variable.mark = self.mark
            if variable.source is not None:
                steps.append(variable.source)
            pending.extend(user.output for user in variable.users if user.output.source is user)
        return steps

    def propagate(self, start):
        for step in self.plan(start):
            step.output.value = step.compute()


def constraints(loops):
    total = 0
    for _ in range(loops):
        solver = Solver()
        chain = [Variable(i) for i in range(40)]
        for variable in chain[::5]:
            solver.add(Stay(1, [], variable))
        for i in range(39):
            if i % 3:
                solver.add(Equal(3, [chain[i]], chain[i + 1]))
            else:
                solver.add(Linear(3, [chain[i]], chain[i + 1], 3, i))
        stay = chain[0].source
        for value in range(5):
            edit = Edit(5, [], chain[0])
            edit.value = value
            solver.add(edit)
            total += chain[-1].value
            solver.remove(edit, stay)
    return total


# A calculator: regular expression, recursive descent, tree of tuples, evaluator.

TOKEN = re.compile(r"\s*(?:(\d+)|([a-z]+)|(.))")


class Parser:
    def __init__(self, text):
        self.tokens = [match.groups() for match in TOKEN.finditer(text)]
        self.position = 0

    def symbol(self):
        if self.position < len(self.tokens):
            return self.tokens[self.position][2]
        return None

    def sum(self):
        left = self.product()
        while (symbol := self.symbol()) in ("+", "-"):
            self.position += 1
            left = (symbol, left, self.product())
        return left

    def product(self):
        left = self.atom()
        while (symbol := self.symbol()) in ("*", "/"):
            self.position += 1
            left = (symbol, left, self.atom())
        return left

    def atom(self):
        number, name, symbol = self.tokens[self.position]
        self.position += 1
        if number:
            return ("number", int(number))
        if name:
            return ("name", name)
        if symbol != "(":
            raise SyntaxError(symbol)
        inner = self.sum()
        self.position += 1
        return inner


def evaluate(node, names):
    kind = node[0]
    if kind == "number":
        return node[1]
    if kind == "name":
        return names[node[1]]
    left = evaluate(node[1], names)
    right = evaluate(node[2], names)
    if kind == "+":
        return left + right
    if kind == "-":
        return left - right
    if kind == "*":
        return left * right
    return left // right


def calculator(loops):
    total = 0
    for _ in range(loops):
        for i in range(4):
            tree = Parser("(x + 12) * (y - 3) / 7 + x * (2 + y * (x - 1)) - 1").sum()
            for x in range(4):
                total += evaluate(tree, {"x": x, "y": i})
        try:
            Parser("1 + * 2").sum()
        except SyntaxError:
            total += 1
    return total


# Cells that live and die by the number of their neighbours.

AROUND = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


def generation(alive):
    counts = {}
    for x, y in alive:
        for dx, dy in AROUND:
            cell = (x + dx, y + dy)
            counts[cell] = counts.get(cell, 0) + 1
    return {cell for cell, count in counts.items() if count == 3 or count == 2 and cell in alive}


def life(loops):
    total = 0
    for _ in range(loops):
        alive = {(0, 1), (1, 3), (2, 0), (2, 1), (2, 4), (2, 5), (2, 6)}
        for _ in range(12):
            alive = generation(alive)
        total += len(alive)
    return total


# Search trees of instances: insert, look up, measure.


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key = key
        self.left = None
        self.right = None


class Tree:
    def __init__(self):
        self.root = None
        self.size = 0

    def insert(self, key):
        node = Node(key)
        if self.root is None:
            self.root = node
        else:
            place = self.root
            while True:
                side = "left" if key < place.key else "right"
                below = getattr(place, side)
                if below is None:
                    setattr(place, side, node)
                    break
                place = below
        self.size += 1

    def __contains__(self, key):
        node = self.root
        while node is not None:
            if key == node.key:
                return True
            node = node.left if key < node.key else node.right
        return False

    def depth(self, node):
        if node is None:
            return 0
        return 1 + max(self.depth(node.left), self.depth(node.right))


def trees(loops):
    total = 0
    for _ in range(loops):
        tree = Tree()
        key = 17
        for _ in range(120):
            key = (key * 421 + 99) % 1009
            tree.insert(key)
        for key in range(0, 1009, 5):
            if key in tree:
                total += key
        total += tree.depth(tree.root) + tree.size
    return total


# Rays shot at spheres: a class of vectors with operators, floats, early returns.


class Vector:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    @property
    def length(self):
        return self.dot(self) ** 0.5

    def unit(self):
        return self * (1.0 / self.length)


class Sphere:
    def __init__(self, centre, radius, shade):
        self.centre = centre
        self.radius = radius
        self.shade = shade

    def hit(self, origin, direction):
        offset = origin - self.centre
        half = offset.dot(direction)
        inside = half * half - offset.dot(offset) + self.radius * self.radius
        if inside < 0.0:
            return None
        distance = -half - inside ** 0.5
        return distance if distance > 0.001 else None


def brightness(spheres, origin, direction, depth):
    nearest = None
    best = 1e9
    for sphere in spheres:
        distance = sphere.hit(origin, direction)
        if distance is not None and distance < best:
            nearest, best = sphere, distance
    if nearest is None:
        return 0.1
    point = origin + direction * best
    normal = (point - nearest.centre).unit()
    light = max(normal.dot(Vector(0.5, 0.7, -0.5)), 0.0) * nearest.shade
    if depth:
        bounced = direction - normal * (2.0 * normal.dot(direction))
        light += 0.3 * brightness(spheres, point, bounced, depth - 1)
    return light


def tracer(loops):
    spheres = [Sphere(Vector(i - 2.0, 0.3 * i - 0.5, 5.0 + i), 1.0, 0.2 * i + 0.2) for i in range(4)]
    origin = Vector(0.0, 0.0, 0.0)
    total = 0.0
    for _ in range(loops):
        for y in range(5):
            for x in range(6):
                direction = Vector(x / 3.0 - 1.0, y / 3.0 - 0.8, 1.5).unit()
                total += brightness(spheres, origin, direction, 2)
    return round(total, 6)
