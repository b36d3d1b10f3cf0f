"""What visitors may send: a review, and a cover for a book."""

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from shop.models import Book, Review

COVER_BYTES_MAX = 20 * 1024 * 1024
COVER_TYPES = ("image/jpeg", "image/png", "image/webp")


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ("reader", "stars", "text")


class CoverForm(forms.ModelForm):
    class Meta:
        model = Book
        fields = ("cover",)

    def clean_cover(self) -> UploadedFile:
        cover: UploadedFile = self.cleaned_data["cover"]
        if not isinstance(cover, UploadedFile):
            raise ValidationError("Choose an image.")
        if cover.content_type not in COVER_TYPES:
            raise ValidationError("A cover is a JPEG, PNG or WebP image.")
        if (cover.size or 0) > COVER_BYTES_MAX:
            raise ValidationError("A cover has at most 20 MB.")
        return cover
