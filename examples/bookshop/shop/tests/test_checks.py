"""The checks that decide the shop's probes."""

from django.core.management import call_command
from django.test import TestCase, override_settings

from shop.checks import covers_can_be_stored, shelves_are_filled, templates_can_be_loaded


class CheckTests(TestCase):
    def test_an_empty_shop_is_an_error_and_a_filled_one_is_not(self) -> None:
        self.assertEqual([found.id for found in shelves_are_filled(None)], ["shop.E001"])
        call_command("seed", books=5, verbosity=0)
        self.assertEqual([found.id for found in shelves_are_filled(None)], ["shop.W001"])
        call_command("seed", books=20, verbosity=0)
        self.assertEqual(shelves_are_filled(None), [])

    def test_a_place_without_permission_cannot_take_covers(self) -> None:
        with override_settings(MEDIA_ROOT="/proc/covers"):
            self.assertEqual([found.id for found in covers_can_be_stored(None)], ["shop.E002"])

    def test_missing_templates_are_an_error(self) -> None:
        self.assertEqual(templates_can_be_loaded(None), [])
        with override_settings(
            TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
        ):
            self.assertEqual([found.id for found in templates_can_be_loaded(None)], ["shop.E003"])
