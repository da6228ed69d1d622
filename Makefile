# What can be done here: make help
#
# Each environment is made whole or not at all: its stamp is written last and holds the folder it was made in, and
# whatever lacks the right stamp (an interrupted install, another lock, a moved checkout, a Python that is gone) is made
# anew. Needed: make, Python 3.11 or newer with venv, and a package index. No compiler: all are wheels but one of the
# tests' own, plain Python, which is published as source only.

PYTHON ?= python3
PORT ?= 5000
CHAOS_SECONDS ?= 600
BENCH ?= drain --store sqlite --peer apscheduler --jobs 10000

RUN := .venv
DEV := .venv-dev
BENCHMARKS := .venv-bench
LOCK := .venv-lock

# Seconds that each suite, and each of the two linters, may take on 2 cores: 20 minutes in all.
LINT_BUDGET := 30
UNIT_BUDGET := 195
CONFORMANCE_BUDGET := 415
MIGRATIONS_BUDGET := 70
ACCEPTANCE_BUDGET := 460
# Each suite runs in so many processes beside each other; that of real servers waits more than it computes.
PROCESSES := 2
ACCEPTANCE_PROCESSES := 3

# The tests start hundreds of Python processes: without its byte code kept, each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run port test lint unit conformance migrations acceptance chaos bench lock clean FORCE

help: ## Say what can be done here
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'

run: port $(RUN)/.stamp ## Serve the demo at http://127.0.0.1:5000 (another port: PORT=5001)
	@echo "Serving http://127.0.0.1:$(PORT) as process $$$$; Ctrl-C stops it."; \
	exec $(RUN)/bin/flask --app scheduler_app --no-debug run --no-reload --host 127.0.0.1 --port '$(PORT)'

# Asked before an environment is made for a minute, so by whichever Python there is.
port:
	@$(if $(call whole,$(RUN)),$(RUN)/bin/python,$(require_python); $(PYTHON)) -c "$$CHECK_PORT" '$(PORT)'

test: lint unit conformance migrations acceptance ## Lint, then run every suite, each within its time budget (20 minutes in all)

lint: $(DEV)/.stamp ## Run ruff and mypy
	@$(call within,$(LINT_BUDGET),ruff,$(DEV)/bin/ruff check .)
	@$(call within,$(LINT_BUDGET),mypy,$(DEV)/bin/mypy)

unit: $(DEV)/.stamp ## Test each module by itself
	@$(call suite,$(UNIT_BUDGET),$@)

conformance: $(DEV)/.stamp ## Test every store and executor by the same suite
	@$(call suite,$(CONFORMANCE_BUDGET),$@)

migrations: $(DEV)/.stamp ## Test the schema up, down and beside the app's own
	@$(call suite,$(MIGRATIONS_BUDGET),$@)

acceptance: $(DEV)/.stamp ## Test with real processes and servers, short kill tests included
	@$(call suite,$(ACCEPTANCE_BUDGET),$@,$(ACCEPTANCE_PROCESSES))

chaos: $(DEV)/.stamp ## Kill, stop and cut off real processes for long (each test CHAOS_SECONDS=600), and play at random for long
	SCHEDULER_TEST_TRANSACTIONS=10000 SCHEDULER_TEST_LIVES=10000 \
		$(DEV)/bin/python -m pytest tests/conformance/test_join_random.py tests/conformance/test_life.py -s
	SCHEDULER_TEST_CHAOS_SECONDS='$(CHAOS_SECONDS)' $(DEV)/bin/python -m pytest tests/acceptance -m chaos -s

bench: $(BENCHMARKS)/.stamp ## Measure beside the peer and the bare limit (what: BENCH="schedule --store postgresql ...")
	$(BENCHMARKS)/bin/python -m benchmarks $(BENCH)

lock: ## Choose the newest allowed versions of everything, and write the lock files
	@$(call require_python)
	rm -rf $(LOCK)
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet pip-tools
	$(call compile,requirements.lock,--extra dev --extra postgres --extra mysql --extra async)
	$(call compile,requirements-run.lock,--build-deps-for wheel --constraint requirements.lock)
	$(call compile,benchmarks/requirements.lock,--build-deps-for wheel --constraint requirements.lock --extra bench)
	rm -rf $(LOCK)

clean: ## Remove environments, caches and what was built; the demo's database stays
	rm -rf $(RUN) $(DEV) $(BENCHMARKS) $(LOCK) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# -- environments ------------------------------------------------------------------------------------

# A stamp is out of date, too, when its folder or its Python is not what it was.
whole = $(shell [ "$$(cat $(1)/.stamp 2>/dev/null)" = '$(CURDIR)' ] && $(1)/bin/python -c '' 2>/dev/null && echo yes)

$(RUN)/.stamp: requirements-run.lock pyproject.toml $(if $(call whole,$(RUN)),,FORCE) | port
	@$(call environment,$(RUN),requirements-run.lock)

$(DEV)/.stamp: requirements.lock pyproject.toml $(if $(call whole,$(DEV)),,FORCE)
	@$(call environment,$(DEV),requirements.lock)

$(BENCHMARKS)/.stamp: benchmarks/requirements.lock pyproject.toml $(if $(call whole,$(BENCHMARKS)),,FORCE)
	@$(call environment,$(BENCHMARKS),benchmarks/requirements.lock)

FORCE:

define environment
$(call require_python); \
echo "Making $(1) from $(2) (once; a minute or so) ..."; \
rm -rf $(1) && $(PYTHON) -m venv $(1) && \
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --no-binary=flask-apscheduler -r $(2) && \
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . && \
printf '%s\n' '$(CURDIR)' > $(1)/.stamp
endef

define require_python
command -v '$(PYTHON)' >/dev/null || { echo "There is no '$(PYTHON)' here; scheduler-app needs Python 3.11 or newer." >&2; exit 1; }; \
$(PYTHON) -c "$$CHECK_PYTHON" '$(PYTHON)' '$(MAKECMDGOALS)' || exit 1
endef

define compile
CUSTOM_COMPILE_COMMAND='make lock' $(LOCK)/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file $(1) pyproject.toml $(2)
endef

# -- suites ------------------------------------------------------------------------------------------

define within
timeout --foreground --signal=INT --kill-after=30 $(1) $(3) || { \
code=$$?; [ $$code -ne 124 ] || echo "$(2) took longer than its $(1) seconds." >&2; exit $$code; }
endef

define suite
echo "== tests/$(2), at most $(1) s"; \
$(call within,$(1),tests/$(2),$(DEV)/bin/python -m pytest tests/$(2) --numprocesses $(or $(3),$(PROCESSES)))
endef

# -- sentences ---------------------------------------------------------------------------------------

# Runs on any Python 3, however old.
define CHECK_PYTHON
import sys
name, goal = sys.argv[1:]
if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit("scheduler-app needs Python 3.11 or newer, but '%s' is %s; name another: make %s PYTHON=python3.12" % (name, found, goal))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("The Python '%s' lacks its venv module; on Debian or Ubuntu: apt-get install python3-venv" % name)
endef
export CHECK_PYTHON

define CHECK_PORT
import errno, socket, sys
text = sys.argv[1]
if not (text.isdecimal() and 0 < int(text) < 65536):
    sys.exit(f"PORT must be a number from 1 to 65535, not {text!r}.")
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", int(text)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            sys.exit(f"Port {text} cannot be used: {error.strerror}; choose another: make run PORT=5001")
        sys.exit(f"Port {text} is taken; choose another: make run PORT={int(text) % 65535 + 1}")
endef
export CHECK_PORT
