"""Consumers of AMQP messages, run by ``manage.py consume``.

A consumer is a subclass of :class:`hurricane.amqp.basehandler.TopicHandler`. Importing this package
needs neither ``pika`` nor configured settings; ``basehandler`` needs ``pika``.
"""

from hurricane.amqp.loggers import logger

__all__ = ["logger"]
