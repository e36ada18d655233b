"""Producers and consumers that meet at a channel.

A channel hands a value from one tasklet to another and stores nothing: whoever comes first waits for
a partner.  So a fast producer cannot run away from slow consumers, and no lock or queue size is
needed.  To end, the producers close up shop one by one: the last of them sends each consumer a
StopIteration, which ends its `for` loop over the channel.

    python examples/producer_consumer.py --producers 2 --consumers 3 --items 4
"""

import argparse

from stackless import channel, run, tasklet


class Shop:
    """A counter where goods change hands, and the bookkeeping of who is still there."""

    def __init__(self, producers: int, consumers: int) -> None:
        self.counter = channel()
        self.producers_left = producers
        self.consumers = consumers

    def produce(self, name: str, items: int) -> None:
        """Bring `items` items to the counter, waiting for a consumer each time."""
        for number in range(1, items + 1):
            item = f"{name}{number}"
            print(f"producer {name} offers {item}")
            self.counter.send(item)
        self.producers_left -= 1
        if self.producers_left == 0:
            for _ in range(self.consumers):
                self.counter.send_exception(StopIteration)

    def consume(self, name: str) -> None:
        """Take items from the counter until somebody says that it was the last."""
        taken = [item for item in self.counter]
        print(f"consumer {name} took {len(taken)}: {' '.join(taken)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Producers and consumers that meet at a channel.")
    parser.add_argument("--producers", type=int, default=2, metavar="N")
    parser.add_argument("--consumers", type=int, default=3, metavar="N")
    parser.add_argument("--items", type=int, default=4, metavar="N", help="items that each producer makes")
    options = parser.parse_args()

    shop = Shop(options.producers, options.consumers)
    for number in range(options.producers):
        tasklet(shop.produce)(chr(ord("A") + number), options.items)
    for number in range(options.consumers):
        tasklet(shop.consume)(str(number + 1))
    run()


if __name__ == "__main__":
    main()
