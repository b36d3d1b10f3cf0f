"""The loggers of consumers, of structlog where that can be imported."""

from hurricane.server.loggers import named

logger = named("hurricane.amqp.general")
metrics_log = named("hurricane.amqp.metrics")
