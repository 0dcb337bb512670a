# Two commands matter: `make demo` and `make test`. Both make the environment that they need.

# With ROS sourced, an environment on top of that ROS; without, one with the wheels of rclpy.
WHEELS ?= kilted
VENV := .venv$(if $(and $(AMENT_PREFIX_PATH),$(ROS_DISTRO)),-$(ROS_DISTRO),$(if \
    $(filter-out kilted,$(WHEELS)),-wheels-$(WHEELS)))
PYTEST_ARGS ?=
FAULTS_ARGS ?=
DEMO_ARGS ?=

# Set by a Python that runs rclpy's wheels; inherited, it would keep the environment's Python from
# finding its own libraries.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help demo test test-jazzy coverage receivers faults lint env clean
.NOTPARALLEL:

help:
	@echo 'make demo    show a video in the browser: camera, signaling server and sender; Ctrl-C ends it'
	@echo '             (DEMO_ARGS=--help lists its options)'
	@echo 'make test    run every test; PYTEST_ARGS="-k name" chooses some'
	@echo 'make test-jazzy  the same on the wheels of ROS 2 Jazzy, not Kilted; in a shell without ROS'
	@echo 'make coverage    see that the unit tests take every branch of the pure core'
	@echo 'make receivers   install Firefox, GStreamer and werift for test/receivers (apt-get, npm)'
	@echo 'make faults  break the stack on purpose and measure what becomes of the video; as root, hours'
	@echo '             (FAULTS_ARGS=--list names the cases)'
	@echo 'make lint    check style, types, shell scripts and the page'"'"'s modules'
	@echo 'make env     only make the environment ($(VENV)) that the others need'
	@echo 'make clean   remove the environments and everything else that was made'

env:
	@tools/setup_env.sh $(VENV) run $(WHEELS)

# `exec`, so that Ctrl-C reaches the demo itself, once, and no shell in between. make waits for it
# without a word, and then reports the interrupt to the shell as any interrupted program does (130).
demo: env
	@exec $(VENV)/bin/python3 tools/demo.py $(DEMO_ARGS)

# Most tests wait, for processes and for deadlines: two modules at a time keep two cores busy. The
# tests of a module share a ROS domain, and stay in one process.
test: export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
test:
	@tools/setup_env.sh $(VENV) test $(WHEELS)
	@tools/ensure_browser.sh
	@$(VENV)/bin/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

# As a variable of the command line, so that a `make demo` of the tests takes the same wheels.
test-jazzy:
	@$(MAKE) --no-print-directory test WHEELS=jazzy

# The pure core is what test_layers.py says it is.
coverage:
	@tools/setup_env.sh $(VENV) test $(WHEELS)
	@$(VENV)/bin/pytest -n 2 -q test/unit --cov --cov-report=
	@$(VENV)/bin/coverage report --fail-under=100 --include="$$(cd test/unit && \
		../../$(VENV)/bin/python3 -c 'from test_layers import CORE; print(",".join( \
		f"rtc_signaling/{name.replace(chr(46), chr(47))}.py" for name in sorted(CORE)))')"

receivers:
	@tools/install_receivers.sh

# Network namespaces need root.
faults:
	@tools/setup_env.sh $(VENV) test $(WHEELS)
	@exec $(VENV)/bin/python3 benchmarks/reliability.py $(FAULTS_ARGS)

lint:
	@tools/setup_env.sh $(VENV) test $(WHEELS)
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" tools/lint.sh

clean:
	rm -rf .venv .venv-* build install log .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf *.egg-info mutants test/receivers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
