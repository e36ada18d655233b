"""gevent: a server and its clients, a pool, queues, timeouts and monkey-patched sockets, all in greenlets."""

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402
import urllib.request  # noqa: E402

import gevent  # noqa: E402
import gevent.event  # noqa: E402
import gevent.pool  # noqa: E402
import gevent.queue  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402
from gevent.server import StreamServer  # noqa: E402


def echo(connection, address):
    with connection.makefile('rwb') as file:
        for line in file:
            file.write(line.upper())
            file.flush()


def client(port, number):
    with socket.create_connection(('127.0.0.1', port)) as connection, connection.makefile('rwb') as file:
        answers = []
        for n in range(20):
            file.write(b'client %d line %d\n' % (number, n))
            file.flush()
            answers.append(file.readline())
        return answers


server = StreamServer(('127.0.0.1', 0), echo)
server.start()
jobs = [gevent.spawn(client, server.server_port, n) for n in range(50)]
gevent.joinall(jobs, raise_error=True)
print([job.value[-1] for job in jobs])
server.stop()

web = WSGIServer(('127.0.0.1', 0), lambda environ, start: (start('200 OK', []), [environ['PATH_INFO'].encode()])[1],
                 log=None)
web.start()
print(gevent.pool.Pool(8).map(
    lambda n: urllib.request.urlopen(f'http://127.0.0.1:{web.server_port}/{n}').read(), range(40)))
web.stop()

queue, results = gevent.queue.Queue(maxsize=3), []
producer = gevent.spawn(lambda: [queue.put(n) for n in range(100)] and queue.put(StopIteration))
consumers = [gevent.spawn(lambda: results.extend(queue)) for _ in range(1)]
gevent.joinall([producer, *consumers], raise_error=True)
print(sum(results), len(results))

event = gevent.event.AsyncResult()
gevent.spawn(event.set_exception, ValueError('from another greenlet'))
try:
    event.get()
except ValueError as error:
    print('caught', error)
try:
    with gevent.Timeout(0.01):
        gevent.event.Event().wait()
except gevent.Timeout:
    print('timed out')
