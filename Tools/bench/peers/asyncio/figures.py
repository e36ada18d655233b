"""The switching figures on asyncio's tasks, queues and futures."""

import asyncio
from time import process_time

from peers import depth as recursion
from peers.resident import resident


async def nothing():
    pass


def round_trip(count):
    async def loop():
        for _ in range(count):
            await asyncio.sleep(0)

    async def main():
        start = process_time()
        await asyncio.gather(loop(), loop())
        return process_time() - start

    return asyncio.run(main())


def round_trip_deep(count):
    async def down(level):
        if level:
            await down(level - 1)
        else:
            for _ in range(count):
                await asyncio.sleep(0)

    async def main():
        start = process_time()
        await asyncio.gather(down(99), down(99))
        return process_time() - start

    return asyncio.run(main())


def ping_pong(count):
    async def ping(there, back):
        for value in range(count):
            await there.put(value)
            await back.get()

    async def pong(there, back):
        for _ in range(count):
            await back.put(await there.get())

    async def main():
        there = asyncio.Queue(1)
        back = asyncio.Queue(1)
        start = process_time()
        await asyncio.gather(ping(there, back), pong(there, back))
        return process_time() - start

    return asyncio.run(main())


def create(count):
    async def main():
        start = process_time()
        for _ in range(count):
            await asyncio.create_task(nothing())
        return process_time() - start

    return asyncio.run(main())


def create_many(count):
    async def main():
        start = process_time()
        for _ in range(count // 1000):
            await asyncio.gather(*[nothing() for _ in range(1000)])
        return process_time() - start

    return asyncio.run(main())


def ring(count):
    laps = count // 1000

    async def hop(source, target):
        for _ in range(laps):
            await target.put(await source.get())

    async def main():
        queues = [asyncio.Queue(1) for _ in range(1000)]
        hops = [asyncio.create_task(hop(queues[i], queues[i + 1])) for i in range(999)]
        start = process_time()
        for lap in range(laps):
            await queues[0].put(lap)
            await queues[-1].get()
        await asyncio.gather(*hops)
        return process_time() - start

    return asyncio.run(main())


def sieve(count):
    async def numbers(target):
        value = 2
        while True:
            await target.put(value)
            value += 1

    async def strain(prime, source, target):
        while True:
            value = await source.get()
            if value % prime:
                await target.put(value)

    async def main():
        start = process_time()
        source = asyncio.Queue(1)
        tasks = [asyncio.create_task(numbers(source))]
        for _ in range(count):
            prime = await source.get()
            target = asyncio.Queue(1)
            tasks.append(asyncio.create_task(strain(prime, source, target)))
            source = target
        seconds = process_time() - start
        for task in tasks:
            task.cancel()
        return seconds

    return asyncio.run(main())


def skynet(count):
    """Each child is a task that returns its number: no queues."""

    async def node(number, size):
        if size == 1:
            return number
        size //= 10
        children = (asyncio.create_task(node(number + index * size, size)) for index in range(10))
        return sum(await asyncio.gather(*children))

    async def main():
        start = process_time()
        total = await node(0, count)
        seconds = process_time() - start
        assert total == count * (count - 1) // 2, total
        return seconds

    return asyncio.run(main())


def depth(count):
    async def down(level):
        if level % 1000 == 0:
            recursion.note(level)
        return level if level >= count else await down(level + 1)

    return recursion.measure(lambda: asyncio.run(down(1)))


def blocked(count):
    async def wait(gate):
        await gate

    async def main():
        gate = asyncio.get_running_loop().create_future()
        before = resident()
        waiting = [asyncio.create_task(wait(gate)) for _ in range(count)]
        await asyncio.sleep(0)
        size = resident() - before
        gate.set_result(None)
        await asyncio.gather(*waiting)
        return size

    return asyncio.run(main())
