"""Paths of a request that chooses its own."""

from django.urls import path

from mirror import views

urlpatterns = [path("hello", views.other), path("local/<str:what>", views.local)]
