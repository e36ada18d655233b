"""A Flask application that answers real requests; its handlers switch tasklets, on the threads of the server."""

import functools
import logging

from flask import Flask, abort, jsonify, render_template_string, request, stream_with_context
from werkzeug.serving import make_server

import web

logging.getLogger('werkzeug').setLevel(logging.ERROR)
app = Flask('program')


@app.get('/squares/<int:count>')
def squares(count):
    return jsonify(web.squares(count))


@app.post('/sum')
def total():
    numbers = request.get_json()
    return jsonify(sum=sum(web.squares(len(numbers))[n] for n in numbers))


@app.get('/page')
def page():
    return render_template_string('{% for n in squares(count) %}<li>{{ n }}</li>{% endfor %}', count=5,
                                  squares=web.squares)


@app.get('/stream')
def stream():
    def lines():
        for n in web.squares(4):
            yield f'{request.path} {n};'
    return app.response_class(stream_with_context(lines()), mimetype='text/plain')


@app.get('/missing')
def missing():
    web.squares(2)
    abort(404)


web.serve(app, functools.partial(make_server, threaded=True), [
    ('GET', '/squares/10', None), ('POST', '/sum', [1, 2, 0]), ('GET', '/page', None), ('GET', '/stream', None),
    ('GET', '/missing', None), ('DELETE', '/page', None), *[('GET', f'/squares/{n}', None) for n in range(50)],
])
