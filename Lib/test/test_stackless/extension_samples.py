"""What real extensions are asked to do by test_extensions and test_embed_shared.

Each function in SAMPLES uses one extension as a program would, with Python called back from C where the
extension can do that, and raises when a result is wrong.
"""


def use_numpy():
    """LAPACK, ufuncs made of Python functions, and an array filled from a generator."""
    import numpy
    a = numpy.array([[4.0, 1.0, 2.0], [1.0, 3.0, 0.0], [2.0, 0.0, 5.0]])
    b = numpy.array([1.0, 2.0, 3.0])
    x = numpy.linalg.solve(a, b)
    assert numpy.allclose(a @ x, b)
    values, vectors = numpy.linalg.eigh(a)
    assert numpy.allclose(vectors @ numpy.diag(values) @ vectors.T, a)
    u, s, v = numpy.linalg.svd(a)
    assert numpy.allclose(u @ numpy.diag(s) @ v, a)
    twice = numpy.frompyfunc(lambda n: n * 2, 1, 1)
    assert twice(numpy.arange(5)).tolist() == [0, 2, 4, 6, 8]
    assert numpy.fromiter((n * n for n in range(4)), int).tolist() == [0, 1, 4, 9]
    assert numpy.apply_along_axis(lambda row: sorted(row)[0], 1, a).tolist() == [1.0, 0.0, 0.0]
    try:
        numpy.linalg.inv(numpy.zeros((2, 2)))
    except numpy.linalg.LinAlgError:
        pass
    else:
        raise AssertionError('a singular matrix was inverted')


def use_ssl():
    """A handshake and a message through memory, without certificates."""
    import ssl
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = []
    server_context.sni_callback = lambda sock, name, context: names.append(name)
    for context in client_context, server_context:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers('aNULL:@SECLEVEL=0')
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname='example.org')
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting and names == ['example.org'], (waiting, names)
    client.write(b'hello')
    assert server.read() == b'hello'
    assert client.cipher() == server.cipher()


def use_sqlite3():
    """Functions, aggregates and collations written in Python, rows from a generator, an error out of a
    callback."""
    import sqlite3

    class Product:
        def __init__(self):
            self.value = 1

        def step(self, n):
            self.value *= n

        def finalize(self):
            return self.value

    db = sqlite3.connect(':memory:')
    db.row_factory = sqlite3.Row
    db.create_function('backwards', 1, lambda s: s[::-1])
    db.create_aggregate('product', 1, Product)
    db.create_collation('by_length', lambda a, b: len(a) - len(b))
    db.create_function('broken', 0, lambda: 1 / 0)
    db.execute('create table t (n integer, s text)')
    db.executemany('insert into t values (?, ?)', ((n, 'x' * (6 - n)) for n in range(1, 6)))
    assert db.execute('select product(n) as p from t').fetchone()['p'] == 120
    assert db.execute("select backwards('abc')").fetchone()[0] == 'cba'
    assert [row['n'] for row in db.execute('select n from t order by s collate by_length')] == [5, 4, 3, 2, 1]
    try:
        db.execute('select broken()')
    except sqlite3.OperationalError:
        pass
    else:
        raise AssertionError('the error of a callback was lost')
    with db:
        db.execute('delete from t')
    db.close()


def use_ctypes():
    """The C library's sort with a comparison in Python, structures, and errno."""
    import ctypes
    import errno
    libc = ctypes.CDLL(None, use_errno=True)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 50)(*((n * 37) % 50 for n in range(50)))
    calls = []

    def compare(a, b):
        calls.append(1)
        return a[0] - b[0]

    libc.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), compare_type(compare))
    assert list(numbers) == list(range(50)) and len(calls) > 50

    class Division(ctypes.Structure):
        _fields_ = [('quot', ctypes.c_int), ('rem', ctypes.c_int)]

    libc.div.restype = Division
    result = libc.div(17, 5)
    assert (result.quot, result.rem) == (3, 2)
    assert libc.close(-1) == -1 and ctypes.get_errno() == errno.EBADF


