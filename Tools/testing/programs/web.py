"""What the web programs of `make test-programs` share: work done by tasklets where there are some, and requests."""

import http.client
import json
import threading

try:
    import stackless
except ImportError:
    stackless = None


def squares(count):
    """The squares of the first numbers; on ours a tasklet each computes them, and a channel collects them."""
    if stackless is None:
        return [n * n for n in range(count)]
    channel = stackless.channel()

    def work(n):
        stackless.schedule()
        channel.send((n, n * n))

    for n in range(count):
        stackless.tasklet(work)(n)
    return [square for _, square in sorted(channel.receive() for _ in range(count))]


def serve(application, make_server, requests):
    """Serve a WSGI application in a thread, send it the requests from this one, and print the answers."""
    server = make_server('127.0.0.1', 0, application)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for method, path, body in requests:
            connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=60)
            connection.request(method, path, body and json.dumps(body), {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            print(method, path, answer.status, answer.getheader('Content-Type'), answer.read().decode())
            connection.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
