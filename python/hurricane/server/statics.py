"""Static files that are collected again when one of them has changed."""

from hurricane import server


def static_watch() -> None:
    """Runs ``collectstatic --clear``; a failure is logged, because the server goes on."""
    from django.core.management import call_command

    try:
        server.logger.info("Collecting static as static file changed")
        call_command("collectstatic", interactive=False, clear=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a project's finder
        server.logger.error("%s", error)