def use_lxml():
    """XPath with a Python function, XSLT, a parser target in Python, and an error."""
    from lxml import etree
    root = etree.fromstring('<r><p n="1">one</p><p n="2">two</p></r>')
    space = etree.FunctionNamespace('urn:sample')
    space['shout'] = lambda context, nodes: nodes[0].upper()
    assert root.xpath('s:shout(//p[@n=2]/text())', namespaces={'s': 'urn:sample'}) == 'TWO'
    style = etree.XSLT(etree.XML(
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        '<xsl:template match="/"><o><xsl:for-each select="//p"><i>'
        '<xsl:value-of select="@n"/></i></xsl:for-each></o>'
        '</xsl:template></xsl:stylesheet>'))
    assert etree.tostring(style(root)).endswith(b'<o><i>1</i><i>2</i></o>')

    class Target:
        def __init__(self):
            self.seen = []

        def start(self, tag, attributes):
            self.seen.append(tag)

        def end(self, tag):
            self.seen.append('/' + tag)

        def close(self):
            return self.seen

    assert etree.fromstring('<a><b/></a>', etree.XMLParser(target=Target())) == ['a', 'b', '/b', '/a']
    try:
        etree.fromstring('<a>')
    except etree.XMLSyntaxError as error:
        assert error.lineno == 1
    else:
        raise AssertionError('broken XML was parsed')


def use_cffi():
    """ABI mode: calls, structures, and a Python callback with an error handler."""
    import cffi
    ffi = cffi.FFI()
    ffi.cdef('''
        typedef struct { int quot; int rem; } div_t;
        div_t div(int, int);
        size_t strlen(const char *);
        void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
    ''')
    libc = ffi.dlopen(None)
    result = libc.div(17, 5)
    assert (result.quot, result.rem) == (3, 2) and libc.strlen(b'hello') == 5

    @ffi.callback('int(const void *, const void *)')
    def compare(a, b):
        return ffi.cast('int *', a)[0] - ffi.cast('int *', b)[0]

    numbers = ffi.new('int[]', [5, 3, 1, 4, 2])
    libc.qsort(numbers, 5, ffi.sizeof('int'), compare)
    assert list(numbers) == [1, 2, 3, 4, 5]
    errors = []

    @ffi.callback('int(int)', error=-7, onerror=lambda kind, value, tb: errors.append(kind))
    def broken(n):
        return n // 0

    assert broken(1) == -7 and errors == [ZeroDivisionError]


def use_greenlet():
    """Switching with values, exceptions that cross over, and a greenlet left unfinished."""
    import greenlet

    def echo(value):
        while True:
            value = greenlet.getcurrent().parent.switch(value * 2)

    child = greenlet.greenlet(echo)
    assert [child.switch(n) for n in range(5)] == [0, 2, 4, 6, 8]

    def countdown(n):
        if n:
            return 1 + greenlet.greenlet(countdown).switch(n - 1)
        return 0

    assert countdown(20) == 20

    def fail():
        raise KeyError('across')

    try:
        greenlet.greenlet(fail).switch()
    except KeyError as error:
        assert error.args == ('across',)
    else:
        raise AssertionError('an exception was lost between greenlets')
    caught = []

    def clean():
        try:
            greenlet.getcurrent().parent.switch()
        except greenlet.GreenletExit:
            caught.append('exit')
            raise

    other = greenlet.greenlet(clean)
    other.switch()
    del other
    assert caught == ['exit']
    in_c = greenlet.greenlet(lambda: sorted([3, 1, 2], key=lambda n: greenlet.getcurrent().parent.switch(n)))
    assert [in_c.switch(), in_c.switch(3), in_c.switch(1)] == [3, 1, 2] and in_c.switch(2) == [1, 2, 3]


def use_gevent():
    """Spawn and join, a queue between two greenlets, a pool, a timeout."""
    import gevent
    import gevent.pool
    import gevent.queue
    jobs = [gevent.spawn(lambda n=n: (gevent.sleep(0), n * n)[1]) for n in range(10)]
    gevent.joinall(jobs, timeout=30)
    assert [job.value for job in jobs] == [n * n for n in range(10)]
    queue, seen = gevent.queue.Queue(1), []

    def consume():
        for item in queue:
            seen.append(item)

    consumer = gevent.spawn(consume)
    for n in range(5):
        queue.put(n)
    queue.put(StopIteration)
    consumer.join(timeout=30)
    assert seen == [0, 1, 2, 3, 4]
    assert gevent.pool.Pool(3).map(len, ['', 'a', 'bb']) == [0, 1, 2]
    try:
        with gevent.Timeout(0.01):
            gevent.sleep(30)
    except gevent.Timeout:
        pass
    else:
        raise AssertionError('a timeout did not fire')


SAMPLES = {function.__name__.removeprefix('use_'): function for function in (
    use_numpy, use_ssl, use_sqlite3, use_ctypes, use_lxml, use_cffi, use_greenlet, use_gevent)}
