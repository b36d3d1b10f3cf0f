"""Settings that serve static files through WhiteNoise, and nothing else."""

from measured.bare import *  # noqa: F403

MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]
WHITENOISE_MAX_AGE = 60
