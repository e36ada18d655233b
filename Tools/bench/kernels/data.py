"""Kernels about the builtin types: containers, strings, numbers, and what formats and sorts them."""

import json
from json.encoder import JSONEncoder


def dicts(loops):
    total = 0
    names = [f"name{i}" for i in range(100)]
    for _ in range(loops):
        for _ in range(10):
            table = {}
            for i, name in enumerate(names):
                table[name] = i
            for name in names:
                total += table[name]
                if name in table:
                    table[name] += 1
            for key, value in table.items():
                total += value + len(key)
            for i in range(50):
                table[i] = table.get(i - 1, 0) + 1
            del table[0]
            total += len({**table, "one": 1})
    return total


def lists(loops):
    total = 0
    for _ in range(loops):
        for _ in range(10):
            items = []
            for i in range(200):
                items.append(i)
            for i in range(199):
                items[i] = items[i + 1] + items[-1]
            total += len(items[10:50]) + sum(items[::2])
            for value in items:
                total += value
            while items:
                total += items.pop()
            total += len([total, 1, 2] + [3] * 10)
    return total


def tuples(loops):
    total = 0
    for _ in range(loops):
        a, b, c = 1, 2, 3
        for i in range(3000):
            a, b = b, a
            point = (a, b, i)
            c, b, a = point[1], point[0], c
            first, *rest = point
            total += first + rest[1]
            if point < (1, 2, 3):
                total += 1
        total += a + b + c
    return total


def sets(loops):
    total = 0
    evens = {i * 2 for i in range(100)}
    for _ in range(loops):
        for _ in range(20):
            seen = {0}
            for i in range(150):
                if i not in seen:
                    seen.add(i * 3)
                if i in evens:
                    total += 1
            total += len(seen & evens) + len(seen | evens) + len(seen - evens)
            seen.discard(3)
            for value in seen:
                total += value
    return total


def strings(loops):
    total = 0
    line = "the quick brown fox jumps over the lazy dog"
    for _ in range(loops):
        for i in range(250):
            words = line.split(" ")
            text = ""
            for word in words:
                text += word
                if word[0] == "t" or word == "lazy":
                    total += 1
            total += text.find("lazy") + len(text[3:-3])
            text = "-".join(words).replace("o", "0").upper()
            for letter in word:
                if letter in "aeiou":
                    total += ord(letter)
            if text.endswith("DOG") and "F0X" in text:
                total += len(text.strip("T"))
    return total


def floats(loops):
    total = 0.0
    for _ in range(loops):
        x = 0.5
        y = 1.5
        for i in range(5000):
            x = x * 0.99 + y * 0.01
            y = y - x / 3.0 + 0.25
            if x > y:
                total += x - y
            else:
                total -= y * 0.5
            x = -x if x < 0.0 else x
    return round(total, 6)


def integers(loops):
    total = 0
    for _ in range(loops):
        value = 12345
        for i in range(3000):
            value = (value * 1103515245 + 12345) & 0x7FFFFFFF
            total += (value >> 16) ^ i
            if value % 3 == 0:
                total -= i // 2
            elif value & 8 != 0:
                total += i << 2
            total &= 0xFFFFFFFF
    return total


def formatting(loops):
    total = 0
    name = "tasklet"
    ratio = 0.987654
    for _ in range(loops):
        for i in range(800):
            total += len(f"{name}-{i}")
            total += len(f"{name!r} has {i:5d} of {ratio:.3f}")
            total += len(f"{name:>12}|{i:#x}|{i + 1}")
            total += len("%s=%d" % (name, i))
            total += len("{} and {}".format(name, i))
    return total


def by_remainder(value):
    return value % 37


def sorting(loops):
    total = 0
    numbers = [(i * 7919) % 1009 for i in range(250)]
    words = [f"{value:04d}" for value in numbers]
    pairs = [(value % 10, value) for value in numbers]
    for _ in range(loops):
        for _ in range(4):
            total += sorted(numbers)[7]
            total += len(sorted(words)[3])
            total += sorted(numbers, key=by_remainder)[9]
            total += sorted(pairs, key=lambda pair: -pair[1])[5][0]
            copy = numbers[:]
            copy.sort(reverse=True)
            total += copy[1]
    return total


class Plain(JSONEncoder):
    """An encoder that the C accelerator leaves to the pure-Python path."""

    def default(self, value):
        return [value.real, value.imag]


def json_text(loops):
    total = 0
    record = {
        "id": 17,
        "name": "a name with a few words",
        "tags": ["red", "green", "blue", None, True],
        "nested": {"ratio": 0.25, "items": [{"x": i, "y": i * 0.5} for i in range(8)]},
    }
    text = json.dumps(record)
    plain = Plain(indent=1)
    for _ in range(loops):
        for _ in range(10):
            total += len(json.dumps(record))
            total += json.loads(text)["id"]
            total += len(plain.encode(record))
        total += len(plain.encode({"z": 1 + 2j}))
    return total
