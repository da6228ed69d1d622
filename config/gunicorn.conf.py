wsgi_app = "scheduler_app.service:create_app()"
workers = 2
worker_class = "gthread"
threads = 4
timeout = 60
graceful_timeout = 30  # Above SCHEDULER_DRAIN_SECONDS (25), so that running jobs finish before gunicorn insists.
preload_app = False  # Each worker loads the app anew on a reload; a scheduler starts in the workers either way.
