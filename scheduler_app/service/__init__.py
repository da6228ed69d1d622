"""The stand-alone service: an app of its own that shows the main job, and that `flask --app scheduler_app` finds.

It uses the package as any app does. Its page has no login, so it belongs on this machine or behind one: whoever reaches
it may leave a reminder and take it back, and nothing else; only this machine may pull its plug.
"""

from .app import create_app

__all__ = ["create_app"]
