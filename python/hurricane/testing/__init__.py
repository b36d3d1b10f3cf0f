"""Test cases for projects: they start ``manage.py serve`` as a user does and talk to it.

Test cases are Django's, so settings must be configured before this is imported, as they are under
``manage.py test``.
"""

from hurricane.testing.actors import HTTPClient, WebhookTestHandler
from hurricane.testing.drivers import (
    HurricaneAMQPDriver,
    HurricaneServerDriver,
    HurricaneWebhookServerDriver,
)
from hurricane.testing.testcases import (
    HurricanBaseTest,
    HurricaneAMQPTest,
    HurricaneWebhookServerTest,
    HurricanServerTest,
)

__all__ = [
    "HTTPClient",
    "HurricanBaseTest",
    "HurricanServerTest",
    "HurricaneAMQPDriver",
    "HurricaneAMQPTest",
    "HurricaneServerDriver",
    "HurricaneWebhookServerDriver",
    "HurricaneWebhookServerTest",
    "WebhookTestHandler",
]
