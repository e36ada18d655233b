"""Changes to pickles that keep them pickles: what an opcode says, which object it refers to, its order.

A pickle is taken apart into its opcodes.  Numbers, byte strings (code, exception tables, tables of lines), texts
and references to other objects are changed in place, opcodes are dropped, doubled or exchanged; sometimes
bytes are changed as they are.  Everything follows from the random numbers of one seed.
"""

import pickletools
import random
import struct

NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 65535, 65536, 2**31 - 1,
           2**30, 2**30 + 3, -1, -2, -5, -128, -2**31]


def opcodes(data):
    """The pickle as a list of byte strings, one for each opcode, without frames."""
    ops = list(pickletools.genops(data))
    ends = [position for _, _, position in ops[1:]] + [len(data)]
    return [data[position:end] for (op, _, position), end in zip(ops, ends) if op.name != "FRAME"]


def number(random):
    if random.random() < 0.7:
        return random.choice(NUMBERS)
    return random.randrange(-300, 300)


def as_opcode(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -2**31 <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)


def changed_bytes(random, data):
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if not data:
            return bytes(data)
        i = random.randrange(len(data))
        kind = random.random()
        if kind < 0.35:
            data[i] = random.randrange(256)
        elif kind < 0.55:
            data[i] = (data[i] + random.choice((-2, -1, 1, 2))) % 256
        elif kind < 0.75:
            # Code units: exchange two, or copy one over another.
            i &= ~1
            j = random.randrange(len(data)) & ~1
            data[i:i + 2], data[j:j + 2] = data[j:j + 2], data[i:i + 2] if random.random() < 0.5 else data[j:j + 2]
        elif kind < 0.85:
            del data[i:i + random.choice((1, 2))]
        elif kind < 0.95:
            data[i:i] = data[i:i + 2]
        else:
            del data[i:]
    return bytes(data)


def changed(random, op, memo_size):
    """Another opcode in the place of this one."""
    code = op[:1]
    if code in b"KMJ" and len(op) > 1:
        if random.random() < 0.4:
            value = {b"K": lambda: op[1], b"M": lambda: struct.unpack("<H", op[1:])[0],
                     b"J": lambda: struct.unpack("<i", op[1:])[0]}[code]()
            return as_opcode(value + random.choice((-2, -1, 1, 2)))
        return as_opcode(number(random))
    if code == b"C":
        new = changed_bytes(random, op[2:])
        return b"C" + bytes([len(new)]) + new if len(new) < 256 else b"B" + struct.pack("<I", len(new)) + new
    if code == b"B":
        new = changed_bytes(random, op[5:])
        return b"B" + struct.pack("<I", len(new)) + new
    if code in (b"h", b"N", b"\x88", b"\x89", b")", b"]", b"}"):
        kind = random.random()
        if kind < 0.6 and memo_size:
            return b"h" + bytes([min(255, random.randrange(memo_size))])
        if kind < 0.8:
            return random.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}"))
        return as_opcode(number(random))
    if code == b"\x8c" and random.random() < 0.3:
        new = changed_bytes(random, op[2:]).decode("utf8", "replace").encode("utf8")[:255]
        new = new.decode("utf8", "ignore").encode("utf8")
        return b"\x8c" + bytes([len(new)]) + new
    if code in (b"\x85", b"\x86", b"\x87", b"t"):
        return random.choice((b"\x85", b"\x86", b"\x87"))
    return None


def choose(random, ops):
    """The index of an opcode to change; most are byte strings, numbers and references."""
    wanted = random.choice((b"CB", b"CB", b"KMJ", b"KMJ", b"hN\x88\x89", b""))
    found = [i for i in range(2, len(ops) - 1) if ops[i][:1] in wanted] if wanted else []
    return random.choice(found) if found else random.randrange(2, len(ops) - 1)


def mutate(seed, images):
    """(name, bytes) of the case that a seed stands for."""
    rng = random.Random(seed)
    name = rng.choice(sorted(images))
    data = images[name]
    if rng.random() < 0.03:
        return name, changed_bytes(rng, data)
    ops = opcodes(data)
    memo_size = sum(op in (b"\x94",) for op in ops)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 6))):
        for _ in range(50):
            i = choose(rng, ops)
            kind = rng.random()
            if kind < 0.9:
                new = changed(rng, ops[i], memo_size)
                if new is not None and new != ops[i]:
                    ops[i] = new
                    break
            elif kind < 0.93:
                j = rng.randrange(2, len(ops) - 1)
                ops[i], ops[j] = ops[j], ops[i]
                break
            elif kind < 0.96:
                ops.insert(i, ops[rng.randrange(2, len(ops) - 1)])
                break
            elif kind < 0.98:
                del ops[i]
                break
    return name, b"".join(ops)
