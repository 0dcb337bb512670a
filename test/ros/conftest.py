"""Fixtures of the tests with real nodes."""

from ros_stage import observer, start

__all__ = ['observer', 'start']
