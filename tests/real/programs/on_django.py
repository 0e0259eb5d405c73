"""Django with channels, served by daphne on Twisted's reactor for asyncio."""

import django
import shop
from django.conf import settings

settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], INSTALLED_APPS=["channels"]
)
django.setup()

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path


async def ok(request):
    return JsonResponse(shop.ok())


async def block(request):
    return JsonResponse(shop.block())


urlpatterns = [path("ok", ok), path("block", block)]
application = ProtocolTypeRouter({"http": get_asgi_application()})
shop.ready()
