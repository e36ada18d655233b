"""A Django site with a database that answers real requests; its views switch tasklets."""

from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import HttpResponse, JsonResponse
from django.template import Context, Template
from django.urls import path

import web

settings.configure(
    SECRET_KEY='of a test', ALLOWED_HOSTS=['127.0.0.1'], ROOT_URLCONF=__name__, USE_TZ=True,
    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'file:program?mode=memory&cache=shared',
                           'OPTIONS': {'uri': True}}},
    TEMPLATES=[{'BACKEND': 'django.template.backends.django.DjangoTemplates'}],
    MIDDLEWARE=['django.middleware.common.CommonMiddleware'], DEFAULT_AUTO_FIELD='django.db.models.BigAutoField')
django.setup()


class Square(models.Model):
    number = models.IntegerField(unique=True)
    value = models.IntegerField()

    class Meta:
        app_label = 'program'


def fill(request, count):
    """Write rows, and read them again while a tasklet waits in the middle of the query's iterator."""
    for number, value in enumerate(web.squares(count)):
        Square.objects.update_or_create(number=number, defaults={'value': value})
    rows = Square.objects.order_by('number').iterator(chunk_size=2)
    return JsonResponse({row.number: [row.value, web.squares(row.number)] for row in rows})


def report(request):
    total = Square.objects.aggregate(models.Sum('value'), models.Count('id'))
    template = Template('{% for row in rows %}{{ row.number }}:{{ row.value|add:"1" }} {% endfor %}{{ total }}')
    return HttpResponse(template.render(Context({'rows': Square.objects.order_by('-number'), 'total': total})))


urlpatterns = [path('fill/<int:count>', fill), path('report', report)]


class Quiet(WSGIRequestHandler):
    """Does not log every request."""

    def log_message(self, *args):
        pass


def server(host, port, application):
    return make_server(host, port, application, handler_class=Quiet)


with connection.schema_editor() as editor:
    editor.create_model(Square)
web.serve(get_wsgi_application(), server, [
    ('GET', '/fill/5', None), ('GET', '/report', None), ('GET', '/fill/7', None), ('GET', '/report', None),
    ('GET', '/nothing', None),
])
