"""Fixtures of the tests with real nodes."""

from ros_stage import domain_id, observer, start

__all__ = ['domain_id', 'observer', 'start']
