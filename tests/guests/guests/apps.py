"""Lets the guest in that ``GUEST`` names: a package that changes Django in its own way."""

import json
import os
from pathlib import Path
from typing import Any

from django.apps import AppConfig


def note(name: str, what: object) -> None:
    """A line of JSON in a file that the test reads."""
    with (Path(os.environ["STAGE_SIGNALS"]) / name).open("a") as lines:
        lines.write(json.dumps(what) + "\n")


class GuestsConfig(AppConfig):
    """The project's application."""

    name = "guests"

    def ready(self) -> None:
        """Starts the guest as its documentation says."""
        start = {"sentry": sentry, "opentelemetry": opentelemetry}.get(os.environ.get("GUEST", ""))
        if start is not None:
            start()


def sentry() -> None:
    """Sentry, whose events go into a file."""
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import Transport

    class Kept(Transport):
        """Sends nothing."""

        def capture_envelope(self, envelope: Envelope) -> None:
            """Notes what of an event the test asks for."""
            for item in envelope.items:
                event: Any = item.payload.json
                if item.type in ("event", "transaction"):
                    note("sentry", {**event, "kind": item.type})

    sentry_sdk.init(dsn="http://key@localhost/1", transport=Kept, traces_sample_rate=1.0)


def opentelemetry() -> None:
    """OpenTelemetry, whose spans go into a file."""
    from collections.abc import Sequence

    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import (
        SimpleSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Kept(SpanExporter):
        """Exports nothing."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Notes what the test asks for."""
            for span in spans:
                context: Any = span.parent
                parent = context and f"{context.trace_id:032x}"
                attributes = dict(span.attributes or {})
                note("spans", {"name": span.name, "parent": parent, "attributes": attributes})
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Kept()))
    DjangoInstrumentor().instrument(tracer_provider=provider)
